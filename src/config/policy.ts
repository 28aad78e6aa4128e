import { DEFAULT_POLICY, type SystemPolicy } from '../task/policy.ts';
import type { Config } from './load.ts';

/** The part of the configuration that core and roles work by. The deployment is known once the store has been opened. */
export function policyOf({ time, limits }: Pick<Config, 'time' | 'limits'>): SystemPolicy {
  return {
    deployment: '',
    shards: limits.shards,
    priorityAgeing: limits.priorityAgeingMs,
    retry: { ...limits.retry, maxBackoffMs: DEFAULT_POLICY.retry.maxBackoffMs },
    stuckTaskTimeoutMs: time.stuckTaskTimeoutMs,
    timeoutGraceMs: DEFAULT_POLICY.timeoutGraceMs,
    workerLostMax: limits.workerLostMax,
    retentionCompletedMs: limits.retentionCompletedMs,
    retentionFailedMs: limits.retentionFailedMs,
    retentionBytes: limits.retentionBytes,
    idempotencyTtlMs: limits.idempotencyTtlMs,
    maxPayloadBytes: limits.maxPayloadBytes,
    queueMax: limits.queueMax,
    tenantConcurrency: limits.tenantConcurrency,
    heartbeatIntervalMs: time.heartbeatIntervalMs,
    instanceTtlMs: time.instanceTtlMs,
    leaderTtlMs: time.leaderTtlMs,
    cleanupIntervalMs: time.cleanupIntervalMs,
    readyProgressWithinMs: time.readyProgressWithinMs,
  };
}
