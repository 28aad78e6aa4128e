/*
 * The listener that logs and counts what the parts tell about themselves. Sentences are fixed, so that people can search
 * for them; the facts go in fields. What happens with every task or message is logged at debug, for at full load even
 * one line per task would cost more than the task.
 */
import { describeEnvelope } from '../message/describe.ts';
import type { Observation, Observe } from '../runtime/observer.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { LineLimit } from './line-limit.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';

/** Lines of one agent's handlers per second in one process; the rest is counted. */
export const HANDLER_LINES_PER_SECOND = 100;

export interface ObserverOptions {
  logger: Logger;
  metrics: Metrics;
  runtime: Runtime;
}

export function createObserver({ logger, metrics, runtime }: ObserverOptions): Observe {
  const limit = new LineLimit(runtime.now);
  const handlers = new LineLimit(runtime.now, HANDLER_LINES_PER_SECOND);
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
    if (observation.type === 'attempt.log') return logOfHandler(observation, logger, handlers);
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
    case 'message.sent':
    case 'message.received':
      return tellMessage(observation, log);
    case 'store.command':
      return log('debug', 'Redis command', () => ({ ...fields(), place: tagOf(observation.place) }));
    case 'leader.waiting':
      return tellWaiting(observation, log);
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
  | 'task.moved'
  | 'message.sent'
  | 'message.received'
  | 'message.rejected'
  | 'store.command'
  | 'leader.waiting'
  | 'leader.lost'
  | 'distributor.changed'
  | 'fault'
  | 'attempt.log'
>;

const SENTENCES: Record<Plain, { level: Level; sentence: string }> = {
  'attempt.started': { level: 'debug', sentence: 'Attempt started' },
  'attempt.ended': { level: 'debug', sentence: 'Attempt ended' },
  'report.resent': { level: 'info', sentence: 'Reports sent again' },
  'lease.renewed': { level: 'debug', sentence: 'Lease renewed' },
  'lease.lost': { level: 'warn', sentence: 'Lease lost' },
  'lease.expired': { level: 'warn', sentence: 'Lease expired' },
  'state.conflict': { level: 'warn', sentence: 'Transaction failed due to state conflict' },
  'state.refused': { level: 'debug', sentence: 'Command refused' },
  'leader.became': { level: 'info', sentence: 'Shard ownership acquired' },
  'leader.renewed': { level: 'debug', sentence: 'Shard ownership renewed' },
  'store.away': { level: 'warn', sentence: 'Redis connection failed' },
  'store.retry': { level: 'debug', sentence: 'Retry' },
  'store.back': { level: 'info', sentence: 'Redis connection restored' },
  'records.repaired': { level: 'warn', sentence: 'Indexes repaired' },
  'records.pruned': { level: 'info', sentence: 'Old tasks pruned' },
  'seals.current': { level: 'info', sentence: 'All seals are of the newest key' },
  'keys.changed': { level: 'info', sentence: 'Message keys changed' },
  'access.refused': { level: 'debug', sentence: 'Access refused' },
  'access.changed': { level: 'info', sentence: 'Access files read again' },
  'access.unreadable': { level: 'error', sentence: 'Access files not read' },
  'keys.refused': { level: 'error', sentence: 'Message keys not read' },
};

const MOVES: Record<string, { level: Level; sentence: string }> = {
  'task.submitted': { level: 'debug', sentence: 'Task submitted' },
  'task.scheduled': { level: 'debug', sentence: 'Task scheduled' },
  'task.queued': { level: 'debug', sentence: 'Task queued' },
  'task.assigned': { level: 'debug', sentence: 'Task assigned' },
  'task.started': { level: 'debug', sentence: 'Task started' },
  'task.progress': { level: 'debug', sentence: 'Task progressed' },
  'task.waiting': { level: 'debug', sentence: 'Task waiting' },
  'task.completed': { level: 'debug', sentence: 'Task completed' },
  'task.failed': { level: 'warn', sentence: 'Task failed' },
  'task.cancelled': { level: 'info', sentence: 'Task cancelled' },
  'task.retried': { level: 'info', sentence: 'Task retried' },
};

/** What does not verify is mostly signed with another secret: that is the first thing to look at. */
function tellRejected(reason: string, log: Log, fields: () => object): void {
  if (!NOT_OURS.has(reason)) return log('warn', 'Message rejected', fields);
  log('warn', FORGED, () => ({ ...fields(), next: 'compare the keys of all processes: agent-system keys list' }));
}

function tellMove(move: Of<'task.moved'>, log: Log): void {
  const told = MOVES[move.event];
  if (!told) return;
  log(told.level, told.sentence, () => {
    const { id, agent, from, state, version, attempt, at, facts: { dueAt, ...facts } = {} } = move;
    const waitMs = dueAt === undefined ? undefined : Math.max(0, dueAt - at);
    return { task: id, agent, from, state, version, attempt, ...facts, waitMs };
  });
}

function tellMessage(sent: Of<'message.sent' | 'message.received'>, log: Log): void {
  const sentence = sent.type === 'message.sent' ? 'Message sent' : 'Message received';
  log('debug', sentence, () => {
    const { message: type, count, latencyMs, envelope } = sent;
    const { from, to, stream, jti, tasks } = { ...sent, ...(envelope ? describeEnvelope(envelope) : null) } as Told;
    return { type, sender: from, receiver: to, stream, jti, count, tasks, latencyMs };
  });
}

type Told = { from?: string; to?: string; stream?: string; jti?: string; tasks?: string[] };

/** That another coordinator owns the shard is how it should be: worth one line. A store that does not answer is not. */
function tellWaiting({ due, ...waiting }: Of<'leader.waiting'>, log: Log): void {
  const { type: _, ...fields } = waiting;
  const level = !due ? 'debug' : waiting.reason === undefined ? 'info' : 'warn';
  const next =
    waiting.reason === undefined
      ? 'another coordinator owns the shard, this one stands by'
      : 'it is tried again; look at Redis and the network';
  log(level, 'Lease acquisition timeout', () => (due ? { ...fields, next } : fields));
}

/** The tag of the shard, `{prefix:shard}`; what follows it in a key is an argument, and arguments are not told. */
function tagOf(key: string): string | undefined {
  return /^\{[^}]*\}/.exec(key)?.[0];
}

/** A handler's own line, whole: it is what somebody wrote in order to read it. Its fields may have any names, so they stay together. */
function logOfHandler(line: Of<'attempt.log'>, logger: Logger, limit: LineLimit): void {
  const { level, message, task, attempt, attemptId, agent, fields, stack } = line;
  if (!logger.isLevelEnabled(level)) return;
  const passed = limit.pass(agent);
  if (!passed) return;
  const suppressed = passed.suppressed > 0 ? { suppressed: passed.suppressed } : null;
  const more = { ...(fields && { fields }), ...(stack !== undefined && { err: { stack } }), ...suppressed };
  logger[level]({ task, attempt, attemptId, agent, ...more }, message);
}
