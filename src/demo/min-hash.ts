/**
 * How alike two paragraphs are, and a small fingerprint from which that can be guessed without the paragraphs.
 *
 * Alike is the share of their runs of three words that both have: the resemblance (Jaccard index) of their w-shingles,
 * A. Broder, "On the resemblance and containment of documents", SEQUENCES 1997. The fingerprint is his MinHash: under a
 * random order of all shingles, two sets have the same smallest one with just that probability, so among `HASHES`
 * orders about that share agrees. Of each smallest value 16 bits are kept; two unlike ones agree once in 65,536 (P. Li
 * and A. C. König, "b-Bit Minwise Hashing", WWW 2010).
 */
import { forEachWord } from './words.ts';

export const SHINGLE_WORDS = 3;
/** Shorter ones are alike by chance: a remark, a list of names. */
export const PARAGRAPH_WORDS_MIN = 12;
/** Fewer different runs are a table of zeros, or one word again and again. */
const SHINGLES_MIN = 8;
/** What stands behind is not compared, so that a file without a blank line costs no more than others. */
const PARAGRAPH_WORDS_MAX = 5_000;
export const HASHES = 36;

/** The different runs of three words as 32-bit values in ascending order; null for too short a paragraph. */
export function shinglesOf(text: string): Uint32Array | null {
  const words = wordHashes(text);
  if (words.length < PARAGRAPH_WORDS_MIN) return null;
  const runs = new Set<number>();
  for (let i = 0; i + SHINGLE_WORDS <= words.length; i++) {
    runs.add(mix(Math.imul(mix(Math.imul(mix(words[i]!), 31) + words[i + 1]!), 31) + words[i + 2]!));
  }
  return runs.size < SHINGLES_MIN ? null : Uint32Array.from(runs).sort();
}

/** Of the words without case, marks and spaces. */
function wordHashes(text: string): number[] {
  const hashes: number[] = [];
  forEachWord(text, 'prose', (word) => {
    if (hashes.length < PARAGRAPH_WORDS_MAX) hashes.push(hashOf(word.toLowerCase()));
  });
  return hashes;
}

/** FNV-1a over UTF-16 units: G. Fowler, L. C. Noll, K.-P. Vo, draft-eastlake-fnv. */
function hashOf(word: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193);
  return hash;
}

/** The finalizer of MurmurHash3 (A. Appleby): every bit of the input changes half the bits of the output. */
function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** `HASHES` orders of all 32-bit values, x → a·x + b with odd a, from fixed seeds: every process must have the same. */
const FACTORS = Uint32Array.from({ length: HASHES }, (_, i) => mix(2 * i + 1) | 1);
const SUMMANDS = Uint32Array.from({ length: HASHES }, (_, i) => mix(2 * i + 2));

/** The fingerprint: `HASHES` numbers of 16 bits. */
export function signatureOf(shingles: Uint32Array): Uint16Array {
  const signature = new Uint16Array(HASHES);
  for (let i = 0; i < HASHES; i++) {
    const [factor, summand] = [FACTORS[i]!, SUMMANDS[i]!];
    let least = 0xffffffff;
    for (const shingle of shingles) {
      const value = (Math.imul(shingle, factor) + summand) >>> 0;
      if (value < least) least = value;
    }
    // A smallest value is small: only mixed do its low bits tell it from others.
    signature[i] = mix(least);
  }
  return signature;
}

/** The resemblance that two signatures in one array suggest, from 0 to 1; its standard error is at most 0.09. */
export function guessedResemblance(signatures: Uint16Array, left: number, right: number): number {
  let same = 0;
  for (let i = 0; i < HASHES; i++) {
    if (signatures[left * HASHES + i] === signatures[right * HASHES + i]) same++;
  }
  return same / HASHES;
}

/** The resemblance itself, from 0 to 1. */
export function resemblance(left: Uint32Array, right: Uint32Array): number {
  let both = 0;
  for (let i = 0, j = 0; i < left.length && j < right.length; ) {
    const [a, b] = [left[i]!, right[j]!];
    if (a === b) both++;
    if (a <= b) i++;
    if (b <= a) j++;
  }
  return both / (left.length + right.length - both);
}
