import { AgentSystemError } from '../errors.ts';
import type { Requirements } from '../scheduling/requirements.ts';
import type { RetryPolicy, TaskError, TaskRecord, TaskState, TaskUsage } from './task.ts';

/** A task as people and programs see it, over every face. Times are ISO 8601 UTC. */
export interface TaskView {
  id: string;
  agent: string;
  method: string;
  state: TaskState;
  priority: number;
  version: number;
  attempt: number;
  maxAttempts: number;
  input?: unknown;
  result?: unknown;
  error?: TaskError;
  progress?: number;
  progressNote?: string;
  usage?: TaskUsage;
  stopReason?: string;
  key?: string;
  concurrencyKey?: string;
  tenant: string;
  session?: string;
  correlationId: string;
  parentId?: string;
  worker?: string;
  distributor?: string;
  durability: string;
  delivery: 'at-least-once' | 'at-most-once';
  labels: Record<string, string>;
  metadata: Record<string, unknown>;
  createdAt: string;
  runAt?: string;
  queuedAt?: string;
  startedAt?: string;
  endedAt?: string;
  /** How long the handler of the last attempt ran. */
  ranMs?: number;
  timeoutMs: number;
  queueTimeoutMs?: number;
  totalTimeoutMs?: number;
  require?: Requirements;
  retry: RetryPolicy;
}

export function viewOf(task: TaskRecord, durability: string): TaskView {
  const { spec, trail } = task;
  const view: TaskView = {
    id: task.id,
    agent: spec.agent,
    method: spec.method,
    state: task.state,
    priority: spec.priority,
    version: task.version,
    attempt: trail.attemptNumber,
    maxAttempts: spec.retry.maxAttempts,
    tenant: spec.tenant,
    correlationId: spec.correlationId,
    durability: spec.durability ?? durability,
    delivery: spec.delivery ?? 'at-least-once',
    labels: spec.labels ?? {},
    metadata: spec.metadata ?? {},
    createdAt: isoOf(spec.createdAt),
    timeoutMs: spec.timeoutMs,
    retry: spec.retry,
  };
  if (task.input !== undefined) view.input = jsonOf(task.id, 'input', task.input);
  if (task.result !== undefined) view.result = jsonOf(task.id, 'result', task.result);
  if (trail.note !== undefined) view.progressNote = trail.note;
  const runAt = trail.dueAt ?? spec.runAt;
  if (runAt !== undefined) view.runAt = isoOf(runAt);
  if (trail.queuedAt !== undefined) view.queuedAt = isoOf(trail.queuedAt);
  if (trail.startedAt !== undefined) view.startedAt = isoOf(trail.startedAt);
  if (trail.endedAt !== undefined) view.endedAt = isoOf(trail.endedAt);
  return Object.assign(view, present(spec, SHOWN_OF_SPEC), present(trail, SHOWN_OF_TRAIL));
}

/** Middle roles never look into these texts, so what a worker reports as its result is parsed here for the first time. */
function jsonOf(id: string, part: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const message = `the ${part} of task ${id} is not JSON: ${text.slice(0, 80)}`;
    throw new AgentSystemError('RECORD_UNREADABLE', message, { cause });
  }
}

const SHOWN_OF_SPEC = [
  'key',
  'concurrencyKey',
  'session',
  'parentId',
  'require',
  'queueTimeoutMs',
  'totalTimeoutMs',
] as const;
const SHOWN_OF_TRAIL = ['error', 'progress', 'usage', 'ranMs', 'stopReason', 'worker', 'distributor'] as const;

function present<T extends object, K extends keyof T>(from: T, names: readonly K[]): Partial<Pick<T, K>> {
  const picked: Partial<Pick<T, K>> = {};
  for (const name of names) if (from[name] !== undefined) picked[name] = from[name];
  return picked;
}

export function isoOf(ms: number): string {
  return new Date(ms).toISOString();
}

/** One line of a task's history: a transition, or the message that caused it. */
export interface HistoryLine {
  kind: 'transition' | 'message';
  at: string;
  version: number;
  state?: TaskState;
  type?: string;
  sender?: string;
  receiver?: string;
  attemptId?: string;
  worker?: string;
  reason?: string;
}

/**
 * The history in order, each transition with the message behind it: an assignment came from its distributor to the
 * worker, what followed came from that worker to the coordinators.
 */
export function historyOf(task: TaskRecord): { lines: HistoryLine[]; dropped: number } {
  const lines: HistoryLine[] = [];
  for (const [version, at, state, facts] of task.trail.history) {
    const time = isoOf(at);
    const message = messageOf(state, facts);
    if (message) lines.push({ kind: 'message', at: time, version, ...message });
    const line: HistoryLine = { kind: 'transition', at: time, version, state };
    if (facts?.a) line.attemptId = facts.a;
    if (facts?.w) line.worker = facts.w;
    if (facts?.why) line.reason = facts.why;
    lines.push(line);
  }
  return { lines, dropped: task.trail.dropped ?? 0 };
}

/** Reasons that the coordinators give themselves: no message of the worker stands behind the transition. */
const DECIDED_BY_OWNER = new Set([
  'worker_lost',
  'replaced',
  'missing',
  'taken_back',
  'timeout',
  'outcome_unknown',
  'rejected',
]);

function messageOf(state: TaskState, facts: TaskRecord['trail']['history'][number][3]) {
  if (!facts?.w) return null;
  const worker = `worker:${facts.w}`;
  if (state === 'assigned') return { type: 'task.assign', sender: facts.d ?? 'distributors', receiver: worker };
  if (state === 'cancelled') return { type: 'task.cancel', sender: 'coordinators', receiver: worker };
  if (facts.why && DECIDED_BY_OWNER.has(facts.why)) return null;
  return { type: 'task.report', sender: worker, receiver: 'coordinators' };
}
