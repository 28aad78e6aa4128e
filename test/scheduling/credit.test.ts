import { describe, expect, it } from 'vitest';
import { extraCredit } from '../../src/scheduling/credit.ts';

describe('extraCredit', () => {
  it.each([
    ['what the slots finish in one turn-around', { slots: 4, turnAroundMs: 10, meanRunMs: 2, max: 512 }, 20],
    ['a started one counts', { slots: 4, turnAroundMs: 1, meanRunMs: 50, max: 512 }, 1],
    ['never more than the bound', { slots: 64, turnAroundMs: 50, meanRunMs: 0.1, max: 512 }, 512],
    ['the bound when runs are too short to measure', { slots: 1, turnAroundMs: 1, meanRunMs: 0, max: 512 }, 512],
    ['none at 100 ms and more', { slots: 64, turnAroundMs: 50, meanRunMs: 100, max: 512 }, 0],
    ['some just below 100 ms', { slots: 64, turnAroundMs: 50, meanRunMs: 99, max: 512 }, 33],
    ['none while nothing is known', { slots: 64, turnAroundMs: 50, meanRunMs: undefined, max: 512 }, 0],
    ['none for a mean that is no number', { slots: 64, turnAroundMs: 50, meanRunMs: Number.NaN, max: 512 }, 0],
    ['none without slots', { slots: 0, turnAroundMs: 50, meanRunMs: 0, max: 512 }, 0],
    ['none for a clock that went back', { slots: 4, turnAroundMs: -5, meanRunMs: 2, max: 512 }, 0],
    ['none where it is switched off', { slots: 4, turnAroundMs: 10, meanRunMs: 2, max: 0 }, 0],
  ])('is %s', (_, given, credit) => {
    expect(extraCredit(given)).toBe(credit);
  });
});
