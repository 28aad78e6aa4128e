import { AgentSystemError } from '../errors.ts';
import { LINE_BYTES_MAX } from './format.ts';

export interface NumberedLine {
  /** From 1. */
  number: number;
  /** Without its line break. */
  bytes: Buffer;
}

/** Lines of a stream of bytes; the last one only when a line break ends it, so what was cut off within a line is told. */
export async function* linesOf(source: AsyncIterable<Uint8Array>): AsyncGenerator<NumberedLine> {
  let rest: Uint8Array[] = [];
  let length = 0;
  let number = 0;
  for await (const chunk of source) {
    let from = 0;
    for (let at = chunk.indexOf(0x0a); at >= 0; at = chunk.indexOf(0x0a, from)) {
      const end = chunk.subarray(from, at);
      number += 1;
      yield { number, bytes: rest.length === 0 ? asBuffer(end) : Buffer.concat([...rest, end]) };
      rest = [];
      length = 0;
      from = at + 1;
    }
    if (from < chunk.length) rest.push(chunk.subarray(from));
    length += chunk.length - from;
    if (length > LINE_BYTES_MAX) throw refusedAt(number + 1, `is longer than ${LINE_BYTES_MAX} bytes`);
  }
  if (length > 0) throw refusedAt(number + 1, 'is not whole: the file was cut off within it');
}

/** @param what is wrong with the line, such as `is not JSON` */
export function refusedAt(line: number, what: string): AgentSystemError {
  return new AgentSystemError('SNAPSHOT_REFUSED', `the snapshot is refused: line ${line} ${what}`, {
    details: { line },
  });
}

function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
