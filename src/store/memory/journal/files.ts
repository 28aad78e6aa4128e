/*
 * The files of a journal and how they belong together. `image-N` shows the store as it was when `log-N` began, and the
 * logs from N on follow it without a gap; without an image they begin at 1. An image is written under another name and
 * renamed when it is whole, so what has its name is. Whatever is older than the newest image says nothing any more: a
 * process that ended before it could remove that leaves it to the next one.
 */
import { join } from 'node:path';
import { AgentSystemError } from '../../../errors.ts';
import type { Disk } from './disk.ts';
import { damaged, type FileKind, type Readable, scanFrames } from './frames.ts';

const NAME = /^(log|image)-(\d{1,9})$/;
const UNFINISHED = /^image-\d{1,9}\.new$/;
/** The last frame of an image: how many stand before it. */
const END = /^\{"frames":(\d+)\}$/;

export interface Generations {
  /** Null = none yet. */
  image: number | null;
  /** From the image on, in order. */
  logs: number[];
  /** Names of what nobody needs any more. */
  stale: string[];
}

export function pathOf(folder: string, kind: FileKind, generation: number): string {
  return join(folder, `${kind}-${generation}`);
}

/** @throws JOURNAL_INCOMPLETE when a file is missing between others */
export function generationsOf(folder: string, names: readonly string[]): Generations {
  const found = names.flatMap((name) => {
    const [, kind, number] = NAME.exec(name) ?? [];
    return kind === undefined ? [] : [{ name, kind, number: Number(number) }];
  });
  const images = found.filter(({ kind }) => kind === 'image').map(({ number }) => number);
  const image = images.length > 0 ? Math.max(...images) : null;
  const first = image ?? 1;
  const logs = found
    .filter(({ kind, number }) => kind === 'log' && number >= first)
    .map(({ number }) => number)
    .sort((a, b) => a - b);
  const missing = logs.findIndex((number, at) => number !== first + at);
  if (missing >= 0 || (image !== null && logs.length === 0)) throw incomplete(folder, first + Math.max(0, missing));
  const stale = found.filter(({ number }) => number < first).map(({ name }) => name);
  return { image, logs, stale: [...stale, ...names.filter((name) => UNFINISHED.test(name))] };
}

function incomplete(folder: string, generation: number): AgentSystemError {
  return new AgentSystemError(
    'JOURNAL_INCOMPLETE',
    `${folder} lacks log-${generation}, which belongs to the other files there: put DATA_DIR back from a copy, or move ` +
      'it away to begin with an empty store',
  );
}

export interface FoundTail {
  path: string;
  /** Where the last whole frame ends. */
  goodBytes: number;
  /** What was written last and not whole. */
  cutBytes: number;
}

export interface ReadBack {
  imageBytes: number;
  /** Of the logs before the last one. */
  olderBytes: number;
  /** Of the last one, without what was not whole. */
  lastBytes: number;
  frames: number;
  /** Of the last log with frames in it, and of empty ones behind it. */
  tails: FoundTail[];
}

/**
 * Gives all frames of these files to `onFrame`, in order.
 * @throws JOURNAL_DAMAGED, JOURNAL_NEWER, JOURNAL_FOREIGN
 */
export async function readBack(
  disk: Disk,
  folder: string,
  { image, logs }: Generations,
  onFrame: (text: string) => void,
): Promise<ReadBack> {
  const read: ReadBack = { imageBytes: 0, olderBytes: 0, lastBytes: 0, frames: 0, tails: [] };
  if (image !== null) read.imageBytes = await readImage(disk, pathOf(folder, 'image', image), image, onFrame);
  for (const generation of logs) {
    const path = pathOf(folder, 'log', generation);
    const { frames, goodBytes, size } = await withFile(disk, path, async (file) => {
      return { ...(await scanFrames(file, { kind: 'log', generation }, onFrame)), size: file.size };
    });
    // A log is on the medium before anything is written to the next one.
    const [torn] = read.tails;
    if (torn && frames > 0) throw damaged(torn.path, torn.goodBytes, null);
    read.frames += frames;
    read.olderBytes += read.lastBytes;
    read.lastBytes = goodBytes;
    if (goodBytes < size) read.tails.push({ path, goodBytes, cutBytes: size - goodBytes });
  }
  return read;
}

async function readImage(disk: Disk, path: string, generation: number, onFrame: (text: string) => void) {
  return withFile(disk, path, async (file) => {
    let told: number | null = null;
    const { frames, goodBytes } = await scanFrames(file, { kind: 'image', generation }, (text) => {
      const [, count] = END.exec(text) ?? [];
      if (count === undefined) onFrame(text);
      else told = Number(count);
    });
    if (told !== frames - 1 || goodBytes < file.size) throw damaged(path, goodBytes, null);
    return file.size;
  });
}

export function endOfImage(frames: number): string {
  return `{"frames":${frames}}`;
}

async function withFile<T>(disk: Disk, path: string, use: (file: Readable) => Promise<T>): Promise<T> {
  const file = await disk.open(path, 'existing');
  try {
    return await use({ path, size: await file.size(), read: (at, length) => file.read(at, length) });
  } finally {
    await file.close();
  }
}
