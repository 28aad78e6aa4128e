/*
 * How bytes stand in a file of the journal: a header, then frames, each with its length and a checksum. A frame begins
 * with a byte that UTF-8 never has, so frames can be found again behind one that is damaged: that tells a tail that was
 * being written when the power went (nothing valid follows: it is cut) from a medium that lost what it had (something
 * does: whoever dropped it silently would lose what was answered as stored).
 */
import { crc32 } from 'node:zlib';
import { AgentSystemError } from '../../../errors.ts';

export const FORMAT_VERSION = 1;
export const HEADER_BYTES = 16;
const MAGIC = Buffer.from('AGNTJRNL', 'latin1');
const MARK = Buffer.from([0xff, 0x41, 0x53, 0x4a]);
/** Mark, length and checksum. */
const PREFIX_BYTES = 12;
/** No writer makes a longer one: a length beyond it is damage. */
const FRAME_BYTES_MAX = 1024 * 1024 * 1024;
const READ_BYTES = 4 * 1024 * 1024;

export type FileKind = 'log' | 'image';
const KIND_NUMBER = { log: 1, image: 2 } as const;

export function encodeHeader(kind: FileKind, generation: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt16LE(FORMAT_VERSION, 8);
  header.writeUInt16LE(KIND_NUMBER[kind], 10);
  header.writeUInt32LE(generation, 12);
  return header;
}

export function encodeFrame(text: string): Buffer {
  const length = Buffer.byteLength(text);
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + length);
  MARK.copy(frame);
  frame.writeUInt32LE(length, 4);
  frame.write(text, PREFIX_BYTES);
  frame.writeUInt32LE(checksum(length, frame.subarray(PREFIX_BYTES)), 8);
  return frame;
}

/** Over the length too: a frame of zeroes must not pass for an empty one. */
function checksum(length: number, payload: Uint8Array): number {
  return crc32(payload, length);
}

/** Bytes at a place of a file; fewer than asked for only at its end. */
export interface Readable {
  readonly path: string;
  readonly size: number;
  read(at: number, length: number): Promise<Buffer>;
}

export interface Scanned {
  frames: number;
  /** Where the last whole frame ends. */
  goodBytes: number;
}

/**
 * Gives every frame of the file to `onFrame`, up to its end or a tail that is not whole.
 * @throws JOURNAL_DAMAGED when something valid stands behind what is not, JOURNAL_NEWER, JOURNAL_FOREIGN
 */
export async function scanFrames(
  file: Readable,
  { kind, generation }: { kind: FileKind; generation: number },
  onFrame: (text: string, at: number) => void,
): Promise<Scanned> {
  // Cut off while it was created: nothing was ever written behind it.
  if (file.size < HEADER_BYTES) return { frames: 0, goodBytes: 0 };
  checkHeader(await file.read(0, HEADER_BYTES), file.path, { kind, generation });
  const window = new Window(file);
  let at = HEADER_BYTES;
  let frames = 0;
  for (;;) {
    const payload = await frameAt(window, at);
    if (payload === null) break;
    onFrame(payload.toString('utf8'), at);
    frames += 1;
    at += PREFIX_BYTES + payload.length;
  }
  const next = at < file.size ? await nextFrame(file, at + 1) : null;
  if (next !== null) throw damaged(file.path, at, next);
  return { frames, goodBytes: at };
}

function checkHeader(header: Buffer, path: string, wanted: { kind: FileKind; generation: number }): void {
  if (!header.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new AgentSystemError(
      'JOURNAL_FOREIGN',
      `${path} is not a journal of this program: wanted one, or no file there`,
    );
  }
  const version = header.readUInt16LE(8);
  if (version > FORMAT_VERSION) {
    throw new AgentSystemError(
      'JOURNAL_NEWER',
      `${path} has format ${version}, this version reads up to ${FORMAT_VERSION}: start the version that wrote it`,
    );
  }
  const fits = header.readUInt16LE(10) === KIND_NUMBER[wanted.kind] && header.readUInt32LE(12) === wanted.generation;
  if (version >= 1 && fits) return;
  throw new AgentSystemError('JOURNAL_FOREIGN', `${path} is another file than its name says: put the right one back`);
}

/** The part of a file that is read on and on, so that small frames do not cost a read each. */
class Window {
  readonly #file: Readable;
  #start = 0;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(file: Readable) {
    this.#file = file;
  }

  /** Null when the file ends before. */
  async slice(at: number, length: number): Promise<Buffer | null> {
    if (at + length > this.#file.size) return null;
    if (at < this.#start || at + length > this.#start + this.#bytes.length) {
      this.#bytes = await this.#file.read(at, Math.max(length, READ_BYTES));
      this.#start = at;
    }
    const from = at - this.#start;
    const found = this.#bytes.subarray(from, from + length);
    return found.length === length ? found : null;
  }
}

async function frameAt(window: Window, at: number): Promise<Buffer | null> {
  const prefix = await window.slice(at, PREFIX_BYTES);
  if (prefix === null || !prefix.subarray(0, MARK.length).equals(MARK)) return null;
  const [length, sum] = [prefix.readUInt32LE(4), prefix.readUInt32LE(8)];
  const payload = length <= FRAME_BYTES_MAX ? await window.slice(at + PREFIX_BYTES, length) : null;
  return payload !== null && checksum(length, payload) === sum ? payload : null;
}

/** Where the next whole frame begins, or null. Looked for only behind damage. */
async function nextFrame(file: Readable, from: number): Promise<number | null> {
  for (let start = from; start < file.size; start += READ_BYTES) {
    // A mark may lie across the border of two reads.
    const bytes = await file.read(start, READ_BYTES + MARK.length);
    for (let at = bytes.indexOf(MARK); at >= 0; at = bytes.indexOf(MARK, at + 1)) {
      if ((await frameAt(new Window(file), start + at)) !== null) return start + at;
    }
  }
  return null;
}

export function damaged(path: string, at: number, next: number | null): AgentSystemError {
  const behind = next === null ? 'more files follow' : `what was written later stands behind it, from byte ${next}`;
  return new AgentSystemError(
    'JOURNAL_DAMAGED',
    `${path} is damaged at byte ${at}, and ${behind}: it was not cut off but changed or lost by the disk, so nothing is ` +
      'dropped by itself. Put DATA_DIR back from a copy, or move it away to begin with an empty store',
    { details: { path, offset: at, next } },
  );
}
