/*
 * The main job on real input: a task for each text file of a folder, the big ones first, on four workers of the real
 * system, and a last task that joins the results. It submits and waits as any program would; nothing here is in on it.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Agent } from '../agent/define-agent.ts';
import type { Client, TaskHandle } from '../client/client.ts';
import { TaskCancelledError, TaskFailedError } from '../client/errors.ts';
import { AgentSystemError } from '../errors.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { TaskView } from '../task/view.ts';
import type { JoinReportInput, JoinReportResult } from './agents.ts';
import { fileAnalyst, reportWriter } from './demo-agents.ts';
import { type FoundFile, type FoundFiles, findFiles, type SkippedFile } from './find-files.ts';
import { fitResults } from './fit-results.ts';
import type { FileResult, ReportMeta, WorkerSummary } from './report.ts';

/** Unlike each other on purpose: the least loaded is chosen by its share of free slots. */
export const DEMO_WORKERS: readonly DemoWorker[] = [
  { id: 'worker-1', slots: 1 },
  { id: 'worker-2', slots: 2 },
  { id: 'worker-3', slots: 3 },
  { id: 'worker-4', slots: 4 },
];
/** The joining task takes the results of all files as its input. */
export const DEMO_PAYLOAD_BYTES_MAX = 16 * 1024 * 1024;
const PRIORITY_FIRST = 9;
const PRIORITY_LAST = 1;
/** For the fields around the results in the input of the joining task. */
const INPUT_EXTRA_BYTES = 4 * 1024;

export interface DemoWorker {
  id: string;
  slots: number;
}

/** The three roles in this process on the embedded store, with these workers and agents. */
export type StartDemoSystem = (options: {
  agents: readonly Agent[];
  workers: readonly DemoWorker[];
  maxPayloadBytes: number;
}) => Promise<DemoSystem>;

export interface DemoSystem {
  readonly client: Client;
  /** Resolves when the system has ended, also by itself. */
  readonly ended: Promise<number>;
  stop(): Promise<void>;
}

export interface DemoOptions {
  /** Undefined = the project's own files. */
  folder: string | undefined;
  /** Where `report.html` and `report.json` are written. */
  out: string;
  startSystem: StartDemoSystem;
  runtime: Runtime;
  signal: AbortSignal;
  listener: DemoListener;
}

/** Told while it runs. */
export interface DemoListener {
  found(files: FoundFiles): void;
  progress(state: { done: number; failed: number; total: number }): void;
}

export interface DemoSummary {
  folder: string;
  files: number;
  words: number;
  /** From the first submit to the last result of a file, milliseconds. */
  elapsedMs: number;
  tasksPerSecond: number;
  workers: WorkerSummary[];
  /** Left out when the folder was read, and files whose task failed. */
  skipped: readonly SkippedFile[];
  skippedMore: number;
  html: string;
  json: string;
}

/** @throws FileError for a folder that is none, what the joining task failed with, or the reason of `signal` */
export async function runDemo(options: DemoOptions): Promise<DemoSummary> {
  const ignore = ['report.html', 'report.json'].map((name) => join(options.out, name));
  const found = await findFiles(options.folder ?? projectFolder(), { ignore });
  options.listener.found(found);
  options.signal.throwIfAborted();
  const agents = [fileAnalyst, reportWriter] as Agent[];
  const system = await options.startSystem({ agents, workers: DEMO_WORKERS, maxPayloadBytes: DEMO_PAYLOAD_BYTES_MAX });
  try {
    return await Promise.race([work(found, system.client, options), brokenDown(system)]);
  } finally {
    await system.stop();
  }
}

async function brokenDown({ ended }: DemoSystem): Promise<never> {
  const code = await ended;
  throw new AgentSystemError(
    'SYSTEM_ENDED',
    `the system of the demo ended before its work was done (exit code ${code})`,
  );
}

/** Of the package: this file lies two folders below it, as source and as built. */
function projectFolder(): string {
  return fileURLToPath(new URL('../..', import.meta.url));
}

