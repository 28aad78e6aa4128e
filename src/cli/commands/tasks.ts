/** `tasks list|get|cancel|retry|history|why|events`. */
import type { Command } from 'commander';
import type { TaskFilter } from '../../client/client.ts';
import type { TaskView } from '../../task/view.ts';
import { type CommandContext, examples, forEachId, type Run } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { countFlag } from '../flags.ts';
import { addManyOptions, changeMany, checkNamed, type ManyFlags, type Words } from './change-many.ts';
import { addTaskEventsCommand } from './events.ts';
import { addHistoryCommand } from './history.ts';
import { addFilterOptions, type FilterFlags, filterOf } from './task-filter.ts';
import { LIST_DEFAULT, LIST_MAX, taskPages } from './task-pages.ts';
import { factsOf, taskColumns } from './task-table.ts';
import { addWhyCommand } from './why.ts';

export function addTaskCommands(program: Command, run: Run): void {
  const tasks = program
    .command('tasks')
    .description('look at tasks and change their course')
    .addHelpText('after', examples('tasks list --state failed', 'tasks get ID', 'tasks why ID', 'tasks cancel ID'));
  addList(tasks, run);
  tasks
    .command('get')
    .argument('<id...>', 'ids of tasks')
    .description('show tasks with their input and result')
    .addHelpText('after', examples('tasks get 01m8v2qk3000abcd00e5f6g7h', 'tasks get ID -o json | jq .result'))
    .action((ids: string[]) => run((context) => getTasks(ids, context)));
  addCancel(tasks, run);
  addRetry(tasks, run);
  addHistoryCommand(tasks, run);
  addWhyCommand(tasks, run);
  addTaskEventsCommand(tasks, run);
}

interface ListFlags extends FilterFlags {
  limit: number;
  all?: boolean;
}

function addList(tasks: Command, run: Run): void {
  const list = tasks.command('list').description('list tasks, newest first');
  addFilterOptions(list)
    .option('--limit <n>', 'at most so many', countFlag(LIST_MAX), LIST_DEFAULT)
    .option('--all', 'however many they are; as ndjson they are printed as they come')
    .addHelpText(
      'after',
      examples(
        'tasks list --state failed --older-than 1h',
        'tasks list --agent echo --label team=blue --all -o ndjson > tasks.ndjson',
      ),
    )
    .action((flags: ListFlags) => run((context) => listTasks(flags, context)));
}

async function listTasks(flags: ListFlags, context: CommandContext): Promise<number> {
  const { client, printer, runtime } = context;
  const filter = filterOf(flags, runtime.now());
  const tasks: TaskView[] = [];
  let shown = 0;
  let more = false;
  const ask = (page: TaskFilter) => client.list({ ...filter, ...page });
  for await (const page of taskPages(ask, flags.all ? LIST_MAX : flags.limit, context)) {
    shown += page.tasks.length;
    more = page.more;
    if (printer.format === 'ndjson') for (const task of page.tasks) printer.line(task);
    else tasks.push(...page.tasks);
  }
  if (printer.format !== 'ndjson') printer.list(tasks, taskColumns(runtime.now()), 'no task matches');
  if (more) printer.note(`shown are the newest ${shown}, there may be more: see --limit and --all`);
  return EXIT.ok;
}

async function getTasks(ids: string[], context: CommandContext): Promise<number> {
  const { client, printer } = context;
  const { done, code } = await forEachId(ids, context, (id) => client.task(id));
  printer.each(done, ids.length, (tasks) => {
    for (const [i, task] of tasks.entries()) {
      if (i > 0) printer.text('');
      printer.facts(factsOf(task));
    }
  });
  return code;
}

const MANY = `
By filter, a person is asked first and sees how many they are; a script says --yes. --dry-run only counts them.`;

function addCancel(tasks: Command, run: Run): void {
  const cancel = tasks
    .command('cancel')
    .argument('[id...]', 'ids of tasks; without them, filters say which')
    .description('cancel tasks, whether they wait or run')
    .option('--reason <text>', 'why; stands in the task as the message of its error');
  addManyOptions(cancel)
    .addHelpText(
      'after',
      `${examples(
        'tasks cancel ID',
        'tasks cancel ID ID --reason "wrong input"',
        'tasks cancel --agent echo --state queued --dry-run',
        'tasks cancel --correlation import-7 --yes',
      )}\n${MANY}`,
    )
    .action((ids: string[], flags: ManyFlags & { reason?: string }) => {
      checkNamed(ids, flags);
      const { reason } = flags;
      return run((context) =>
        changeTasks(ids, flags, context, {
          words: { ask: 'Cancel', done: 'cancelled', noun: 'task' },
          one: (id) => context.client.cancel(id, reason),
          many: (request) => context.client.cancelMany(reason === undefined ? request : { ...request, reason }),
        }),
      );
    });
}

function addRetry(tasks: Command, run: Run): void {
  const retry = tasks
    .command('retry')
    .argument('[id...]', 'ids of failed or cancelled tasks; without them, filters say which')
    .description('give failed or cancelled tasks a new set of attempts');
  addManyOptions(retry)
    .addHelpText(
      'after',
      `${examples(
        'tasks retry ID',
        'tasks retry --agent echo --older-than 1h --dry-run',
        'tasks retry --state cancelled --correlation import-7 --yes',
      )}\n${MANY} Without --state only failed tasks are meant.`,
    )
    .action((ids: string[], flags: ManyFlags) => {
      checkNamed(ids, flags);
      return run((context) =>
        changeTasks(ids, flags, context, {
          words: { ask: 'Retry', done: 'retried', noun: 'task' },
          one: (id) => context.client.retry(id),
          many: (request) => context.client.retryMany(request),
        }),
      );
    });
}

interface Change {
  words: Words;
  one: (id: string) => Promise<TaskView>;
  many: Parameters<typeof changeMany>[2]['ask'];
}

/** Those that are named are shown as they are then; of those of a filter, only how many they were. */
async function changeTasks(
  ids: string[],
  flags: ManyFlags,
  context: CommandContext,
  { words, one, many }: Change,
): Promise<number> {
  if (ids.length === 0 || flags.dryRun) return changeMany(ids, flags, { words, ask: many }, context);
  const { printer, runtime } = context;
  const { done, code } = await forEachId(ids, context, one);
  if (done.length === 0) return code;
  printer.each(done, ids.length, (tasks) => printer.list(tasks, taskColumns(runtime.now()), ''));
  return code;
}
