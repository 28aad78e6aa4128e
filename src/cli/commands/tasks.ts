/** `tasks list|get|cancel|retry|history`. */
import type { Command } from 'commander';
import type { TaskFilter } from '../../client/client.ts';
import { LIST_LIMIT_MAX } from '../../service/task-list.ts';
import type { TaskState } from '../../task/task.ts';
import type { HistoryLine, TaskView } from '../../task/view.ts';
import { type CommandContext, examples, forEachId, type Run, unlessInterrupted } from '../command.ts';
import { countFlag, durationFlag, labelFlag, stateFlag } from '../flags.ts';
import { longDuration, shortDuration } from '../human.ts';
import type { Column, Style } from '../table.ts';

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 100_000;
/** A filter that matches little is answered in short pages; so many of them are asked for. */
const PAGES_MAX = 1_000;

export function addTaskCommands(program: Command, run: Run): void {
  const tasks = program
    .command('tasks')
    .description('look at tasks and change their course')
    .addHelpText('after', examples('tasks list --state failed', 'tasks get ID', 'tasks cancel ID'));
  addList(tasks, run);
  tasks
    .command('get')
    .argument('<id...>', 'ids of tasks')
    .description('show tasks with their input and result')
    .addHelpText('after', examples('tasks get 01m8v2qk3000abcd00e5f6g7h', 'tasks get ID -o json | jq .result'))
    .action((ids: string[]) => run((context) => getTasks(ids, context)));
  tasks
    .command('cancel')
    .argument('<id...>', 'ids of tasks')
    .option('--reason <text>', 'why; stands in the task as the message of its error')
    .description('cancel tasks, whether they wait or run')
    .addHelpText('after', examples('tasks cancel ID', 'tasks cancel ID ID --reason "wrong input"'))
    .action((ids: string[], { reason }: { reason?: string }) =>
      run((context) => change(ids, context, (id) => context.client.cancel(id, reason))),
    );
  tasks
    .command('retry')
    .argument('<id...>', 'ids of failed or cancelled tasks')
    .description('give failed or cancelled tasks a new set of attempts')
    .addHelpText('after', examples('tasks retry ID'))
    .action((ids: string[]) => run((context) => change(ids, context, (id) => context.client.retry(id))));
  tasks
    .command('history')
    .argument('<id...>', 'ids of tasks')
    .description('show every transition of tasks and the messages behind them')
    .addHelpText('after', examples('tasks history ID', 'tasks history ID -o ndjson'))
    .action((ids: string[]) => run((context) => showHistory(ids, context)));
}

interface ListOptions {
  state?: TaskState[];
  agent?: string;
  tenant?: string;
  label?: Record<string, string>;
  correlation?: string;
  olderThan?: number;
  limit: number;
}

function addList(tasks: Command, run: Run): void {
  tasks
    .command('list')
    .description('list tasks, newest first')
    .option('--state <states>', 'only these states, with commas between them', stateFlag)
    .option('--agent <name>', 'only tasks of this agent')
    .option('--tenant <name>', 'only tasks of this tenant')
    .option('--label <name=value>', 'only tasks with this label; repeatable', labelFlag)
    .option('--correlation <id>', 'only tasks with this correlation id')
    .option('--older-than <duration>', 'only tasks created longer ago than this', durationFlag)
    .option('--limit <n>', 'at most so many', countFlag(LIMIT_MAX), LIMIT_DEFAULT)
    .addHelpText(
      'after',
      examples('tasks list --state failed --older-than 1h', 'tasks list --agent echo --label team=blue -o ndjson'),
    )
    .action((options: ListOptions) => run((context) => listTasks(options, context)));
}

async function listTasks(options: ListOptions, context: CommandContext): Promise<number> {
  const { printer, runtime } = context;
  const { tasks, more } = await read(options, context);
  printer.list(tasks, taskColumns(runtime.now()), 'no task matches');
  if (more) printer.note(`these are the newest ${tasks.length}, there may be more; --limit says how many are shown`);
  return 0;
}

