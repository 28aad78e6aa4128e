/*
 * One process at a time works in a folder: two that append to one file destroy it. The lock is a file that names its
 * holder; there is no kernel lock to be had here, so whether the holder lives is looked at. On this machine its pid and
 * the start time of that process tell, also where a container gives every process the same pid. A holder on another
 * machine (a shared volume) cannot be looked at: it touches the file again and again, and one that does not is gone.
 */
import { readFileSync } from 'node:fs';
import { link, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { ConfigurationError } from '../../../errors.ts';
import { pause, type Runtime } from '../../../runtime/runtime.ts';

const TOUCH_EVERY_MS = 2_000;
const SILENT_MS = 7_000;
const TRIES = 5;
const LOOKS = 10;
const LOOK_AGAIN_MS = 100;

interface Holder {
  pid: number;
  host: string;
  /** Of the process, as the system counts it; null where that cannot be read. */
  started: string | null;
}

export interface FolderLock {
  release(): Promise<void>;
}

/**
 * Takes the folder for this process.
 * @throws ConfigurationError naming the process that has it
 */
export async function lockFolder(folder: string, runtime: Runtime): Promise<FolderLock> {
  const path = join(folder, 'lock');
  const own: Holder = { pid: process.pid, host: hostname(), started: startOf(process.pid) };
  for (let tried = 0; tried < TRIES; tried++) {
    if (await create(path, own)) return held(path, own, runtime);
    const text = await readFile(path, 'utf8').catch(() => null);
    if (text === null) continue;
    const holder = parse(text);
    if (holder && (await staysAlive(path, holder, own, runtime))) throw refusal(folder, holder, own);
    await takeAway(path, text);
  }
  throw new ConfigurationError([`DATA_DIR ${folder}: its lock changes hands all the time, try again`]);
}

/** Whole from the beginning: nobody finds a lock without a name in it. */
async function create(path: string, own: Holder): Promise<boolean> {
  const draft = `${path}.${process.pid}.new`;
  await writeFile(draft, JSON.stringify(own), { mode: 0o600 });
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

/** Null for what is no lock of ours. */
function parse(text: string): Holder | null {
  try {
    const { pid, host, started } = JSON.parse(text) as Holder;
    return Number.isInteger(pid) && pid > 0 ? { pid, host, started } : null;
  } catch {
    return null;
  }
}

/** A process that was just killed takes a moment to be gone, and whoever starts the next one may not wait for that. */
async function staysAlive(path: string, holder: Holder, own: Holder, runtime: Runtime): Promise<boolean> {
  for (let looks = 1; await isAlive(path, holder, own, runtime); looks++) {
    if (looks >= LOOKS || holder.pid === own.pid || holder.host !== own.host) return true;
    await pause(runtime, LOOK_AGAIN_MS);
  }
  return false;
}

async function isAlive(path: string, holder: Holder, own: Holder, runtime: Runtime): Promise<boolean> {
  if (holder.host !== own.host) return isTouched(path, runtime);
  if (!exists(holder.pid)) return false;
  return holder.started === null || startOf(holder.pid) === holder.started;
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The start time of a living process, by which it differs from a later one with its pid. */
function startOf(pid: number): string | null {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in parentheses may hold anything.
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
    // One that was killed and that nobody has taken leave of keeps its pid and does nothing any more.
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

async function isTouched(path: string, runtime: Runtime): Promise<boolean> {
  const before = await touchedAt(path);
  await pause(runtime, SILENT_MS);
  return (await touchedAt(path)) !== before;
}

async function touchedAt(path: string): Promise<number | null> {
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => null,
  );
}

/** Only what was judged: another process may have taken the folder meanwhile, and gets its lock back. */
async function takeAway(path: string, judged: string): Promise<void> {
  const aside = `${path}.${process.pid}`;
  try {
    await rename(path, aside);
  } catch {
    return;
  }
  if ((await readFile(aside, 'utf8')) === judged) await rm(aside, { force: true });
  else await rename(aside, path);
}

function refusal(folder: string, { pid, host }: Holder, own: Holder): ConfigurationError {
  const who = pid === own.pid && host === own.host ? 'this process itself' : `process ${pid} on ${host}`;
  return new ConfigurationError([
    `DATA_DIR ${folder} is in use by ${who}: stop that one first, or set another DATA_DIR`,
  ]);
}

function held(path: string, own: Holder, runtime: Runtime): FolderLock {
  let released = false;
  let stop = () => {};
  const touch = () => {
    const now = runtime.now() / 1_000;
    // A lock that cannot be touched still stands; on this machine nobody goes by its time.
    void utimes(path, now, now).catch(() => undefined);
    if (!released) stop = runtime.after(TOUCH_EVERY_MS, touch);
  };
  stop = runtime.after(TOUCH_EVERY_MS, touch);
  return {
    release: async () => {
      if (released) return;
      released = true;
      stop();
      const text = await readFile(path, 'utf8').catch(() => null);
      if (text === JSON.stringify(own)) await rm(path, { force: true });
    },
  };
}
