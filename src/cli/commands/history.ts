/** `tasks history`: of some tasks, or of all that belong together. */
import type { Command } from 'commander';
import type { CorrelatedHistory } from '../../service/history-service.ts';
import { type CommandContext, examples, forEachId, type Run, unlessInterrupted } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { count } from '../human.ts';
import type { Column } from '../table.ts';
import { UsageError } from '../usage-error.ts';
import { HISTORY } from './task-table.ts';

/** Each looks at 1,000 tasks at most. */
const PAGES_MAX = 100;

export function addHistoryCommand(tasks: Command, run: Run): void {
  tasks
    .command('history')
    .argument('[id...]', 'ids of tasks')
    .description('show every transition of tasks and the messages behind them')
    .option('--correlation <id>', 'of all tasks with this correlation id, by time')
    .addHelpText(
      'after',
      examples('tasks history ID', 'tasks history ID -o ndjson', 'tasks history --correlation import-7'),
    )
    .action((ids: string[], { correlation }: { correlation?: string }) => {
      if (correlation === undefined && ids.length === 0)
        throw new UsageError('no task is named; wanted ids, or --correlation ID');
      if (correlation !== undefined && ids.length > 0)
        throw new UsageError(
          'ids and --correlation cannot stand together: one or the other says which tasks are meant',
        );
      return run((context) =>
        correlation === undefined ? showHistory(ids, context) : showCorrelated(correlation, context),
      );
    });
}

async function showHistory(ids: string[], context: CommandContext): Promise<number> {
  const { client, printer } = context;
  const { done, code } = await forEachId(ids, context, (id) => client.history(id));
  printer.each(done, ids.length, (histories) => {
    for (const { task, history, dropped } of histories) {
      if (ids.length > 1) printer.text(`task ${task}`);
      printer.list(history, HISTORY, 'nothing has happened yet');
      if (dropped > 0) printer.note(`${dropped} lines from the middle of the history of ${task} were not kept`);
    }
  });
  return code;
}

type Line = CorrelatedHistory['history'][number];

const [TIME, ...REST] = HISTORY as Column<Line>[];
const CORRELATED: Column<Line>[] = [TIME!, { name: 'TASK', of: ({ task }) => task, whole: true }, ...REST];

async function showCorrelated(correlation: string, context: CommandContext): Promise<number> {
  const { printer } = context;
  const { tasks, history, dropped, nextCursor } = await readCorrelated(correlation, context);
  if (tasks.length === 0) {
    printer.note(`error: no task has the correlation id ${JSON.stringify(correlation)}`);
    return EXIT.failed;
  }
  if (printer.format === 'json') printer.json({ correlationId: correlation, tasks, history, dropped });
  else printer.list(history, CORRELATED, 'nothing has happened yet');
  if (dropped > 0) printer.note(`${count(dropped, 'line')} from the middle of long histories were not kept`);
  if (nextCursor !== null) printer.note(`only the newest ${count(tasks.length, 'task')} are shown`);
  return EXIT.ok;
}

async function readCorrelated(correlation: string, { client, signal }: CommandContext) {
  const ask = (cursor?: string) => unlessInterrupted(client.correlated(correlation, cursor), signal);
  const all = await ask();
  for (let page = 1; page < PAGES_MAX && all.nextCursor !== null; page++) {
    const { tasks, history, dropped, nextCursor } = await ask(all.nextCursor);
    all.tasks.push(...tasks);
    all.history.push(...history);
    all.dropped += dropped;
    all.nextCursor = nextCursor;
  }
  all.history.sort((a, b) => (a.at === b.at ? 0 : a.at < b.at ? -1 : 1));
  return all;
}
