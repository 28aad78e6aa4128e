/*
 * The main job on real input: a task for each text file of a folder, the big ones first, on the workers of the real
 * system; then one that compares the paragraphs of all files, and one that joins the results. It submits and waits as
 * any program would; nothing here is in on it.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Agent } from '../agent/define-agent.ts';
import type { Client, TaskHandle } from '../client/client.ts';
import { TaskCancelledError, TaskFailedError } from '../client/errors.ts';
import { AgentSystemError } from '../errors.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { TaskView } from '../task/view.ts';
import type { AnalysedFile, JoinReportInput, JoinReportResult } from './agents.ts';
import { CRASH_PAUSE_MS, type CrashSummary, countAcceptedOnce, type Strike, strike } from './crash.ts';
import { duplicateFinder, fileAnalyst, reportWriter } from './demo-agents.ts';
import type { DemoProcess, DemoSystem, DemoWorker, StartDemoSystem } from './demo-system.ts';
import type { Duplicates } from './find-duplicates.ts';
import { type FoundFile, type FoundFiles, findFiles, type SkippedFile } from './find-files.ts';
import { fitResults } from './fit-results.ts';
import type { FileResult, ReportMeta, WorkerSummary } from './report.ts';
import { fitSketches } from './sketch.ts';

/** Unlike each other on purpose: the least loaded is chosen by its share of free slots. */
export const DEMO_WORKERS: readonly DemoWorker[] = [
  { id: 'worker-1', slots: 1 },
  { id: 'worker-2', slots: 2 },
  { id: 'worker-3', slots: 3 },
  { id: 'worker-4', slots: 4 },
];
/** Where each is a process of its own. */
export const DEMO_PROCESS_WORKERS: readonly DemoWorker[] = [
  { id: 'worker-1', slots: 2 },
  { id: 'worker-2', slots: 3 },
  { id: 'worker-3', slots: 4 },
];
/** The joining tasks take what was found out about all files as their input. */
export const DEMO_PAYLOAD_BYTES_MAX = 16 * 1024 * 1024;
const PRIORITY_FIRST = 9;
const PRIORITY_LAST = 1;
/** For the fields around the results in the input of the joining task. */
const INPUT_EXTRA_BYTES = 4 * 1024;
/** A worker is killed when this share of the files is done. */
const CRASH_AFTER = 1 / 3;

export interface DemoOptions {
  /** Undefined = the project's own files. */
  folder: string | undefined;
  /** Where `report.html` and `report.json` are written. */
  out: string;
  /** URL of the Redis on which the roles run as processes; null = embedded, all in this process. */
  redis: string | null;
  /** Kill a worker in the middle. */
  crash: boolean;
  startSystem: StartDemoSystem;
  runtime: Runtime;
  signal: AbortSignal;
  listener: DemoListener;
}

/** Told while it runs. */
export interface DemoListener {
  found(files: FoundFiles): void;
  started(system: { workers: readonly DemoWorker[]; processes: readonly DemoProcess[] }): void;
  progress(state: { done: number; failed: number; total: number }): void;
  killed(worker: { worker: string; pid: number | null; held: number; instanceTtlMs: number }): void;
}

export interface DemoSummary {
  folder: string;
  files: number;
  words: number;
  /** From the first submit to the last result of a file, milliseconds. */
  elapsedMs: number;
  tasksPerSecond: number;
  workers: WorkerSummary[];
  /** The roles that had a process each; none when all were in this one. */
  processes: readonly DemoProcess[];
  duplicates: Duplicates;
  /** Null when no worker was to be killed, or none held anything when it was time. */
  crash: CrashSummary | null;
  /** Left out when the folder was read, and files whose task failed. */
  skipped: readonly SkippedFile[];
  skippedMore: number;
  html: string;
  json: string;
}

/** @throws FileError for a folder that is none, what the joining task failed with, or the reason of `signal` */
export async function runDemo(options: DemoOptions): Promise<DemoSummary> {
  const { redis, crash, signal } = options;
  const ignore = ['report.html', 'report.json'].map((name) => join(options.out, name));
  const found = await findFiles(options.folder ?? projectFolder(), { ignore });
  options.listener.found(found);
  signal.throwIfAborted();
  const agents = [fileAnalyst, duplicateFinder, reportWriter] as Agent[];
  const workers = redis === null ? DEMO_WORKERS : DEMO_PROCESS_WORKERS;
  const maxPayloadBytes = DEMO_PAYLOAD_BYTES_MAX;
  const system = await options.startSystem({ agents, workers, maxPayloadBytes, redis, crash, signal });
  try {
    options.listener.started({ workers, processes: system.processes });
    return await Promise.race([work({ found, system, workers, options }), brokenDown(system)]);
  } finally {
    await system.stop();
  }
}

async function brokenDown({ ended }: DemoSystem): Promise<never> {
  throw new AgentSystemError('SYSTEM_ENDED', `the demo's work was not done yet: ${await ended}`);
}

