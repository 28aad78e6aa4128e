/**
 * A worker dies in the middle of the work, and it is watched what becomes of the tasks it held. Everything shown is
 * what the system itself answers: who held what, who finished it, and how often a result was accepted.
 */
import type { Client } from '../client/client.ts';
import { TaskCancelledError, TaskFailedError } from '../client/errors.ts';
import type { TaskHistory } from '../client/transport.ts';
import { pause, type Runtime } from '../runtime/runtime.ts';
import type { TaskState } from '../task/task.ts';
import type { TaskView } from '../task/view.ts';
import type { DemoSystem } from './demo-system.ts';

/** What each task waits beside its real work, so that a worker holds something when it dies. */
export const CRASH_PAUSE_MS = 80;
const PAGE = 500;
/** What is assigned or running is bounded by slots and credit. */
const PAGES_MAX = 20;
/** How often it is looked for a worker that runs several tasks, before any will do. */
const LOOKS_MAX = 10;
const LOOK_EVERY_MS = 20;
const RUNNING_WANTED = 2;

export interface MovedTask {
  readonly id: string;
  readonly file: string;
  /** Who finished it. */
  readonly worker: string;
  /** How often it was given to a worker. */
  readonly assignments: number;
  /** From the death of its first worker to its end. */
  readonly ms: number;
}

export interface CrashSummary {
  readonly worker: string;
  /** Null where the worker was a part of the demo's own process. */
  readonly pid: number | null;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Files that were done at that time, of how many. */
  readonly done: number;
  readonly total: number;
  /** After so much silence it counted as lost. */
  readonly instanceTtlMs: number;
  /** Added to each task. */
  readonly pauseMs: number;
  /** The tasks it held, as they ended elsewhere; the earliest first. */
  readonly moved: readonly MovedTask[];
  /** Tasks that completed, and those of them of which exactly one result was accepted. */
  readonly completed: number;
  readonly acceptedOnce: number;
}

export type Strike = Omit<CrashSummary, 'completed' | 'acceptedOnce'>;

export interface StrikeOptions {
  client: Client;
  system: DemoSystem;
  runtime: Runtime;
  signal: AbortSignal;
  /** Which file a task is about. */
  files: ReadonlyMap<string, string>;
  done: number;
  total: number;
  /** Told once it is dead. */
  onKilled: (killed: { worker: string; pid: number | null; held: number; instanceTtlMs: number }) => void;
}

/** Kills the worker that holds most, and waits until what it held has ended. Null when nobody holds anything any more. */
export async function strike(options: StrikeOptions): Promise<Strike | null> {
  const { client, system, runtime, files, done, total, onKilled } = options;
  const worker = await victim(options);
  if (worker === null) return null;
  system.kill(worker);
  const at = runtime.now();
  const held = (await openTasks(client)).filter((task) => task.worker === worker && files.has(task.id));
  const { instanceTtlMs, processes } = system;
  const pid = processes.find(({ id }) => id === worker)?.pid ?? null;
  onKilled({ worker, pid, held: held.length, instanceTtlMs });
  const moved = await Promise.all(held.map((task) => follow(task.id, at, options)));
  return {
    worker,
    pid,
    at,
    done,
    total,
    instanceTtlMs,
    pauseMs: CRASH_PAUSE_MS,
    // A report that was on its way when its worker died counts, as it must: that task was not lost.
    moved: moved.filter((task) => task.worker !== worker).sort((a, b) => a.ms - b.ms),
  };
}

/** Whoever has most in hand, at a moment when that is something to lose. */
async function victim({ client, runtime, signal }: StrikeOptions): Promise<string | null> {
  let found: string | null = null;
  for (let look = 0; look < LOOKS_MAX; look++) {
    const { worker, running } = busiest(await openTasks(client));
    if (worker === null) return found;
    found = worker;
    if (running >= RUNNING_WANTED) break;
    await pause(runtime, LOOK_EVERY_MS, signal);
  }
  return found;
}

async function openTasks(client: Client): Promise<TaskView[]> {
  const tasks: TaskView[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < PAGES_MAX; page++) {
    const found = await client.list({ state: ['assigned', 'running'], limit: PAGE, ...(cursor ? { cursor } : {}) });
    tasks.push(...found.tasks);
    if (!found.nextCursor) break;
    cursor = found.nextCursor;
  }
  return tasks;
}

/** What runs counts more than what waits at its worker. */
function busiest(tasks: readonly TaskView[]): { worker: string | null; running: number } {
  const held = new Map<string, { running: number; all: number }>();
  for (const { worker, state } of tasks) {
    if (worker === undefined) continue;
    const { running, all } = held.get(worker) ?? { running: 0, all: 0 };
    held.set(worker, { running: running + (state === 'running' ? 1 : 0), all: all + 1 });
  }
  const sorted = [...held].sort(([, a], [, b]) => b.running - a.running || b.all - a.all);
  return { worker: sorted[0]?.[0] ?? null, running: sorted[0]?.[1].running ?? 0 };
}

async function follow(id: string, at: number, { client, runtime, signal, files }: StrikeOptions): Promise<MovedTask> {
  const handle = client.handle(id);
  try {
    await handle.result({ signal });
  } catch (error) {
    if (!(error instanceof TaskFailedError || error instanceof TaskCancelledError)) throw error;
  }
  const ms = runtime.now() - at;
  const { worker = '' } = await handle.task();
  const assignments = entriesInto('assigned', await handle.history());
  return { id, file: files.get(id)!, worker, assignments, ms };
}

/** How many of these tasks have exactly one accepted result in their history. */
export async function countAcceptedOnce(client: Client, ids: readonly string[]): Promise<number> {
  const accepted = await Promise.all(ids.map(async (id) => entriesInto('completed', await client.history(id))));
  return accepted.filter((times) => times === 1).length;
}

function entriesInto(wanted: TaskState, { history }: TaskHistory): number {
  return history.filter(({ kind, state }) => kind === 'transition' && state === wanted).length;
}
