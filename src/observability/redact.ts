/*
 * Keeps secrets out of the log. It works on finished lines, so nothing passes it by: messages, fields, bindings of child
 * loggers and the texts of errors all come through here.
 */
import { isUtf8 } from 'node:buffer';

export type Secret = string | Uint8Array | null | undefined;

const REDACTED = '[redacted]';
/** A shorter one would be found by chance in words and numbers and make the log unreadable. */
const SECRET_LENGTH_MIN = 6;

const SECRET_NAME = /secret|passw|passphrase|token|api[_-]?key|authorization|cookie|credential|private[_-]?key/i;
/** A field of such a name that holds anything but a number, boolean or null (`inputTokens` is a count, not a secret). */
const SECRET_FIELD = new RegExp(`"[^"\\\\]*(?:${SECRET_NAME.source})[^"\\\\]*":\\s*["[{]`, 'i');
/** The password in `scheme://user:password@host`. */
const URL_PASSWORD = /(\b[a-z][a-z0-9+.-]*:\/\/[^\s:@/"]*:)[^\s@/"]+@/gi;

/**
 * @param secrets values that must never be shown, as they are configured; bytes are found in their usual spellings. What
 * is added to the list later is kept out from then on.
 */
export function createRedactor(secrets: readonly Secret[]): (line: string) => string {
  const redactText = createTextRedactor(secrets);
  return (line) => redactText(SECRET_FIELD.test(line) ? withoutSecretFields(line) : line);
}

/** The same for a text that is no line of JSON, such as the message of an error. */
export function createTextRedactor(secrets: readonly Secret[]): (text: string) => string {
  let values = patternOf(secrets);
  let known = secrets.length;
  return (text) => {
    if (known !== secrets.length) {
      values = patternOf(secrets);
      known = secrets.length;
    }
    const shown = text.includes('://') ? text.replace(URL_PASSWORD, `$1${REDACTED}@`) : text;
    return values ? shown.replace(values, REDACTED) : shown;
  };
}

function withoutSecretFields(line: string): string {
  const redacted = JSON.stringify(JSON.parse(line), (name, value) =>
    SECRET_NAME.test(name) && (typeof value === 'string' || typeof value === 'object') && value !== null
      ? REDACTED
      : value,
  );
  return line.endsWith('\n') ? `${redacted}\n` : redacted;
}

function patternOf(secrets: readonly Secret[]): RegExp | null {
  const spellings = new Set(secrets.flatMap(spellingsOf).filter((text) => text.length >= SECRET_LENGTH_MIN));
  if (spellings.size === 0) return null;
  // The longest first: a secret that begins with another one is then replaced as a whole.
  const longestFirst = [...spellings].sort((a, b) => b.length - a.length);
  return new RegExp(longestFirst.map(escapePattern).join('|'), 'g');
}

function spellingsOf(secret: Secret): string[] {
  if (secret === null || secret === undefined) return [];
  const bytes = Buffer.from(secret);
  const encoded = [bytes.toString('hex'), ...base64Spellings(bytes, 'base64'), ...base64Spellings(bytes, 'base64url')];
  if (typeof secret !== 'string' && !isUtf8(bytes)) return encoded;
  const text = typeof secret === 'string' ? secret : bytes.toString('utf8');
  const inJson = jsonSpelling(text);
  // A text that is JSON itself, as others like to log it, is escaped twice.
  return [text, inJson, jsonSpelling(inJson), uriSpelling(text), ...encoded];
}

function jsonSpelling(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

/**
 * Whole, and as it looks within something longer, such as `user:password` of basic authentication: how three bytes become
 * four characters depends on what stands before, so there are three ways, and the characters at both ends vary.
 */
function base64Spellings(bytes: Buffer, encoding: 'base64' | 'base64url'): string[] {
  const within = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes])
      .toString(encoding)
      .replace(/=+$/, '');
    const isWhole = (before + bytes.length) % 3 === 0;
    return text.slice(Math.ceil((before * 4) / 3), isWhole ? undefined : -1);
  });
  return [bytes.toString(encoding), ...within];
}

function uriSpelling(text: string): string {
  try {
    return encodeURIComponent(text);
  } catch {
    // Half a surrogate pair has no such spelling.
    return text;
  }
}

function escapePattern(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}
