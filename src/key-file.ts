/**
 * The keys of a process while it runs: its ring, and the file that they came from, read again and again. Files are
 * polled and compared as a whole, because what mounts secrets swaps whole folders, which watching a file misses, and
 * times of change are not to be relied on there. A worker's heartbeat thread has a ring and a watch of its own: a
 * handler that blocks the main thread must not keep it from the newest keys.
 */
import { statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { type KeySettings, rereadKeys } from './config/message-keys.ts';
import { codeOf } from './config/sources.ts';
import { type KeySet, RotatingKeyRing } from './message/rotating-key-ring.ts';
import type { Observe } from './runtime/observer.ts';
import { pause, type Runtime } from './runtime/runtime.ts';

export const KEY_FILE_LOOK_MS = 1_000;
export const KEY_FILE_BYTES_MAX = 64 * 1024;

/**
 * A process that starts with a file which changed a moment ago holds a key that others may not have read yet, just as
 * one that read it while running.
 */
export function openKeyRing(keys: KeySettings, runtime: Runtime): RotatingKeyRing {
  const { file, signsAfterMs } = keys;
  return new RotatingKeyRing(keys, { runtime, signsAfterMs, newestSince: file === null ? undefined : changedAt(file) });
}

export interface KeyFileWatch {
  keys: KeySettings;
  ring: RotatingKeyRing;
  runtime: Runtime;
  signal: AbortSignal;
  observe?: Observe;
  /** Before they are used, so that they can be kept out of the log. */
  onKeys?: (keys: KeySet) => void;
  /** The whole text of a file; rejects when it cannot be read. */
  read?: (path: string) => Promise<string>;
}

/** Until the signal aborts. A file that cannot be used changes nothing, and is told of once as long as it stays so. */
export async function watchKeyFile(watch: KeyFileWatch): Promise<void> {
  const { keys, runtime, signal, read = readBounded } = watch;
  const { file } = keys;
  if (file === null) return;
  let last: string | undefined;
  while (!signal.aborted) {
    const found = await read(file).then(
      (text) => ({ text }),
      (error: unknown) => ({ problem: `${file} cannot be read (${codeOf(error)})` }),
    );
    const now = 'text' in found ? found.text : found.problem;
    if (now !== last) takeOver('text' in found ? rereadKeys(found.text, keys) : { problems: [found.problem] }, watch);
    last = now;
    await pause(runtime, KEY_FILE_LOOK_MS, signal);
  }
}

function takeOver(found: { keys: KeySet } | { problems: readonly string[] }, watch: KeyFileWatch): void {
  const { ring, observe, onKeys } = watch;
  const file = watch.keys.file!;
  if ('problems' in found) return observe?.({ type: 'keys.refused', file, problems: found.problems });
  onKeys?.(found.keys);
  if (!ring.replace(found.keys)) return;
  const { signs, verifies } = ring;
  observe?.({ type: 'keys.changed', file, signs, verifies });
}

async function readBounded(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const buffer = Buffer.alloc(KEY_FILE_BYTES_MAX + 1);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    if (bytesRead > KEY_FILE_BYTES_MAX) throw new Error(`it has more than ${KEY_FILE_BYTES_MAX} bytes`);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}

function changedAt(path: string): number | undefined {
  try {
    return statSync(path).mtimeMs;
  } catch {
    // Gone since it was read: the watch will tell.
    return undefined;
  }
}
