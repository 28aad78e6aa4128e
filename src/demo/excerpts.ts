/**
 * Two texts side by side: a piece of each from where they begin to differ, and which of its words the other has not.
 */
const WORDS_MAX = 60;
/** Words shown before the first difference. */
const LEAD_WORDS = 12;
const WORD_LENGTH_MAX = 60;

/** `right` is null where both have the same words. */
export function excerptsOf(left: string, right: string): { left: string; right: string | null } {
  const [a, b] = [wordsOf(left), wordsOf(right)];
  const shared = sharedStart(a, b);
  if (shared === a.length && shared === b.length) return { left: pieceOf(a, 0), right: null };
  const from = shared + LEAD_WORDS < WORDS_MAX ? 0 : shared - LEAD_WORDS;
  return { left: pieceOf(a, from), right: pieceOf(b, from) };
}

/** As they are written, without the marks of Markdown. */
function wordsOf(text: string): string[] {
  return text
    .replace(/[`*]/g, '')
    .split(/\s+/)
    .filter((word) => word !== '');
}

function sharedStart(a: readonly string[], b: readonly string[]): number {
  let i = 0;
  while (i < a.length && i < b.length && bare(a[i]!) === bare(b[i]!)) i++;
  return i;
}

/** What is compared of a word: its letters and digits. A mark alone is compared as it is. */
function bare(word: string): string {
  return word.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '') || word;
}

function pieceOf(words: readonly string[], from: number): string {
  const shown = words.slice(from, from + WORDS_MAX).map((word) => Array.from(word).slice(0, WORD_LENGTH_MAX).join(''));
  return `${from > 0 ? '… ' : ''}${shown.join(' ')}${from + WORDS_MAX < words.length ? ' …' : ''}`;
}

export interface Piece {
  readonly text: string;
  /** The other text has no such words at this place. */
  readonly own: boolean;
}

/**
 * Both excerpts cut into what they share and what only one has, by their longest common subsequence of words; an
 * excerpt is short, so the usual table will do.
 */
export function compareExcerpts(left: string, right: string): { left: Piece[]; right: Piece[] } {
  const [a, b] = [left.split(' '), right.split(' ')];
  const common = commonLengths(a.map(bare), b.map(bare));
  const [own, others] = [new Array<boolean>(a.length).fill(true), new Array<boolean>(b.length).fill(true)];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (bare(a[i]!) === bare(b[j]!)) {
      own[i++] = false;
      others[j++] = false;
    } else if (common[i + 1]![j]! >= common[i]![j + 1]!) i++;
    else j++;
  }
  return { left: piecesOf(a, own), right: piecesOf(b, others) };
}

/** `[i][j]` = length of the longest common subsequence of what stands from i and from j on. */
function commonLengths(a: readonly string[], b: readonly string[]): number[][] {
  const lengths = Array.from({ length: a.length + 1 }, () => new Array<number>(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const [row, below] = [lengths[i]!, lengths[i + 1]!];
      row[j] = a[i] === b[j] ? below[j + 1]! + 1 : Math.max(below[j]!, row[j + 1]!);
    }
  }
  return lengths;
}

function piecesOf(words: readonly string[], own: readonly boolean[]): Piece[] {
  const pieces: { words: string[]; own: boolean }[] = [];
  for (const [i, word] of words.entries()) {
    const last = pieces.at(-1);
    const isOwn = own[i]! && word !== '…';
    if (last?.own === isOwn) last.words.push(word);
    else pieces.push({ words: [word], own: isOwn });
  }
  return pieces.map((piece) => ({ text: piece.words.join(' '), own: piece.own }));
}
