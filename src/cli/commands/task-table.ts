/** How tasks and what happened to them look in a table. */
import type { TaskState } from '../../task/task.ts';
import type { HistoryLine, TaskView } from '../../task/view.ts';
import { briefDuration, longDuration, shortDuration } from '../human.ts';
import type { Column, Style } from '../table.ts';

export const STATE_STYLES: Partial<Record<TaskState, Style>> = {
  completed: 'green',
  failed: 'red',
  cancelled: 'yellow',
  running: 'cyan',
  assigned: 'cyan',
};

export function taskColumns(now: number): Column<TaskView>[] {
  return [
    { name: 'ID', of: ({ id }) => id, whole: true },
    { name: 'AGENT', of: ({ agent, method }) => (method === 'run' ? agent : `${agent} ${method}`) },
    { name: 'STATE', of: ({ state }) => state, whole: true, style: ({ state }) => STATE_STYLES[state] },
    { name: 'PRI', of: ({ priority }) => priority, align: 'right' },
    { name: 'TRY', of: ({ attempt, maxAttempts }) => `${attempt}/${maxAttempts}`, align: 'right' },
    { name: 'AGE', of: ({ createdAt }) => shortDuration(now - Date.parse(createdAt)), align: 'right' },
    {
      name: 'TOOK',
      of: ({ ranMs }) => (ranMs === undefined ? undefined : shortDuration(ranMs)),
      align: 'right',
    },
    { name: 'WORKER', of: ({ worker }) => worker },
    { name: 'ERROR', of: ({ error }) => error && `${error.code}: ${error.message}` },
  ];
}

export const HISTORY: Column<HistoryLine>[] = [
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

type Facts = [name: string, value: string | undefined][];

export function factsOf(task: TaskView): Facts {
  const { progress, progressNote, error, ranMs, usage } = task;
  return [
    ['id', task.id],
    ['agent', task.method === 'run' ? task.agent : `${task.agent}, method ${task.method}`],
    ['state', task.state],
    ['priority', String(task.priority)],
    ['attempt', `${task.attempt} of ${task.maxAttempts}`],
    ['worker', task.worker],
    ['progress', progress === undefined ? undefined : `${Math.round(progress * 100)} % ${progressNote ?? ''}`.trim()],
    ...askedFor(task),
    ['created', task.createdAt],
    ['runs at', task.state === 'scheduled' ? task.runAt : undefined],
    ['started', task.startedAt],
    ['ended', task.endedAt && `${task.endedAt}${ranMs === undefined ? '' : ` after ${longDuration(ranMs)}`}`],
    ['usage', usage && pairs(usage)],
    ['error', error && `${error.code}: ${error.message}`],
    ['input', jsonOf(task.input)],
    ['result', jsonOf(task.result)],
  ];
}

function askedFor(task: TaskView): Facts {
  const { require, metadata } = task;
  return [
    ['tenant', task.tenant],
    ['key', task.key],
    ['session', task.session],
    ['parent', task.parentId],
    ['correlation', task.correlationId === task.id ? undefined : task.correlationId],
    ['labels', pairs(task.labels)],
    ['metadata', Object.keys(metadata).length === 0 ? undefined : JSON.stringify(metadata)],
    ['requires', require && pairs({ worker: require.worker, ...require.labels, ...require.resources })],
    ['concurrency key', task.concurrencyKey],
    ['run timeout', briefDuration(task.timeoutMs)],
    ['queue timeout', task.queueTimeoutMs === undefined ? undefined : briefDuration(task.queueTimeoutMs)],
    ['total timeout', task.totalTimeoutMs === undefined ? undefined : briefDuration(task.totalTimeoutMs)],
    ['delivery', task.delivery === 'at-least-once' ? undefined : task.delivery],
    ['durability', task.durability],
  ];
}

function pairs(values: object): string {
  return Object.entries(values)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(', ');
}

function jsonOf(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value, null, 2);
}
