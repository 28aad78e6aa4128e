/**
 * Finds words by looking at each character once. A regular expression of letters would be shorter, but V8 keeps a
 * stack entry per character of a match, and one word of several megabytes (a base64 line) then throws.
 */

/** `prose` joins don't and well-known into one word; `code` splits leaseTtlMs and lease_ttl_ms into three. */
export type WordStyle = 'prose' | 'code';

/** Calls `visit` with each word as it is written and answers how many there were. */
export function forEachWord(text: string, style: WordStyle, visit: (word: string) => void): number {
  let found = 0;
  const tell = (word: string) => {
    found++;
    visit(word);
  };
  let i = 0;
  while (i < text.length) {
    const kind = classAt(text, i);
    const next = i + widthAt(text, i);
    if (kind === OTHER) i = next;
    else if (kind === SINGLE) {
      tell(text.slice(i, next));
      i = next;
    } else {
      const end = wordEnd(text, next, style === 'prose');
      if (style === 'code') splitIdentifier(text.slice(i, end), tell);
      else tell(text.slice(i, end));
      i = end;
    }
  }
  return found;
}

function wordEnd(text: string, from: number, joins: boolean): number {
  let i = from;
  while (i < text.length) {
    if (classAt(text, i) === LETTER) i += widthAt(text, i);
    else if (joins && isJoiner(text.charCodeAt(i)) && i + 1 < text.length && classAt(text, i + 1) === LETTER) i += 1;
    else break;
  }
  return i;
}

/** ' and ’ and -, when a letter stands on both sides. */
function isJoiner(code: number): boolean {
  return code === 0x27 || code === 0x2019 || code === 0x2d;
}

/** Longer runs of letters and digits are encoded data, not names; they stay whole. */
const IDENTIFIER_LENGTH_MAX = 80;

function splitIdentifier(run: string, tell: (word: string) => void): void {
  const end = run.length > IDENTIFIER_LENGTH_MAX ? 0 : run.length;
  let start = 0;
  for (let i = 1; i < end; i++) {
    if (!isUpper(run, i)) continue;
    const afterLower = !isUpper(run, i - 1);
    const beforeLower = i + 1 < run.length && isLower(run, i + 1);
    if (!afterLower && !beforeLower) continue;
    tell(run.slice(start, i));
    start = i;
  }
  tell(run.slice(start));
}

function isUpper(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= 65 && code <= 90;
}

function isLower(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= 97 && code <= 122;
}

const LETTER = 1;
/** Chinese and Japanese are written without spaces: each character counts as a word. */
const SINGLE = 2;
const OTHER = 3;

/** The class of each character below U+10000, looked up in Unicode's tables the first time it is met. */
const classes = new Uint8Array(0x10000);

function classAt(text: string, at: number): number {
  const code = text.charCodeAt(at);
  if (code >= 0xd800 && code <= 0xdbff) return classify(text.codePointAt(at)!);
  const known = classes[code]!;
  if (known !== 0) return known;
  const found = classify(code);
  classes[code] = found;
  return found;
}

function classify(codePoint: number): number {
  const char = String.fromCodePoint(codePoint);
  if (/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u.test(char)) return SINGLE;
  return /[\p{L}\p{M}\p{N}]/u.test(char) ? LETTER : OTHER;
}

function widthAt(text: string, at: number): number {
  return text.codePointAt(at)! > 0xffff ? 2 : 1;
}
