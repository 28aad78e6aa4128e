import type { RetryPolicy } from './task.ts';

/** What the configuration says about the life of tasks. The same for every role of a deployment; milliseconds. */
export interface SystemPolicy {
  deployment: string;
  shards: number;
  /** One level of priority is worth so much waiting; `off` = strict by level. */
  priorityAgeing: number | 'off';
  retry: RetryPolicy;
  /** Run timeout of an attempt that names none. */
  stuckTaskTimeoutMs: number;
  /** Given to a worker beyond the run timeout before the owner ends the attempt itself. */
  timeoutGraceMs: number;
  /** A task that lost its worker this often while running is failed. */
  workerLostMax: number;
  retentionCompletedMs: number;
  retentionFailedMs: number;
  /** Memory for blocks with ended tasks in them, over all shards; beyond it the oldest ended tasks go. */
  retentionBytes: number | 'off';
  idempotencyTtlMs: number;
  maxPayloadBytes: number;
  /** Waiting tasks in all; null = no bound. */
  queueMax: number | null;
  /** Attempts of one tenant at once, in all; null = no bound. */
  tenantConcurrency: number | null;
  heartbeatIntervalMs: number;
  instanceTtlMs: number;
  leaderTtlMs: number;
  cleanupIntervalMs: number;
  readyProgressWithinMs: number;
}

export const DEFAULT_POLICY: Omit<SystemPolicy, 'deployment'> = {
  shards: 1,
  priorityAgeing: 60_000,
  retry: { maxAttempts: 3, backoffMs: 1_000, factor: 2, maxBackoffMs: 3_600_000 },
  stuckTaskTimeoutMs: 3_600_000,
  timeoutGraceMs: 5_000,
  workerLostMax: 3,
  retentionCompletedMs: 86_400_000,
  retentionFailedMs: 604_800_000,
  retentionBytes: 256 * 1024 * 1024,
  idempotencyTtlMs: 86_400_000,
  maxPayloadBytes: 1_048_576,
  queueMax: null,
  tenantConcurrency: null,
  heartbeatIntervalMs: 5_000,
  instanceTtlMs: 15_000,
  leaderTtlMs: 5_000,
  cleanupIntervalMs: 60_000,
  readyProgressWithinMs: 10_000,
};
