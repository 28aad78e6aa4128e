/** The flags of `submit` that say what the task is to be, and the request that they make. */
import { type Command, Option } from 'commander';
import type { SubmitOptions } from '../../client/submit-options.ts';
import { amountFlag, countFlag, durationFlag, labelFlag, objectFlag, priorityFlag, timeFlag } from '../flags.ts';
import { UsageError } from '../usage-error.ts';

const ATTEMPTS_MAX = 1_000;

export interface TaskFlags {
  method?: string;
  priority?: number;
  key?: string;
  tenant?: string;
  session?: string;
  delay?: number;
  runAt?: string;
  timeout?: number;
  queueTimeout?: number;
  totalTimeout?: number;
  maxAttempts?: number;
  concurrencyKey?: string;
  require?: Record<string, unknown>;
  requireWorker?: string;
  requireLabel?: Record<string, string>;
  requireResource?: Record<string, number>;
  delivery?: SubmitOptions['delivery'];
  durability?: SubmitOptions['durability'];
  label?: Record<string, string>;
  correlation?: string;
  metadata?: Record<string, unknown>;
}

/** What a schedule can say of its tasks too: everything but when, for whom and how often. */
export function addTaskOptions(command: Command): Command {
  return command
    .option('--method <name>', 'method of the agent')
    .option('--priority <0-10>', 'or low, normal, high, urgent', priorityFlag)
    .option('--session <id>', 'the conversation that it belongs to')
    .option('--timeout <duration>', 'run timeout of one attempt', durationFlag)
    .option('--queue-timeout <duration>', 'longest stay in the queue', durationFlag)
    .option('--total-timeout <duration>', 'longest life from its creation to its end', durationFlag)
    .option('--max-attempts <n>', 'attempts before it is failed for good', countFlag(ATTEMPTS_MAX))
    .option('--concurrency-key <key>', "tasks of the agent with this key share the agent's concurrencyPerKey")
    .option('--require-worker <id>', 'only on this worker')
    .option('--require-label <name=value>', 'only on workers with this label; repeatable', labelFlag)
    .option('--require-resource <name=n>', 'so much of what a worker has, such as gpu=1; repeatable', amountFlag)
    .option('--require <json>', 'all of that at once: {"worker":…,"labels":{…},"resources":{…}}', objectFlag)
    .addOption(
      new Option('--delivery <promise>', 'what becomes of it after a crash in the middle').choices([
        'at-least-once',
        'at-most-once',
      ]),
    )
    .addOption(
      new Option('--durability <level>', 'what an accepted task and its result have to survive').choices([
        'memory',
        'local',
        'replicated',
      ]),
    )
    .option('--label <name=value>', 'a label; repeatable', labelFlag)
    .option('--correlation <id>', 'ties tasks together')
    .option('--metadata <json>', 'an object that stays with the task', objectFlag);
}

export function addSubmitOptions(command: Command): Command {
  command
    .option('--key <key>', 'the same key and content give the same task')
    .option('--tenant <name>', 'whom it is for')
    .option('--delay <duration>', 'not before so long from now', durationFlag)
    .option('--run-at <time>', 'not before this time, such as 2030-01-31T08:00:00Z', timeFlag);
  return addTaskOptions(command);
}

export function submitOptionsOf(flags: TaskFlags): SubmitOptions {
  const { method, priority, key, tenant, session, delay, runAt, timeout, queueTimeout, totalTimeout } = flags;
  const { maxAttempts, concurrencyKey, delivery, durability, label, correlation, metadata } = flags;
  if (delay !== undefined && runAt !== undefined) throw new UsageError('--delay and --run-at cannot stand together');
  return {
    ...{ method, priority, key, tenant, session, delay, runAt, timeout, queueTimeout, totalTimeout },
    ...{ concurrencyKey, delivery, durability, metadata },
    retry: maxAttempts === undefined ? undefined : { maxAttempts },
    require: requireOf(flags),
    labels: label,
    correlationId: correlation,
  };
}

/** The JSON, and over it what the single flags say. */
function requireOf({ require, requireWorker, requireLabel, requireResource }: TaskFlags): SubmitOptions['require'] {
  const { labels, resources } = (require ?? {}) as { labels?: object; resources?: object };
  const all = {
    ...require,
    ...(requireWorker !== undefined && { worker: requireWorker }),
    ...(requireLabel && { labels: { ...labels, ...requireLabel } }),
    ...(requireResource && { resources: { ...resources, ...requireResource } }),
  };
  return Object.keys(all).length === 0 ? undefined : all;
}
