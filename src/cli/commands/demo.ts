import { basename, relative } from 'node:path';
import type { Command } from 'commander';
import type { FoundFiles } from '../../demo/find-files.ts';
import { type DemoSummary, runDemo, type StartDemoSystem } from '../../demo/run.ts';
import type { Runtime } from '../../runtime/runtime.ts';
import { examples, type GlobalOptions, interruptible } from '../command.ts';
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

export function addDemoCommand(program: Command, parts: DemoParts, done: (code: number) => void): void {
  program
    .command('demo')
    .argument('[folder]', "folder to read; the project's own files without one")
    .description('the whole system at work: a task for each text file, a report at the end')
    .addHelpText('after', examples('demo', 'demo ~/notes'))
    .action(async (folder: string | undefined) => {
      done(await demo(folder, program.opts<GlobalOptions>(), parts));
    });
}

async function demo(folder: string | undefined, { output }: GlobalOptions, parts: DemoParts): Promise<number> {
  const { io, runtime, startSystem } = parts;
  const printer = new Printer(output, io);
  const bar = new Progress({ io, runtime, noun: 'files' });
  const { signal, close } = interruptible(io);
  try {
    const summary = await runDemo({
      folder,
      out: io.cwd,
      startSystem,
      runtime,
      signal,
      listener: {
        found: (files) => printer.note(foundSentence(files)),
        progress: ({ done, failed, total }) => {
          const note = failed > 0 ? `${failed} failed` : undefined;
          if (total > 0) bar.update({ done, total, fraction: done / total, note });
        },
      },
    });
    bar.clear();
    if (output === 'table') show(summary, printer, io.cwd);
    else printer.value(summary);
    return 0;
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
      : `${count(files.length, 'text file')} in ${printable(root)}, a task for each, on three roles and four workers in this process`,
  ];
  if (cut !== null) lines.push(`not everything is read: the walk ${cut}`);
  return lines.join('\n');
}

const WORKERS: Column<DemoSummary['workers'][number]>[] = [
  { name: 'WORKER', of: ({ id }) => id, whole: true },
  { name: 'SLOTS', of: ({ slots }) => slots, align: 'right' },
  { name: 'TASKS', of: ({ tasks }) => tasks, align: 'right' },
  { name: 'BUSY', of: ({ busyMs }) => longDuration(busyMs), align: 'right' },
];

function show(summary: DemoSummary, printer: Printer, cwd: string): void {
  const { files, words, elapsedMs, tasksPerSecond, workers } = summary;
  const speed = tasksPerSecond > 0 ? `, ${Math.round(tasksPerSecond).toLocaleString('en')} tasks/s` : '';
  printer.text(`${count(files, 'file')}, ${count(words, 'word')} in ${longDuration(elapsedMs)}${speed}`);
  if (files > 0) printer.list(workers, WORKERS, '');
  for (const line of leftOut(summary)) printer.text(line);
  const [html, json] = [summary.html, summary.json].map((path) => shortPath(path, cwd));
  printer.text(`Report: ${html} (open it in a browser), ${json}`);
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
