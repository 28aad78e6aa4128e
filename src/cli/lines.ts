import { StringDecoder } from 'node:string_decoder';
import { readable, type Source } from './read-input.ts';

/** Longer than any payload a system takes; what is beyond is dropped, the line is told as too long. */
export const LINE_BYTES_MAX = 256 * 1024 * 1024;

/** A line that holds something, by its number from 1. `bytes` includes the empty lines before it. */
export type Line = { number: number; bytes: number } & ({ text: string } | { fault: string });

const NEWLINE = 0x0a;

/** The lines of a source as it is read; empty ones are passed over but counted. */
export async function* readLines(source: Source, lineBytesMax = LINE_BYTES_MAX): AsyncGenerator<Line> {
  const line = new OpenLine(lineBytesMax);
  for await (const chunk of readable(source)) {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      line.add(chunk.subarray(from, end));
      yield* line.close(1);
      from = end + 1;
    }
    line.add(chunk.subarray(from));
  }
  yield* line.close(0);
}

/** The line that is being read. */
class OpenLine {
  readonly #bytesMax: number;
  readonly #decoder = new StringDecoder('utf8');
  #number = 1;
  #text = '';
  #bytes = 0;
  #skipped = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  add(part: Uint8Array): void {
    this.#bytes += part.length;
    if (this.#bytes <= this.#bytesMax)
      this.#text += this.#decoder.write(Buffer.from(part.buffer, part.byteOffset, part.length));
  }

  *close(newlineBytes: number): Generator<Line> {
    const text = (this.#text + this.#decoder.end()).replace(/^\ufeff/, '').trim();
    const long = this.#bytes > this.#bytesMax;
    const bytes = this.#skipped + this.#bytes + newlineBytes;
    const number = this.#number++;
    this.#skipped = text === '' && !long ? bytes : 0;
    this.#text = '';
    const length = this.#bytes;
    this.#bytes = 0;
    if (long) yield { number, bytes, fault: `too long: ${length} bytes, wanted at most ${this.#bytesMax}` };
    else if (text !== '') yield { number, bytes, text };
  }
}
