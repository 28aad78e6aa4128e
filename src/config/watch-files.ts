/**
 * Files that may change while the process runs. They are polled and compared as a whole: what mounts secrets swaps whole
 * folders, which watching a file misses, and times of change are not to be relied on there. Several are read together
 * where they only mean something together, as a certificate and its key do.
 */
import { open } from 'node:fs/promises';
import { pause, type Runtime } from '../runtime/runtime.ts';
import { codeOf } from './sources.ts';

export const FILES_LOOK_MS = 1_000;

export interface FilesWatch {
  paths: readonly string[];
  /** Of each; a larger one is refused. */
  bytesMax: number;
  runtime: Runtime;
  signal: AbortSignal;
  /** Takes the texts over, in the order of the paths. What it answers is wrong with them: then nothing has changed. */
  onTexts: (texts: string[]) => readonly string[];
  /** Told once as long as the files stay as they are. */
  onRefused: (problems: readonly string[]) => void;
  onChanged: () => void;
}

/** Until the signal aborts. What the first look finds is taken over without a word: the start has just read the same. */
export async function watchFiles(watch: FilesWatch): Promise<void> {
  const { paths, bytesMax, runtime, signal } = watch;
  let last: string | undefined;
  while (!signal.aborted) {
    const found = await readAll(paths, bytesMax);
    const now = JSON.stringify('texts' in found ? found.texts : found.problems);
    if (now !== last) {
      const problems = 'texts' in found ? watch.onTexts(found.texts) : found.problems;
      if (problems.length > 0) watch.onRefused(problems);
      else if (last !== undefined) watch.onChanged();
    }
    last = now;
    await pause(runtime, FILES_LOOK_MS, signal);
  }
}

async function readAll(
  paths: readonly string[],
  bytesMax: number,
): Promise<{ texts: string[] } | { problems: string[] }> {
  const read = await Promise.all(paths.map((path) => readText(path, bytesMax)));
  const problems = read.flatMap((one) => ('problem' in one ? [one.problem] : []));
  return problems.length > 0 ? { problems } : { texts: read.map((one) => ('text' in one ? one.text : '')) };
}

async function readText(path: string, bytesMax: number): Promise<{ text: string } | { problem: string }> {
  try {
    const text = await readBounded(path, bytesMax);
    return text === null ? { problem: `${path} has more than ${bytesMax} bytes` } : { text };
  } catch (error) {
    return { problem: `${path} cannot be read (${codeOf(error)})` };
  }
}

/** Null when there is more. A file may be a pipe or grow while it is read, so its size is not asked for. */
async function readBounded(path: string, bytesMax: number): Promise<string | null> {
  const file = await open(path, 'r');
  try {
    const parts: Buffer[] = [];
    let bytes = 0;
    for await (const part of file.createReadStream({ end: bytesMax, autoClose: false })) {
      parts.push(part as Buffer);
      bytes += (part as Buffer).length;
    }
    return bytes > bytesMax ? null : Buffer.concat(parts).toString('utf8');
  } finally {
    await file.close();
  }
}
