/*
 * The listener that logs and counts what the parts tell about themselves. Sentences are fixed, so that people can search
 * for them; the facts go in fields. What happens with every task or message is logged at debug, for at full load even
 * one line per task would cost more than the task.
 */
import type { Observation, Observe } from '../runtime/observer.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { LineLimit } from './line-limit.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';

export interface ObserverOptions {
  logger: Logger;
  metrics: Metrics;
  runtime: Runtime;
}

export function createObserver({ logger, metrics, runtime }: ObserverOptions): Observe {
  const limit = new LineLimit(runtime.now);
  const log: Log = (level, sentence, fields) => {
    if (!logger.isLevelEnabled(level)) return;
    if (level === 'debug') return logger.debug(fields(), sentence);
    const passed = limit.pass(sentence);
    if (!passed) return;
    const { suppressed } = passed;
    logger[level](suppressed > 0 ? { ...fields(), suppressed } : fields(), sentence);
  };
  return (observation) => {
    count(observation, metrics);
    if (observation.type === 'attempt.log') return logOfHandler(observation, logger);
    tell(observation, log);
  };
}

type Level = 'debug' | 'info' | 'warn' | 'error';
/** Fields are made only for a line that is written. */
type Log = (level: Level, sentence: string, fields: () => object) => void;
type Of<T extends Observation['type']> = Extract<Observation, { type: T }>;

function count(observation: Observation, metrics: Metrics): void {
  switch (observation.type) {
    case 'message.sent':
      return metrics.count('agent_messages_total', { type: observation.message, direction: 'sent' }, observation.count);
    case 'message.received':
      return countReceived(observation, metrics);
    case 'message.rejected':
      return metrics.count('agent_messages_rejected_total', { reason: observation.reason });
    case 'task.moved':
      return countMove(observation, metrics);
    case 'state.conflict':
      return metrics.count('agent_state_conflicts_total', {});
    case 'lease.expired':
      return metrics.count('agent_leases_expired_total', {});
  }
}

function countReceived(
  { message, count, latencyMs }: { message: string; count: number; latencyMs?: number },
  metrics: Metrics,
): void {
  metrics.count('agent_messages_total', { type: message, direction: 'received' }, count);
  if (latencyMs !== undefined) metrics.observe('agent_message_latency_seconds', {}, latencyMs / 1_000);
}

/** Events that tell of a task without its entering another state. */
const NO_MOVE = new Set(['task.progress', 'task.chunk']);

/** Whoever committed a change tells of it, once; so a sum over all processes counts everything once. */
function countMove({ event, agent, state, facts = {} }: Of<'task.moved'>, metrics: Metrics): void {
  if (NO_MOVE.has(event)) return;
  metrics.count('agent_tasks_total', { agent, state });
  if (event === 'task.retried') metrics.count('agent_retries_total', {});
  const ended = event === 'task.completed' || event === 'task.failed';
  if (!ended && event !== 'task.retried') return;
  // Only here has an attempt just ended: with other events its times would be counted a second time.
  if (facts.queueWaitMs !== undefined) metrics.observe('task_queue_wait_seconds', { agent }, facts.queueWaitMs / 1_000);
  if (ended && facts.runMs !== undefined) metrics.observe('task_duration_seconds', { agent }, facts.runMs / 1_000);
  if (event !== 'task.completed' && facts.code) metrics.count('agent_failures_total', { reason: facts.code });
}

function tell(observation: Exclude<Observation, { type: 'attempt.log' }>, log: Log): void {
  const fields = () => fieldsOf(observation);
  switch (observation.type) {
    case 'task.moved':
      return tellMove(observation, log);
    case 'message.rejected':
      return tellRejected(observation.reason, log, fields);
    case 'leader.lost':
      return log(ORDERLY.has(observation.why) ? 'info' : 'warn', 'Shard ownership lost', fields);
    case 'distributor.changed':
      return log('info', observation.distributor === null ? 'No distributor found' : 'Distributor chosen', fields);
    case 'fault':
      return log('error', 'Unexpected error', () => ({ where: observation.where, err: observation.error }));
    default: {
      const { level, sentence } = SENTENCES[observation.type];
      return log(level, sentence, fields);
    }
  }
}

/** Reasons to let go of a shard that are nobody's fault. */
const ORDERLY = new Set([undefined, 'stopped', 'stepped down']);
const FORGED = 'Message signature verification failed';
/** Signed or sealed by someone who does not have our secret. */
const NOT_OURS = new Set(['signature', 'key', 'seal']);

function fieldsOf({ type: _, ...fields }: Observation): object {
  return fields;
}

type Plain = Exclude<
  Observation['type'],
  'task.moved' | 'message.rejected' | 'leader.lost' | 'distributor.changed' | 'fault' | 'attempt.log'
>;

const SENTENCES: Record<Plain, { level: Level; sentence: string }> = {
  'message.sent': { level: 'debug', sentence: 'Message sent' },
  'message.received': { level: 'debug', sentence: 'Message received' },
  'attempt.started': { level: 'debug', sentence: 'Attempt started' },
  'attempt.ended': { level: 'debug', sentence: 'Attempt ended' },
  'report.resent': { level: 'info', sentence: 'Reports sent again' },
  'lease.lost': { level: 'warn', sentence: 'Lease lost' },
  'lease.expired': { level: 'warn', sentence: 'Lease expired' },
  'state.conflict': { level: 'warn', sentence: 'Transaction failed due to state conflict' },
  'state.refused': { level: 'debug', sentence: 'Command refused' },
  'leader.became': { level: 'info', sentence: 'Shard ownership acquired' },
  'leader.waiting': { level: 'debug', sentence: 'Lease acquisition timeout' },
  'store.away': { level: 'warn', sentence: 'Redis connection failed' },
  'store.back': { level: 'info', sentence: 'Redis connection restored' },
  'records.repaired': { level: 'warn', sentence: 'Indexes repaired' },
  'records.pruned': { level: 'info', sentence: 'Old tasks pruned' },
};

const MOVES: Record<string, { level: Level; sentence: string }> = {
  'task.submitted': { level: 'debug', sentence: 'Task submitted' },
  'task.assigned': { level: 'debug', sentence: 'Task assigned' },
  'task.started': { level: 'debug', sentence: 'Task started' },
  'task.completed': { level: 'debug', sentence: 'Task completed' },
  'task.failed': { level: 'warn', sentence: 'Task failed' },
  'task.cancelled': { level: 'info', sentence: 'Task cancelled' },
  'task.retried': { level: 'info', sentence: 'Task retried' },
};

/** What does not verify is mostly signed with another secret: that is the first thing to look at. */
function tellRejected(reason: string, log: Log, fields: () => object): void {
  if (!NOT_OURS.has(reason)) return log('warn', 'Message rejected', fields);
  log('warn', FORGED, () => ({ ...fields(), next: 'compare A2A_TOKEN_SECRET of all processes' }));
}

function tellMove({ event, id, agent, state, facts }: Of<'task.moved'>, log: Log): void {
  const told = MOVES[event];
  if (told) log(told.level, told.sentence, () => ({ task: id, agent, state, ...facts }));
}

/** A handler's own line, whole: it is what somebody wrote in order to read it. Its fields may have any names, so they stay together. */
function logOfHandler({ level, message, task, attemptId, agent, fields }: Of<'attempt.log'>, logger: Logger): void {
  logger[level]({ task, attempt: attemptId, agent, ...(fields && { fields }) }, message);
}