/** Of the package: this file lies two folders below it, as source and as built. */
function projectFolder(): string {
  return fileURLToPath(new URL('../..', import.meta.url));
}

interface Work {
  found: FoundFiles;
  system: DemoSystem;
  workers: readonly DemoWorker[];
  options: DemoOptions;
}

async function work(given: Work): Promise<DemoSummary> {
  const { found, system, workers, options } = given;
  const { client, processes } = system;
  const startedAt = options.runtime.now();
  const { ended, struck } = await analyseAll(given);
  const endedAt = options.runtime.now();
  const failed = ended.filter(({ task }) => task.state !== 'completed');
  const analysed = ended.flatMap(({ task }) => (task.state === 'completed' ? [task.result as AnalysedFile] : []));
  const duplicates = await compareAll(found.root, analysed, client, options.signal);
  const crash = struck && (await summaryOfCrash(struck, ended, client));
  const meta: ReportMeta = {
    folder: found.root,
    startedAt,
    endedAt,
    workers: workers.map((worker) => summaryOf(worker, ended, crash)),
    timeline: ended.flatMap(({ file, task }) => timelineOf(file, task)),
    skipped: [...found.skipped, ...failed.map(({ file, task }) => ({ path: file.path, why: whyNot(task) }))],
    skippedMore: found.skippedMore,
    cut: found.cut,
    duplicates,
    crash,
  };
  const results = analysed.map(({ sketch: _sketch, ...result }): FileResult => result);
  const written = await joinAll({ results, meta, out: options.out }, client, options.signal);
  const elapsedMs = endedAt - startedAt;
  const tasksPerSecond = elapsedMs > 0 ? (ended.length * 1_000) / elapsedMs : 0;
  const { folder, skipped } = meta;
  const facts = { folder, ...written, elapsedMs, tasksPerSecond, workers: [...meta.workers], processes };
  return { ...facts, duplicates, crash, skipped, skippedMore: found.skippedMore };
}

interface Ended {
  file: FoundFile;
  task: TaskView;
}

async function analyseAll({ found: { root, files }, system, options }: Work) {
  const { listener, signal, crash, runtime } = options;
  const { client } = system;
  const state = { done: 0, failed: 0, total: files.length };
  const fileOf = new Map<string, string>();
  let striking: Promise<Strike | null> | null = null;
  const progressed = () => {
    listener.progress(state);
    if (!crash || striking || state.done < files.length * CRASH_AFTER) return;
    const onKilled: DemoListener['killed'] = (worker) => listener.killed(worker);
    striking = strike({ client, system, runtime, signal, files: fileOf, ...state, onKilled });
    // Whoever waits for the files waits for this as well; until then nobody listens.
    striking.catch(() => undefined);
  };
  listener.progress(state);
  const pauseMs = crash ? CRASH_PAUSE_MS : undefined;
  const ended = await Promise.all(
    byPriority(files).map(async ({ file, priority }, rank): Promise<Ended> => {
      const { path } = file;
      const handle = await client.submit(fileAnalyst, { root, path, pauseMs }, { priority, key: `file-${rank}` });
      fileOf.set(handle.id, path);
      const task = await endOf(handle, signal);
      state.done++;
      if (task.state !== 'completed') state.failed++;
      progressed();
      return { file, task };
    }),
  );
  return { ended, struck: await (striking as Promise<Strike | null> | null) };
}

/** A task over the fingerprints of all files, as many as it may take. */
async function compareAll(root: string, analysed: readonly AnalysedFile[], client: Client, signal: AbortSignal) {
  const bare = analysed.map(({ path }) => ({ path, sketch: '' }));
  const around = Buffer.byteLength(JSON.stringify({ root, files: bare })) + INPUT_EXTRA_BYTES;
  const all = analysed.map(({ sketch }) => sketch);
  const { sketches, share } = fitSketches(all, DEMO_PAYLOAD_BYTES_MAX - around);
  const files = analysed.map(({ path }, i) => ({ path, sketch: sketches[i]! }));
  const handle = await client.submit(duplicateFinder, { root, files }, { priority: 'high', key: 'duplicates' });
  const found = await handle.result({ signal });
  return { ...found, cut: found.cut || share < 1 };
}

async function summaryOfCrash(struck: Strike, ended: readonly Ended[], client: Client): Promise<CrashSummary> {
  const completed = ended.filter(({ task }) => task.state === 'completed').map(({ task }) => task.id);
  return { ...struck, completed: completed.length, acceptedOnce: await countAcceptedOnce(client, completed) };
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
  const handle = await client.submit(reportWriter, { ...input, results }, { priority: 'high', key: 'report' });
  return handle.result({ signal });
}

function summaryOf({ id, slots }: DemoWorker, ended: readonly Ended[], crash: CrashSummary | null): WorkerSummary {
  const own = ended.filter(({ task }) => task.worker === id);
  const busyMs = own.reduce((sum, { task }) => sum + (task.ranMs ?? 0), 0);
  return { id, slots, tasks: own.length, busyMs, ...(crash?.worker === id ? { killed: true } : {}) };
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
