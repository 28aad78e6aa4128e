import { describe, expect, it } from 'vitest';
import type { Timing } from '../../src/schedule/schedule.ts';
import { cronProblem, jitterOf, TIMES_MAX, timeAfter, timesUpTo } from '../../src/schedule/timing.ts';

const at = (iso: string) => Date.parse(iso);
const berlin = (cron: string): Timing => ({ kind: 'cron', cron, timeZone: 'Europe/Berlin' });
const next = (timing: Timing, after: string, count: number) => {
  const times: string[] = [];
  let time: number | null = at(after);
  for (let n = 0; n < count && time !== null; n++) {
    time = timeAfter(timing, time);
    if (time !== null) times.push(new Date(time).toISOString());
  }
  return times;
};

describe('when a cron schedule is due', () => {
  it('follows the wall clock of its zone', () => {
    expect(next(berlin('30 9 * * 1-5'), '2026-11-20T07:00:00Z', 2)).toEqual([
      '2026-11-20T08:30:00.000Z',
      '2026-11-23T08:30:00.000Z',
    ]);
    expect(next(berlin('30 9 * * *'), '2026-07-01T00:00:00Z', 1)).toEqual(['2026-07-01T07:30:00.000Z']);
  });

  it('does a time of day that the spring clock leaves out right after the gap, once', () => {
    // On 2026-03-29 the clocks of Berlin went from 02:00 to 03:00.
    expect(next(berlin('30 2 * * *'), '2026-03-28T12:00:00Z', 2)).toEqual([
      '2026-03-29T01:00:00.000Z',
      '2026-03-30T00:30:00.000Z',
    ]);
  });

  it('does a time of day that the autumn clock repeats once', () => {
    // On 2026-10-25 the hour from 02:00 to 03:00 came twice.
    expect(next(berlin('30 2 * * *'), '2026-10-24T12:00:00Z', 2)).toEqual([
      '2026-10-25T00:30:00.000Z',
      '2026-10-26T01:30:00.000Z',
    ]);
  });

  it('goes on every quarter of an hour through both', () => {
    const spring = next(berlin('*/15 * * * *'), '2026-03-29T00:40:00Z', 4);
    expect(spring).toEqual([
      '2026-03-29T00:45:00.000Z',
      '2026-03-29T01:00:00.000Z',
      '2026-03-29T01:15:00.000Z',
      '2026-03-29T01:30:00.000Z',
    ]);
    const autumn = timesUpTo(berlin('*/15 * * * *'), at('2026-10-25T00:00:00Z'), at('2026-10-25T02:00:00Z')).times;
    expect(new Set(autumn).size).toBe(autumn.length);
    expect(autumn.every((time, n) => n === 0 || time - autumn[n - 1]! === 900_000)).toBe(true);
  });

  it('takes seconds as a sixth field, first', () => {
    expect(next(berlin('*/20 * * * * *'), '2026-11-20T07:00:01Z', 2)).toEqual([
      '2026-11-20T07:00:20.000Z',
      '2026-11-20T07:00:40.000Z',
    ]);
  });

  it('says what is wrong with a pattern or a zone', () => {
    expect(cronProblem('0 9 * * *', 'UTC')).toBeNull();
    expect(cronProblem('0 9 * *', 'UTC')).toContain('wanted five fields');
    expect(cronProblem('0 25 * * *', 'UTC')).toContain('wanted five fields');
    expect(cronProblem('0 9 * * *', 'Berlin')).toContain('Europe/Berlin');
    expect(cronProblem('0 0 30 2 *', 'UTC')).toContain('no time that will ever come');
  });
});

describe('when the others are due', () => {
  const every: Timing = { kind: 'interval', everyMs: 10_000, anchorAt: 1_000 };

  it('keeps an interval to its anchor, however late somebody looks', () => {
    expect([0, 1_000, 1_001, 10_999, 11_000, 99_999].map((after) => timeAfter(every, after))).toEqual([
      1_000, 11_000, 11_000, 11_000, 21_000, 101_000,
    ]);
  });

  it('comes once, and then never', () => {
    const once: Timing = { kind: 'once', at: 5_000 };
    expect([timeAfter(once, 4_999), timeAfter(once, 5_000)]).toEqual([5_000, null]);
    expect(timesUpTo(once, 5_000, 9_000).times).toEqual([5_000]);
  });

  it('lists the latest times of a long outage, and counts the others', () => {
    const { times, dropped } = timesUpTo(every, 1_000, 1_000 + 10_000 * 4_999);
    expect([times.length, dropped, times.at(-1)]).toEqual([TIMES_MAX, 4_000, 1_000 + 10_000 * 4_999]);
    const seconds = timesUpTo(berlin('* * * * * *'), at('2026-01-01T00:00:00Z'), at('2026-02-01T00:00:00Z'));
    expect(seconds.times.length).toBe(TIMES_MAX);
    expect(seconds.times.at(-1)).toBe(at('2026-02-01T00:00:00Z'));
  });
});

describe('jitter', () => {
  it('is within its bound, the same for the same time, and spread', () => {
    const values = Array.from({ length: 500 }, (_, n) => jitterOf('k', n * 60_000, 1_000));
    expect(values.every((value) => value >= 0 && value <= 1_000)).toBe(true);
    expect(jitterOf('k', 60_000, 1_000)).toBe(values[1]);
    expect(values.filter((value) => value < 500).length).toBeGreaterThan(180);
    expect(values.filter((value) => value >= 500).length).toBeGreaterThan(180);
    expect(jitterOf('k', 60_000, 0)).toBe(0);
  });
});
