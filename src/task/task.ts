/**
 * The durable unit of work. A record has three parts that are stored as separate texts: the specification, written
 * once and sealed; the input, written once and never looked into; and the trail, which is all that changes.
 */
import type { Requirements } from '../scheduling/requirements.ts';

export const TASK_STATES = [
  'scheduled',
  'queued',
  'assigned',
  'running',
  'waiting',
  'completed',
  'failed',
  'cancelled',
] as const;
export type TaskState = (typeof TASK_STATES)[number];

export function isTerminal(state: TaskState): boolean {
  return state === 'completed' || state === 'failed' || state === 'cancelled';
}

/** A worker has it: `assigned` or `running`. */
export function isActive(state: TaskState): boolean {
  return state === 'assigned' || state === 'running';
}

export interface RetryPolicy {
  /** Attempts in all, the first included. */
  maxAttempts: number;
  backoffMs: number;
  factor: number;
  maxBackoffMs: number;
}

export interface TaskSpec {
  id: string;
  agent: string;
  method: string;
  tenant: string;
  /** 0 to 10. */
  priority: number;
  createdAt: number;
  /** SHA-256 of the input's text, base64url: the seal over the specification covers the input through it. */
  inputDigest: string;
  correlationId: string;
  /** Run timeout of one attempt; set for every task when it is created. */
  timeoutMs: number;
  /** Longest stay in the queue, from each time it enters it; unset = no bound. */
  queueTimeoutMs?: number;
  /** The whole life, from creation (or from a retry by hand) to the end; unset = no bound. */
  totalTimeoutMs?: number;
  retry: RetryPolicy;
  /** What its worker must be or have. */
  require?: Requirements;
  delivery?: 'at-most-once';
  /** What its creation, its result and, with at-most-once, its assignments must have reached before they count. */
  durability?: 'local' | 'replicated';
  key?: string;
  concurrencyKey?: string;
  session?: string;
  parentId?: string;
  runAt?: number;
  labels?: Record<string, string>;
  metadata?: Record<string, unknown>;
}

export interface TaskError {
  code: string;
  message: string;
  retryable: boolean;
}

export interface TaskUsage {
  inputTokens?: number;
  outputTokens?: number;
  toolIterations?: number;
}

/** The attempt that a worker has now. A report counts only if attempt id and fence both match it. */
export interface CurrentAttempt {
  id: string;
  worker: string;
  incarnation: string;
  distributor: string;
  assignedAt: number;
  startedAt?: number;
  /** Sequence of the last report that was applied; 0 = none yet. */
  seq: number;
  /** The assignment was sent a second time because the worker never showed it. */
  resent?: true;
}

/** One transition: version, time, state, and what there is to say about it. A tuple, because every record holds several. */
export type HistoryEntry = [version: number, at: number, state: TaskState, facts?: HistoryFacts];

export interface HistoryFacts {
  /** Attempt id. */
  a?: string;
  /** Worker. */
  w?: string;
  /** Distributor. */
  d?: string;
  /** Code of the reason: `handler_error`, `drain`, `worker_lost`, `cancelled` … */
  why?: string;
}

export interface TaskTrail {
  /** Assignments ever made; only grows. */
  fence: number;
  /** Attempts that ended and count against `retry.maxAttempts`. */
  used: number;
  /** The attempt people see: the one that runs now or ran last, from 1; those handed back or lost do not count. */
  attemptNumber: number;
  /** Attempts that ended because their worker was lost while it may have been running them. */
  crashes: number;
  /** Assignments lost before the worker showed that it had started them. */
  losses?: number;
  queuedAt?: number;
  /** When a person last gave it a new set of attempts: its total time counts from there. */
  retriedAt?: number;
  /** Position in the lane, computed once on entering the queue; kept when an attempt is handed back. */
  score?: number;
  /** When a scheduled task becomes due. */
  dueAt?: number;
  attempt?: CurrentAttempt;
  /** Start of the attempt that runs now, or of the last one that did. */
  startedAt?: number;
  endedAt?: number;
  /** How long the handler of the last attempt ran, as its worker measured it. */
  ranMs?: number;
  worker?: string;
  distributor?: string;
  progress?: number;
  note?: string;
  usage?: TaskUsage;
  error?: TaskError;
  stopReason?: string;
  history: HistoryEntry[];
  /** Entries dropped from the middle of a history that reached its bound. */
  dropped?: number;
}

export interface TaskRecord {
  id: string;
  /** Grows by one with each accepted write; 0 = not stored yet. */
  version: number;
  state: TaskState;
  spec: TaskSpec;
  /** The exact stored text of `spec` and the seal over it. */
  sealed: { text: string; seal: string };
  /** JSON text, or the reference to it where only that was read; absent when it was not read. */
  input?: string;
  trail: TaskTrail;
  /** JSON text of the accepted result, or the reference to it. */
  result?: string;
}

/** The attempt that the record holds; a record in an active state without one cannot be. */
export function attemptOf(task: TaskRecord): CurrentAttempt {
  const { attempt } = task.trail;
  if (!attempt) throw new Error(`task ${task.id} is ${task.state} but its record holds no attempt`);
  return attempt;
}

/** A task that is not stored yet; the command `submit` decides where its life begins. */
export function newTask(spec: TaskSpec, sealed: TaskRecord['sealed'], input: string): TaskRecord {
  const trail: TaskTrail = { fence: 0, used: 0, attemptNumber: 0, crashes: 0, history: [] };
  return { id: spec.id, version: 0, state: 'queued', spec, sealed, input, trail };
}
