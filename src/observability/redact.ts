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

/** @param secrets values that must never be shown, as they are configured; bytes are found in their usual spellings */
export function createRedactor(secrets: readonly Secret[]): (line: string) => string {
  const values = patternOf(secrets);
  return (line) => {
    let shown = SECRET_FIELD.test(line) ? withoutSecretFields(line) : line;
    if (shown.includes('://')) shown = shown.replace(URL_PASSWORD, `$1${REDACTED}@`);
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
  if (typeof secret === 'string') return [secret, JSON.stringify(secret).slice(1, -1), uriSpelling(secret)];
  const bytes = Buffer.from(secret);
  const encoded = (['base64url', 'base64', 'hex'] as const).map((encoding) => bytes.toString(encoding));
  return isUtf8(bytes) ? [...encoded, ...spellingsOf(bytes.toString('utf8'))] : encoded;
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
