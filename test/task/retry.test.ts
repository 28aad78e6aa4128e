import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RETRY_AFTER_MAX_MS, retryDelayMs } from '../../src/task/retry.ts';

const POLICY = { maxAttempts: 9, backoffMs: 1_000, factor: 3, maxBackoffMs: 20_000 };

describe('the pause before the next attempt', () => {
  it.each([
    [1, 1_000],
    [2, 3_000],
    [3, 9_000],
    [4, 20_000],
    [500, 20_000],
  ])('after %i attempts is at most %i ms and at least half of that', (used, full) => {
    expect(retryDelayMs(POLICY, used, 0)).toBe(full / 2);
    expect(retryDelayMs(POLICY, used, 0.5)).toBe(full * 0.75);
    expect(retryDelayMs(POLICY, used, 0.999_999)).toBe(full);
  });

  it('is what the handler asked for, without jitter, from nothing to a year', () => {
    expect(retryDelayMs(POLICY, 2, 0.3, 77)).toBe(77);
    expect(retryDelayMs(POLICY, 2, 0.3, 0)).toBe(0);
    expect(retryDelayMs(POLICY, 2, 0.3, -5)).toBe(0);
    expect(retryDelayMs(POLICY, 2, 0.3, 1e300)).toBe(RETRY_AFTER_MAX_MS);
  });

  it('is a whole number within the policy whatever the policy', () => {
    const policy = fc.record({
      maxAttempts: fc.constant(1_000),
      backoffMs: fc.nat(3_600_000),
      factor: fc.integer({ min: 1, max: 100 }),
      maxBackoffMs: fc.nat(86_400_000),
    });
    fc.assert(
      fc.property(
        policy,
        fc.integer({ min: 1, max: 1_000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (p, used, j) => {
          const delay = retryDelayMs(p, used, j);
          expect(Number.isSafeInteger(delay)).toBe(true);
          expect(delay).toBeLessThanOrEqual(p.maxBackoffMs);
        },
      ),
      { examples: [[{ maxAttempts: 1_000, backoffMs: 0, factor: 100, maxBackoffMs: 1_000 }, 1_000, 0.5]] },
    );
  });
});
