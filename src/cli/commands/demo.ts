import { basename, relative } from 'node:path';
import type { Command } from 'commander';
import type { CrashSummary } from '../../demo/crash.ts';
import type { DemoProcess, DemoWorker, StartDemoSystem } from '../../demo/demo-system.ts';
import type { FoundFiles } from '../../demo/find-files.ts';
import { type DemoSummary, runDemo } from '../../demo/run.ts';
import { StoreUnavailableError } from '../../errors.ts';
import type { Runtime } from '../../runtime/runtime.ts';
import { examples, type GlobalOptions, interruptible } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { count, longDuration } from '../human.ts';
import type { Io } from '../io.ts';
import { Printer } from '../printer.ts';
import { Progress } from '../progress.ts';
import type { Column } from '../table.ts';
import { printable } from '../text-width.ts';

/** Files left out that are named on the way; the report names them all. */
const SKIPPED_SHOWN = 10;

export interface DemoParts {
  io: Io;
  runtime: Runtime;
  startSystem: StartDemoSystem;
}

interface DemoFlags {
  redis?: string;
  crash?: boolean;
}

const HELP = `${examples('demo', 'demo ~/notes', 'demo --crash', 'demo --redis redis://127.0.0.1:6379/0 --crash')}

With --redis, a coordinator, a distributor and three workers run as processes of their own on that Redis, with a secret
and a key prefix made for this run; both are gone afterwards. Of the environment only REDIS_USERNAME, REDIS_PASSWORD,
ALLOW_UNSAFE_REDIS and the files for TLS (REDIS_CA_FILE, ...) count. With --crash, every file takes 80 ms longer than it
has to, so that the killed worker holds something.`;

export function addDemoCommand(program: Command, parts: DemoParts, done: (code: number) => void): void {
  program
    .command('demo')
    .argument('[folder]', "folder to read; the project's own files without one")
    .description('the whole system at work: a task for each text file, a report at the end')
    .option('--redis <url>', 'run each role as a process of its own on this Redis, which keeps nothing of it')
    .option('--crash', 'kill a worker in the middle and show what becomes of its tasks')
    .addHelpText('after', HELP)
    .action(async (folder: string | undefined, flags: DemoFlags) => {
      done(await demo(folder, { ...program.opts<GlobalOptions>(), ...flags }, parts));
    });
}

async function demo(folder: string | undefined, flags: GlobalOptions & DemoFlags, parts: DemoParts): Promise<number> {
  const { io, runtime, startSystem } = parts;
  const { output, redis = null, crash = false } = flags;
  const printer = new Printer(output, io);
  const bar = new Progress({ io, runtime, noun: 'files' });
  const note = (text: string) => {
    bar.clear();
    printer.note(text);
  };
  const { signal, close } = interruptible(io);
  try {
    const summary = await runDemo({
      folder,
      out: io.cwd,
      redis,
      crash,
      startSystem,
      runtime,
      signal,
      listener: {
        found: (files) => note(foundSentence(files)),
        started: ({ workers, processes }) => note(startedSentence(workers, processes)),
        killed: (worker) => note(killedSentence(worker)),
        progress: ({ done, failed, total }) => {
          const failures = failed > 0 ? `${failed} failed` : undefined;
          if (total > 0) bar.update({ done, total, fraction: done / total, note: failures });
        },
      },
    });
    bar.clear();
    if (output === 'table') show(summary, printer, { cwd: io.cwd, crash });
    else printer.value(summary);
    return EXIT.ok;
  } catch (error) {
    bar.clear();
    if (!(error instanceof StoreUnavailableError)) throw error;
    printer.note(`error: ${printable(error.message)}\nwanted a Redis that answers at the address of --redis`);
    return EXIT.unreachable;
  } finally {
    bar.clear();
    close();
  }
}

function foundSentence({ root, files, skipped, skippedMore, cut }: FoundFiles): string {
  const left = skipped.length + skippedMore;
  const lines = [
    files.length === 0
      ? `${printable(root)} holds no text file that can be read${left > 0 ? `; ${left} left out` : ''}`
      : `${count(files.length, 'text file')} in ${printable(root)}, a task for each`,
  ];
  if (cut !== null) lines.push(`not everything is read: the walk ${cut}`);
  return lines.join('\n');
}

function startedSentence(workers: readonly DemoWorker[], processes: readonly DemoProcess[]): string {
  if (processes.length === 0) return `coordinator, distributor and ${workers.length} workers in this process`;
  return `processes on Redis: ${processes.map(({ id, pid }) => `${id} (pid ${pid})`).join(', ')}`;
}