async function work(found: FoundFiles, client: Client, options: DemoOptions): Promise<DemoSummary> {
  const startedAt = options.runtime.now();
  const ended = await analyseAll(found, client, options);
  const endedAt = options.runtime.now();
  const failed = ended.filter(({ task }) => task.state !== 'completed');
  const results = ended.flatMap(({ task }) => (task.state === 'completed' ? [task.result as FileResult] : []));
  const meta: ReportMeta = {
    folder: found.root,
    startedAt,
    endedAt,
    workers: DEMO_WORKERS.map((worker) => summaryOf(worker, ended)),
    timeline: ended.flatMap(({ file, task }) => timelineOf(file, task)),
    skipped: [...found.skipped, ...failed.map(({ file, task }) => ({ path: file.path, why: whyNot(task) }))],
    skippedMore: found.skippedMore,
    cut: found.cut,
  };
  const written = await joinAll({ results, meta, out: options.out }, client, options.signal);
  const elapsedMs = endedAt - startedAt;
  const tasksPerSecond = elapsedMs > 0 ? (ended.length * 1_000) / elapsedMs : 0;
  const { folder, workers, skipped } = meta;
  return {
    folder,
    ...written,
    elapsedMs,
    tasksPerSecond,
    workers: [...workers],
    skipped,
    skippedMore: found.skippedMore,
  };
}

interface Ended {
  file: FoundFile;
  task: TaskView;
}

async function analyseAll({ root, files }: FoundFiles, client: Client, options: DemoOptions): Promise<Ended[]> {
  const { listener, signal } = options;
  const state = { done: 0, failed: 0, total: files.length };
  listener.progress(state);
  return Promise.all(
    byPriority(files).map(async ({ file, priority }) => {
      const handle = await client.submit(fileAnalyst, { root, path: file.path }, { priority });
      const task = await endOf(handle, signal);
      state.done++;
      if (task.state !== 'completed') state.failed++;
      listener.progress(state);
      return { file, task };
    }),
  );
}

/** Big files first, so that the last ones to run are short and no worker is left with a long one at the end. */
export function byPriority(files: readonly FoundFile[]): { file: FoundFile; priority: number }[] {
  const levels = PRIORITY_FIRST - PRIORITY_LAST + 1;
  const sorted = files.toSorted((a, b) => b.bytes - a.bytes);
  return sorted.map((file, rank) => ({ file, priority: PRIORITY_FIRST - Math.floor((rank * levels) / sorted.length) }));
}

/** The task, whichever way it ended: one bad file must not end the demo. */
async function endOf(handle: TaskHandle<unknown>, signal: AbortSignal): Promise<TaskView> {
  try {
    await handle.result({ signal });
    return await handle.task();
  } catch (error) {
    if (error instanceof TaskFailedError || error instanceof TaskCancelledError) return error.task;
    throw error;
  }
}

async function joinAll(input: JoinReportInput, client: Client, signal: AbortSignal): Promise<JoinReportResult> {
  const around = Buffer.byteLength(JSON.stringify({ ...input, results: [] })) + INPUT_EXTRA_BYTES;
  const { results, bytes, fits } = fitResults(input.results, DEMO_PAYLOAD_BYTES_MAX - around);
  if (!fits) {
    throw new AgentSystemError(
      'PAYLOAD_TOO_LARGE',
      `the results of ${results.length} files have ${bytes} bytes, more than a task may take; choose a smaller folder`,
    );
  }
  const handle = await client.submit(reportWriter, { ...input, results }, { priority: 'high' });
  return handle.result({ signal });
}

function summaryOf({ id, slots }: DemoWorker, ended: readonly Ended[]): WorkerSummary {
  const own = ended.filter(({ task }) => task.worker === id);
  const busyMs = own.reduce((sum, { task }) => sum + (task.ranMs ?? 0), 0);
  return { id, slots, tasks: own.length, busyMs };
}

function timelineOf({ path }: FoundFile, { worker, startedAt, ranMs }: TaskView): ReportMeta['timeline'] {
  if (worker === undefined || startedAt === undefined || ranMs === undefined) return [];
  return [{ file: path, worker, startedAt: timeOf(startedAt), endedAt: timeOf(startedAt) + ranMs }];
}

function timeOf(iso: string | undefined): number {
  return iso === undefined ? 0 : Date.parse(iso);
}

/** The handler names the file before what it found; the report lists it under that name anyway. */
function whyNot({ error, state, input }: TaskView): string {
  const { path } = (input ?? {}) as { path?: string };
  const message = error?.message ?? state;
  return path !== undefined && message.startsWith(`${path}: `) ? message.slice(path.length + 2) : message;
}