async function read(options: ListOptions, { client, runtime, signal }: CommandContext) {
  const filter = filterOf(options, runtime.now());
  const tasks: TaskView[] = [];
  for (let page = 0; page < PAGES_MAX; page++) {
    const limit = Math.min(LIST_LIMIT_MAX, options.limit - tasks.length);
    const found = await unlessInterrupted(client.list({ ...filter, limit }), signal);
    tasks.push(...found.tasks);
    if (found.nextCursor === null) return { tasks, more: false };
    if (tasks.length >= options.limit) break;
    filter.cursor = found.nextCursor;
  }
  return { tasks, more: true };
}

function filterOf({ state, agent, tenant, label, correlation, olderThan }: ListOptions, now: number): TaskFilter {
  const createdBefore = olderThan === undefined ? undefined : new Date(now - olderThan);
  return { state, agent, tenant, labels: label, correlationId: correlation, createdBefore };
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

async function change(
  ids: string[],
  context: CommandContext,
  call: (id: string) => Promise<TaskView>,
): Promise<number> {
  const { printer, runtime } = context;
  const { done, code } = await forEachId(ids, context, call);
  if (done.length === 0) return code;
  printer.each(done, ids.length, (tasks) => printer.list(tasks, taskColumns(runtime.now()), ''));
  return code;
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

const STATE_STYLES: Partial<Record<TaskState, Style>> = {
  completed: 'green',
  failed: 'red',
  cancelled: 'yellow',
  running: 'cyan',
  assigned: 'cyan',
};

function taskColumns(now: number): Column<TaskView>[] {
  return [
    { name: 'ID', of: ({ id }) => id, whole: true },
    { name: 'AGENT', of: ({ agent, method }) => (method === 'run' ? agent : `${agent} ${method}`) },
    { name: 'STATE', of: ({ state }) => state, whole: true, style: ({ state }) => STATE_STYLES[state] },
    { name: 'PRI', of: ({ priority }) => priority, align: 'right' },
    { name: 'TRY', of: ({ attempt, maxAttempts }) => `${attempt}/${maxAttempts}`, align: 'right' },
    { name: 'AGE', of: ({ createdAt }) => shortDuration(now - Date.parse(createdAt)), align: 'right' },
    { name: 'TOOK', of: tookOf, align: 'right' },
    { name: 'WORKER', of: ({ worker }) => worker },
    { name: 'ERROR', of: ({ error }) => error && `${error.code}: ${error.message}` },
  ];
}

const HISTORY: Column<HistoryLine>[] = [
  { name: 'TIME', of: ({ at }) => at, whole: true },
  { name: 'V', of: ({ version }) => version, align: 'right' },
  {
    name: 'WHAT',
    of: ({ state, type }) => state ?? type,
    style: ({ state }) => (state === undefined ? 'dim' : STATE_STYLES[state]),
  },
  { name: 'FROM', of: ({ sender }) => sender },
  { name: 'TO', of: ({ receiver }) => receiver },
  { name: 'WORKER', of: ({ worker }) => worker },
  { name: 'REASON', of: ({ reason }) => reason },
];

function tookOf({ ranMs }: TaskView): string | undefined {
  return ranMs === undefined ? undefined : shortDuration(ranMs);
}

function factsOf(task: TaskView): [string, string | undefined][] {
  const took = task.ranMs;
  const { progress, progressNote, error } = task;
  return [
    ['id', task.id],
    ['agent', task.method === 'run' ? task.agent : `${task.agent}, method ${task.method}`],
    ['state', task.state],
    ['priority', String(task.priority)],
    ['attempt', `${task.attempt} of ${task.maxAttempts}`],
    ['worker', task.worker],
    ['progress', progress === undefined ? undefined : `${Math.round(progress * 100)} % ${progressNote ?? ''}`.trim()],
    ['tenant', task.tenant],
    ['key', task.key],
    ['correlation', task.correlationId === task.id ? undefined : task.correlationId],
    [
      'labels',
      Object.entries(task.labels)
        .map(([name, value]) => `${name}=${value}`)
        .join(', '),
    ],
    ['created', task.createdAt],
    ['runs at', task.state === 'scheduled' ? task.runAt : undefined],
    ['started', task.startedAt],
    ['ended', task.endedAt && `${task.endedAt}${took === undefined ? '' : ` after ${longDuration(took)}`}`],
    ['error', error && `${error.code}: ${error.message}`],
    ['input', jsonOf(task.input)],
    ['result', jsonOf(task.result)],
  ];
}

function jsonOf(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value, null, 2);
}
