import { badAnswer, tooLarge } from './call-error.ts';

const NEWLINE = 0x0a;

/** The lines of a stream of bytes, without their ends; the last one needs no newline. A line is at most `bytesMax` long. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>, bytesMax: number): AsyncGenerator<string> {
  let pieces: Uint8Array[] = [];
  let bytes = 0;
  const keep = (piece: Uint8Array) => {
    bytes += piece.length;
    if (bytes > bytesMax) throw tooLarge(bytesMax);
    pieces.push(piece);
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      keep(chunk.subarray(from, end));
      yield textOf(pieces);
      pieces = [];
      bytes = 0;
      from = end + 1;
    }
    keep(chunk.subarray(from));
  }
  if (bytes > 0) yield textOf(pieces);
}

/** All of it as one text. */
export async function wholeOf(chunks: AsyncIterable<Uint8Array>, bytesMax: number): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw tooLarge(bytesMax);
    pieces.push(chunk);
  }
  return textOf(pieces);
}

/** Strict: a byte that is no UTF-8 would silently become another character of the result. */
function textOf(pieces: Uint8Array[]): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces));
  } catch {
    throw badAnswer('the answer is not UTF-8');
  }
}