function killedSentence(killed: { worker: string; pid: number | null; held: number; instanceTtlMs: number }): string {
  const { worker, pid, held, instanceTtlMs } = killed;
  const how = pid === null ? `${worker} was stopped dead` : `${worker} was killed (SIGKILL, pid ${pid})`;
  return `${how} with ${count(held, 'task')} in its hands; after ${longDuration(instanceTtlMs)} of silence it counts as lost`;
}

const WORKERS: Column<DemoSummary['workers'][number]>[] = [
  { name: 'WORKER', of: ({ id, killed }) => (killed ? `${id} (killed)` : id), whole: true },
  { name: 'SLOTS', of: ({ slots }) => slots, align: 'right' },
  { name: 'TASKS', of: ({ tasks }) => tasks, align: 'right' },
  { name: 'BUSY', of: ({ busyMs }) => longDuration(busyMs), align: 'right' },
];

function show(summary: DemoSummary, printer: Printer, { cwd, crash }: { cwd: string; crash: boolean }): void {
  const { files, words, elapsedMs, tasksPerSecond, workers } = summary;
  const speed = tasksPerSecond > 0 ? `, ${Math.round(tasksPerSecond).toLocaleString('en')} tasks/s` : '';
  printer.text(`${count(files, 'file')}, ${count(words, 'word')} in ${longDuration(elapsedMs)}${speed}`);
  if (files > 0) printer.list(workers, WORKERS, '');
  if (crash) for (const line of crashLines(summary.crash)) printer.text(line);
  printer.text(repeatsLine(summary));
  for (const line of leftOut(summary)) printer.text(line);
  const [html, json] = [summary.html, summary.json].map((path) => shortPath(path, cwd));
  printer.text(`Report: ${html} (open it in a browser), ${json}`);
}

function crashLines(crash: CrashSummary | null): string[] {
  if (crash === null) return ['No worker was killed: too few files, none held a task any more'];
  const { worker, done, total, moved, completed, acceptedOnce, pauseMs } = crash;
  const others = [...new Set(moved.map((task) => task.worker))].sort().join(', ');
  const last = longDuration(moved.at(-1)?.ms ?? 0);
  const after = `${worker} was killed after ${done.toLocaleString('en')} of ${count(total, 'file')}`;
  const once = `${acceptedOnce.toLocaleString('en')} of ${completed.toLocaleString('en')} completed tasks have exactly one accepted result`;
  return [
    moved.length === 0
      ? `${after}; what it held, it had just finished`
      : `${after}; ${moved.length === 1 ? 'the task' : `the ${moved.length} tasks`} it held finished on ${others}${moved.length === 1 ? '' : ', the last one'} ${last} later`,
    `${once}; each took ${pauseMs} ms longer on purpose`,
  ];
}

function repeatsLine({ duplicates: { groups, boilerplate, paragraphs, files, cut } }: DemoSummary): string {
  const common =
    boilerplate.length > 0 ? `, and ${count(boilerplate[0]!.files, 'file')} share the same boilerplate` : '';
  const [first] = groups;
  if (!first) return `No paragraph stands in several files${common}${cut ? ' (not all were compared)' : ''}`;
  const [here, there] = [first.places[0]!, first.places.find(({ path }) => path !== first.places[0]!.path)];
  const example = there
    ? `; most of all ${printable(here.path)}:${here.line} and ${printable(there.path)}:${there.line}`
    : '';
  return `${count(paragraphs, 'paragraph')} in several files, word for word or almost (${count(files, 'file')} in all)${example}${common}${cut ? ' (not all were compared)' : ''}`;
}

/** What a person did not choose to leave out comes first; hidden and installed files are only counted. */
function leftOut({ skipped, skippedMore }: DemoSummary): string[] {
  const total = skipped.length + skippedMore;
  if (total === 0) return [];
  const notable = skipped.filter(({ why }) => /found /.test(why));
  const shown = notable.slice(0, SKIPPED_SHOWN).map(({ path, why }) => `  ${printable(path)}: ${printable(why)}`);
  const more = notable.length > shown.length ? [`  and ${notable.length - shown.length} more like these`] : [];
  return [`Left out: ${total.toLocaleString('en')}, each with its reason in the report`, ...shown, ...more];
}

function shortPath(path: string, cwd: string): string {
  return relative(cwd, path) === basename(path) ? basename(path) : path;
}
