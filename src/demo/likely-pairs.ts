/**
 * Which paragraphs may be alike, without comparing each with each: locality-sensitive hashing by bands (P. Indyk and
 * R. Motwani, STOC 1998; for MinHash: J. Leskovec, A. Rajaraman, J. Ullman, "Mining of Massive Datasets", section 3.4).
 * Two paragraphs meet when all `ROWS` numbers of any of the `BANDS` bands agree. With resemblance s that happens with
 * probability 1 − (1 − s³)¹²: 0.80 at s = 0.5, 0.98 at 0.7, and one in 1,400 at 0.04, where unlike texts are.
 */
import { guessedResemblance, HASHES } from './min-hash.ts';
import type { Fingerprints } from './sketch.ts';

const ROWS = 3;
const BANDS = HASHES / ROWS;
/** Two standard errors and more below what is asked for in the end: the texts themselves decide. */
const GUESS_MIN = 0.3;
/** In one bucket a paragraph is compared with so many others at most, which stand for those like them. */
const LEADERS_MAX = 8;
const NONE = -1;

export type Pair = readonly [left: number, right: number];

/** Each pair once, the earlier fingerprint first. Time and space grow with the number of fingerprints, not of pairs. */
export function likelyPairs({ count, signatures }: Fingerprints): Pair[] {
  const seen = new Set<number>();
  const pairs: Pair[] = [];
  const found = (left: number, right: number) => {
    const name = left * count + right;
    if (!seen.has(name)) pairs.push([left, right]);
    seen.add(name);
  };
  for (let band = 0; band < BANDS; band++) joinBand(band, count, signatures, found);
  return pairs;
}

/**
 * A paragraph that is like a leader of its bucket is paired with it, any other becomes a leader itself. A licence text
 * in a thousand files so makes a thousand pairs and not half a million.
 */
function joinBand(
  band: number,
  count: number,
  signatures: Uint16Array,
  found: (left: number, right: number) => void,
): void {
  const firstOf = new Map<number, number>();
  const nextOf = new Int32Array(count).fill(NONE);
  for (let right = 0; right < count; right++) {
    const bucket = bucketOf(signatures, right * HASHES + band * ROWS);
    const first = firstOf.get(bucket);
    if (first === undefined) {
      firstOf.set(bucket, right);
      continue;
    }
    let left = first;
    for (let looked = 1; ; looked++) {
      if (guessedResemblance(signatures, left, right) >= GUESS_MIN) {
        found(left, right);
        break;
      }
      const next = nextOf[left]!;
      if (next === NONE && looked < LEADERS_MAX) nextOf[left] = right;
      if (next === NONE || looked === LEADERS_MAX) break;
      left = next;
    }
  }
}

/** Three numbers of 16 bits in one, exactly. */
function bucketOf(signatures: Uint16Array, at: number): number {
  return signatures[at]! * 0x100000000 + signatures[at + 1]! * 0x10000 + signatures[at + 2]!;
}
