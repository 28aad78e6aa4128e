import { isUtf8 } from 'node:buffer';

/** Enough to tell text from anything else, little enough to read of every file in a folder. */
export const SNIFF_BYTES = 64 * 1024;

/** Why these first bytes of a file are not text, as found and wanted; null when they may be. */
export function whyNotText(head: Uint8Array): string | null {
  const bytes = head.subarray(0, SNIFF_BYTES);
  const encoding = wideEncoding(bytes);
  if (encoding !== null) return `not UTF-8: found ${encoding}; wanted UTF-8 text`;
  const nul = bytes.indexOf(0);
  if (nul >= 0) return `binary: found a NUL byte at offset ${nul}; wanted UTF-8 text`;
  if (isUtf8(bytes) || isUtf8(withoutCutCharacter(bytes))) return null;
  return `not UTF-8: found ${firstBadByte(bytes)}; wanted UTF-8 text`;
}

function wideEncoding(bytes: Uint8Array): string | null {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'UTF-16 (little endian)';
  return bytes[0] === 0xfe && bytes[1] === 0xff ? 'UTF-16 (big endian)' : null;
}

/** A sample may end in the middle of a character of up to four bytes; a whole file may not. */
function withoutCutCharacter(bytes: Uint8Array): Uint8Array {
  if (bytes.length < SNIFF_BYTES) return bytes;
  let end = bytes.length;
  for (let back = 0; back < 3 && (bytes[end - 1]! & 0xc0) === 0x80; back++) end--;
  return (bytes[end - 1] ?? 0) >= 0xc0 ? bytes.subarray(0, end - 1) : bytes;
}

/** Halves towards the longest prefix that may still become UTF-8; what is bad begins at its unfinished character. */
function firstBadByte(bytes: Uint8Array): string {
  let good = 0;
  let bad = bytes.length;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (mayContinue(bytes.subarray(0, middle))) good = middle;
    else bad = middle;
  }
  let start = good;
  while (start > 0 && !isUtf8(bytes.subarray(0, start))) start--;
  return `byte 0x${bytes[start]!.toString(16).toUpperCase().padStart(2, '0')} at offset ${start}`;
}

function mayContinue(prefix: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(prefix, { stream: true });
    return true;
  } catch {
    return false;
  }
}
