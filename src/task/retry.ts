import type { RetryPolicy } from './task.ts';

export const RETRY_BACKOFF_MAX_MS = 3_600_000;
/** What a handler may ask for at most: a year. A date beyond what calendars know would make the task unreadable. */
export const RETRY_AFTER_MAX_MS = 366 * 86_400_000;

/**
 * Milliseconds until the next attempt: backoff × factor^(used − 1), at most `maxBackoffMs`, then jittered down to between
 * half and all of it, so that tasks which failed together do not come back together ("equal jitter").
 *
 * @param used attempts that have ended, at least 1
 * @param jitter uniform in [0, 1)
 * @param retryAfterMs what the handler asked for; it wins over the policy and is not jittered; at most a year
 */
export function retryDelayMs(policy: RetryPolicy, used: number, jitter: number, retryAfterMs?: number): number {
  if (retryAfterMs !== undefined) return Math.min(Math.max(0, Math.round(retryAfterMs)), RETRY_AFTER_MAX_MS);
  // Many attempts make the power infinite, and infinitely many times nothing is no number.
  if (policy.backoffMs === 0) return 0;
  const full = Math.min(policy.backoffMs * policy.factor ** Math.max(0, used - 1), policy.maxBackoffMs);
  return Math.round(full * (0.5 + jitter / 2));
}
