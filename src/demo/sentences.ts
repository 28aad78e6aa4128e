/**
 * Cuts a block of prose into sentences in one pass. A full stop ends one when white space follows and then no small
 * letter, so "e.g. this" and "3.14" do not; ! and ? end one before any white space; 。！？ end one anywhere.
 */
export function splitSentences(block: string): string[] {
  const sentences: string[] = [];
  let start = 0;
  let i = 0;
  while (i < block.length) {
    if (!isStop(block[i]!)) {
      i++;
      continue;
    }
    const end = endOfStops(block, i);
    const next = skipSpace(block, end);
    if (endsSentence(block, i, end, next)) {
      sentences.push(block.slice(start, end));
      start = next;
    }
    i = next;
  }
  if (start < block.length) sentences.push(block.slice(start));
  return sentences;
}

function endsSentence(block: string, first: number, end: number, next: number): boolean {
  if (next >= block.length) return true;
  if (WIDE_STOPS.includes(block[first]!)) return true;
  if (next === end) return false;
  return block[end - 1] !== '.' || !/\p{Ll}/u.test(block[next]!);
}

function endOfStops(block: string, from: number): number {
  let i = from;
  while (i < block.length && isStop(block[i]!)) i++;
  while (i < block.length && CLOSERS.includes(block[i]!)) i++;
  return i;
}

function skipSpace(block: string, from: number): number {
  let i = from;
  while (i < block.length && isSpace(block.charCodeAt(i))) i++;
  return i;
}

const WIDE_STOPS = '。！？';
const CLOSERS = '"\'”’)]*_`»';

function isStop(char: string): boolean {
  return char === '.' || char === '!' || char === '?' || char === '…' || WIDE_STOPS.includes(char);
}

function isSpace(code: number): boolean {
  return code === 0x20 || (code >= 9 && code <= 13) || code === 0xa0 || code === 0x3000;
}
