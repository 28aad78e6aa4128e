/**
 * The fingerprints of a file's paragraphs as one text, which is all that a task hands on about them: 75 bytes each,
 * whatever the length of the paragraph.
 */
import type { Block } from './markdown.ts';
import { HASHES, shinglesOf, signatureOf } from './min-hash.ts';

/** Which paragraph of the file it is, then the signature. */
const ORDINAL_BYTES = 3;
const ENTRY_BYTES = ORDINAL_BYTES + 2 * HASHES;
const ENTRIES_MAX = 20_000;
const ORDINAL_MAX = 256 ** ORDINAL_BYTES - 1;

/** Of all paragraphs long enough to be compared, in base64. */
export function sketchOf(blocks: readonly Block[]): string {
  const entries: Buffer[] = [];
  for (const [ordinal, { text }] of blocks.entries()) {
    if (entries.length === ENTRIES_MAX || ordinal > ORDINAL_MAX) break;
    const shingles = shinglesOf(text);
    if (shingles !== null) entries.push(entryOf(ordinal, signatureOf(shingles)));
  }
  return Buffer.concat(entries).toString('base64');
}

function entryOf(ordinal: number, signature: Uint16Array): Buffer {
  const entry = Buffer.allocUnsafe(ENTRY_BYTES);
  entry.writeUIntLE(ordinal, 0, ORDINAL_BYTES);
  for (let i = 0; i < HASHES; i++) entry.writeUInt16LE(signature[i]!, ORDINAL_BYTES + 2 * i);
  return entry;
}

/** The fingerprints of many files, side by side in flat arrays: hundreds of thousands must fit and be quick. */
export interface Fingerprints {
  readonly count: number;
  /** Of each fingerprint: the index of its file, and which paragraph of it. */
  readonly files: Uint32Array;
  readonly ordinals: Uint32Array;
  /** `HASHES` numbers each. */
  readonly signatures: Uint16Array;
}

export function readSketches(sketches: readonly string[]): Fingerprints {
  const buffers = sketches.map((sketch) => Buffer.from(sketch, 'base64'));
  const count = buffers.reduce((sum, { length }) => sum + Math.floor(length / ENTRY_BYTES), 0);
  const files = new Uint32Array(count);
  const ordinals = new Uint32Array(count);
  const signatures = new Uint16Array(count * HASHES);
  let at = 0;
  for (const [file, buffer] of buffers.entries()) {
    for (let from = 0; from + ENTRY_BYTES <= buffer.length; from += ENTRY_BYTES, at++) {
      files[at] = file;
      ordinals[at] = buffer.readUIntLE(from, ORDINAL_BYTES);
      for (let i = 0; i < HASHES; i++) signatures[at * HASHES + i] = buffer.readUInt16LE(from + ORDINAL_BYTES + 2 * i);
    }
  }
  return { count, files, ordinals, signatures };
}

/**
 * The sketches with fewer fingerprints, until all together have at most `charsMax` characters. Which ones stay depends
 * on what the paragraphs say and not on where they stand, so two that are alike mostly both stay or both go (Broder's
 * choice of shingles "modulo m", for whole paragraphs). `share` is how many of 1 have stayed.
 */
export function fitSketches(sketches: readonly string[], charsMax: number): { sketches: string[]; share: number } {
  const total = charsOf(sketches);
  if (total <= charsMax) return { sketches: [...sketches], share: 1 };
  for (let share = charsMax / total; share * VALUES >= 1; share *= SHRINK) {
    const thinned = sketches.map((sketch) => thin(sketch, share));
    if (charsOf(thinned) <= charsMax) return { sketches: thinned, share };
  }
  return { sketches: sketches.map(() => ''), share: 0 };
}

/** Chance, and text that stands there a thousand times, may leave more than the share asked for. */
const SHRINK = 0.8;
/** Of the number that decides who stays. */
const VALUES = 0x10000;

function thin(sketch: string, share: number): string {
  const buffer = Buffer.from(sketch, 'base64');
  const limit = share * VALUES;
  const stay: Buffer[] = [];
  for (let from = 0; from + ENTRY_BYTES <= buffer.length; from += ENTRY_BYTES) {
    if (buffer.readUInt16LE(from + ORDINAL_BYTES) < limit) stay.push(buffer.subarray(from, from + ENTRY_BYTES));
  }
  return Buffer.concat(stay).toString('base64');
}

function charsOf(sketches: readonly string[]): number {
  return sketches.reduce((sum, { length }) => sum + length, 0);
}
