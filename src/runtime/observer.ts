/*
 * What the parts tell about themselves. Whoever logs, counts or draws is a listener; the parts know none of them.
 */
export type Observation =
  | { type: 'message.sent' | 'message.received'; message: string; count: number; latencyMs?: number; to?: string }
  | { type: 'message.rejected'; reason: string; detail: string; stream: string; entry: string }
  | { type: 'task.moved'; event: string; id: string; agent: string; state: string; at: number; facts?: TaskFacts }
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
      attemptId: string;
      agent: string;
      level: 'debug' | 'info' | 'warn' | 'error';
      message: string;
      fields: Record<string, unknown> | undefined;
    }
  | { type: 'report.resent'; count: number }
  | { type: 'lease.lost'; why: 'replaced' | 'expired' | 'superseded'; attempts: number }
  | { type: 'distributor.changed'; distributor: string | null }
  | { type: 'state.conflict'; id: string; where: string }
  | { type: 'state.refused'; id: string; command: string; reason: string }
  | { type: 'lease.expired'; worker: string; incarnation: string; attempts: number }
  | { type: 'leader.became' | 'leader.lost'; shard: number; epoch: string; why?: string }
  | { type: 'leader.waiting'; shard: number }
  | { type: 'store.away' | 'store.back'; where: string; message: string }
  | { type: 'records.repaired'; shard: number; entries: number }
  | { type: 'records.pruned'; shard: number; tasks: number }
  | { type: 'fault'; where: string; error: unknown };

export interface TaskFacts {
  queueWaitMs?: number;
  runMs?: number;
  worker?: string;
  code?: string;
}

export type Observe = (observation: Observation) => void;
