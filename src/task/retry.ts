import type { RetryPolicy } from './task.ts';

export const RETRY_BACKOFF_MAX_MS = 3_600_000;

/**
 * Milliseconds until the next attempt: backoff × factor^(used − 1), at most `maxBackoffMs`, then jittered down to between
 * half and all of it, so that tasks which failed together do not come back together ("equal jitter").
 *
 * @param used attempts that have ended, at least 1
 * @param jitter uniform in [0, 1)
 * @param retryAfterMs what the handler asked for; it wins over the policy and is not jittered
 */
export function retryDelayMs(policy: RetryPolicy, used: number, jitter: number, retryAfterMs?: number): number {
  if (retryAfterMs !== undefined) return Math.max(0, Math.round(retryAfterMs));
  const full = Math.min(policy.backoffMs * policy.factor ** Math.max(0, used - 1), policy.maxBackoffMs);
  return Math.round(full * (0.5 + jitter / 2));
}
