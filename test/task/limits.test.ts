import { describe, expect, it } from 'vitest';
import { totalEndsAt, waitEndsAt, whyExpired } from '../../src/task/limits.ts';
import { aTask, T0 } from '../support/builders.ts';

const LATE = T0 + 1_000_000;

describe('the limits of a task', () => {
  it.each([
    ['none', {}, undefined],
    ['its stay in the queue', { queueTimeoutMs: 5_000, trail: { queuedAt: T0 + 100 } }, T0 + 5_100],
    ['its total time', { totalTimeoutMs: 7_000 }, T0 + 7_000],
    ['the earlier of both', { queueTimeoutMs: 9_000, totalTimeoutMs: 7_000 }, T0 + 7_000],
    ['no stay while it is scheduled', { state: 'scheduled', queueTimeoutMs: 5_000 }, undefined],
    ['its total time while it is scheduled', { state: 'scheduled', totalTimeoutMs: 5_000 }, T0 + 5_000],
    ['its total time from the last retry by hand', { totalTimeoutMs: 5_000, trail: { retriedAt: T0 + 9 } }, T0 + 5_009],
  ] as const)('of a task that waits: %s', (_, over, at) => {
    expect(waitEndsAt(aTask(over))).toBe(at);
  });

  it('say how long a task stood in the queue, and how long it might', () => {
    const task = aTask({ queueTimeoutMs: 30_000 });
    expect(whyExpired(task, T0 + 29_999)).toBeNull();
    expect(whyExpired(task, T0 + 30_000)).toBe('waited 30 s in the queue, at most 30 s were allowed');
    expect(whyExpired(aTask({ queueTimeoutMs: 250 }), T0 + 1_620)).toBe(
      'waited 1.6 s in the queue, at most 250 ms were allowed',
    );
  });

  it('say that the total time is over, in whatever state without an attempt', () => {
    for (const state of ['scheduled', 'queued', 'waiting'] as const) {
      expect(whyExpired(aTask({ state, totalTimeoutMs: 90_000 }), LATE)).toBe(
        'did not end within its total time of 90 s',
      );
    }
    expect(whyExpired(aTask({ state: 'running', totalTimeoutMs: 90_000 }), LATE)).toBeNull();
    expect(whyExpired(aTask(), LATE)).toBeNull();
  });

  it('count from creation, not from when a delayed task is due', () => {
    expect(totalEndsAt(aTask({ state: 'scheduled', runAt: T0 + 5_000, totalTimeoutMs: 6_000 }))).toBe(T0 + 6_000);
  });
});
