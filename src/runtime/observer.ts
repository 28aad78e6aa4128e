/*
 * What the parts tell about themselves. Whoever logs, counts or draws is a listener; the parts know none of them.
 */
export type Observation =
  | {
      type: 'message.sent' | 'message.received';
      message: string;
      count: number;
      latencyMs?: number;
      from?: string;
      to?: string;
      stream?: string;
      jti?: string | undefined;
      /** As it was signed: whoever wants to know more reads it there, so that it costs nothing where nobody does. */
      envelope?: string | undefined;
    }
  | { type: 'message.rejected'; reason: string; detail: string; stream: string; entry: string }
  | {
      type: 'task.moved';
      event: string;
      id: string;
      agent: string;
      /** Absent for a new task. */
      from?: string | undefined;
      state: string;
      at: number;
      version?: number;
      /** From 1; 0 = none has begun. */
      attempt?: number;
      facts?: TaskFacts | undefined;
    }
  | { type: 'attempt.started'; task: string; attemptId: string; agent: string; attempt: number; waitedMs: number }
  | {
      type: 'attempt.ended';
      task: string;
      attemptId: string;
      agent: string;
      outcome: 'completed' | 'failed' | 'returned';
      /** The error's code, or why it was handed back. */
      code?: string;
      /** How long the handler ran; absent when it never started. */
      ms?: number;
    }
  | {
      type: 'attempt.log';
      task: string;
      attempt: number;
      attemptId: string;
      agent: string;
      level: 'debug' | 'info' | 'warn' | 'error';
      message: string;
      fields: Record<string, unknown> | undefined;
      /** Where the handler threw what it did not mean to throw. */
      stack?: string;
    }
  | { type: 'report.resent'; count: number }
  | { type: 'lease.lost'; why: 'replaced' | 'expired' | 'superseded'; attempts: number }
  | { type: 'distributor.changed'; distributor: string | null }
  | { type: 'state.conflict'; id: string; where: string }
  | { type: 'state.refused'; id: string; command: string; reason: string }
  | { type: 'lease.expired'; worker: string; incarnation: string; attempts: number }
  | { type: 'leader.became' | 'leader.lost'; shard: number; epoch: string; why?: string }
  /** The lock was extended. */
  | { type: 'leader.renewed'; shard: number; forMs: number }
  /**
   * One more try to get the lock of a shard was in vain: another holds it, or, with a `reason`, the store did not answer.
   * `due`: the first of a row of failures, or the first after it stood by for a whole lease.
   */
  | { type: 'leader.waiting'; shard: number; tried: number; waitedMs: number; due: boolean; reason?: string }
  /** A worker's lease on a shard begins anew. */
  | { type: 'lease.renewed'; shard: number; tookMs: number; released: number }
  | { type: 'store.away' | 'store.back'; where: string; message: string }
  /** Only told while somebody wants it: there are several to a task. Arguments are never told. */
  | {
      type: 'store.command';
      command: string;
      /** The key it names first. */
      place: string;
      address: string;
      ms: number;
      /** Null: it was answered. */
      code: string | null;
      /** A read that waits for what comes: its time says nothing of the store. */
      waits: boolean;
    }
  /** What got no answer is done again after `waitMs`. */
  | { type: 'store.retry'; what: string; tried: number; waitMs: number; reason: string }
  | { type: 'records.repaired'; shard: number; entries: number }
  | { type: 'records.pruned'; shard: number; tasks: number }
  /** A walk over all records found no seal older than of `generation`; `unknown` ones no key here could judge. */
  | { type: 'seals.current'; shard: number; generation: string; renewed: number; unknown: number }
  | { type: 'keys.changed'; file: string; signs: string; verifies: string[] }
  /** The file of keys cannot be used as it is now: the keys that were read before stay. */
  | { type: 'keys.refused'; file: string; problems: readonly string[] }
  /** A caller who was not let in, and why; the caller itself is told less. */
  | { type: 'access.refused'; where: string; address: string; reason: string }
  /** Files of keys or certificates that were read again. */
  | { type: 'access.changed'; files: readonly string[] }
  /** They cannot be used as they are now: what was read before stays. */
  | { type: 'access.unreadable'; files: readonly string[]; problems: readonly string[] }
  | { type: 'fault'; where: string; error: unknown };

export interface TaskFacts {
  queueWaitMs?: number;
  runMs?: number;
  worker?: string;
  code?: string;
  /** Store time from which the next attempt may begin. */
  dueAt?: number;
}

export type Observe = (observation: Observation) => void;
