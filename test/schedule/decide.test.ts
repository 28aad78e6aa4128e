import { describe, expect, it } from 'vitest';
import { decide, dueAt, WAITING_MAX } from '../../src/schedule/decide.ts';
import type { Schedule } from '../../src/schedule/schedule.ts';

const MINUTE = 60_000;

function aSchedule(changes: Partial<Schedule> = {}): Schedule {
  return {
    id: 'nightly',
    tenant: 'default',
    timing: { kind: 'interval', everyMs: MINUTE, anchorAt: 0 },
    overlap: 'skip',
    missed: 'skip',
    jitterMs: 0,
    paused: false,
    request: { agent: 'echo' },
    createdAt: 0,
    updatedAt: 0,
    nextAt: MINUTE,
    waiting: [],
    last: null,
    fired: 0,
    skipped: 0,
    ...changes,
  };
}

describe('a schedule', () => {
  it('does nothing before its time, and fires once at it', () => {
    const schedule = aSchedule();
    expect(decide(schedule, MINUTE - 1, true)).toEqual({ fire: [], replace: false, next: schedule });
    const { fire, next } = decide(schedule, MINUTE, true);
    expect([fire, next.nextAt]).toEqual([[MINUTE], 2 * MINUTE]);
    expect(decide(next, MINUTE + 1, true).fire).toEqual([]);
  });

  it.each([
    // The last one is still in time.
    ['skip', [10], 9],
    // One stands for all.
    ['once', [10], 9],
  ] as const)('after an outage of ten times, %s fires %j', (missed, minutes, skipped) => {
    const { fire, next } = decide(aSchedule({ missed }), 10 * MINUTE + 5, true);
    expect(fire).toEqual(minutes.map((minute) => minute * MINUTE));
    expect([next.nextAt, next.skipped]).toEqual([11 * MINUTE, skipped]);
  });

  it('after an outage fires each missed time, where all count and may overlap', () => {
    const { fire, next } = decide(aSchedule({ missed: 'all', overlap: 'allow' }), 3 * MINUTE + 5, true);
    expect([fire, next.skipped]).toEqual([[MINUTE, 2 * MINUTE, 3 * MINUTE], 0]);
  });

  it('leaves out a single time that is long past with skip, and makes it up with once', () => {
    const timing = { kind: 'interval', everyMs: 60 * MINUTE, anchorAt: 0 } as const;
    const late = 60 * MINUTE + 61_000;
    const skip = decide(aSchedule({ timing, nextAt: 60 * MINUTE, missed: 'skip' }), late, true);
    expect([skip.fire, skip.next.skipped, skip.next.nextAt]).toEqual([[], 1, 120 * MINUTE]);
    expect(decide(aSchedule({ timing, nextAt: 60 * MINUTE, missed: 'once' }), late, true).fire).toEqual([60 * MINUTE]);
  });

  it('has no time left after a single one', () => {
    const { fire, next } = decide(aSchedule({ timing: { kind: 'once', at: MINUTE } }), MINUTE, true);
    expect([fire, next.nextAt]).toEqual([[MINUTE], null]);
    expect(dueAt(next, true)).toBeNull();
  });

  describe('while the last task has not ended', () => {
    it('skip leaves the time out', () => {
      const { fire, replace, next } = decide(aSchedule({ overlap: 'skip' }), MINUTE, false);
      expect([fire, replace, next.skipped]).toEqual([[], false, 1]);
    });

    it('replace cancels the other', () => {
      expect(decide(aSchedule({ overlap: 'replace' }), MINUTE, false)).toMatchObject({ fire: [MINUTE], replace: true });
      expect(decide(aSchedule({ overlap: 'replace' }), MINUTE, true)).toMatchObject({ fire: [MINUTE], replace: false });
    });

    it('allow lets both run', () => {
      expect(decide(aSchedule({ overlap: 'allow' }), MINUTE, false)).toMatchObject({ fire: [MINUTE], replace: false });
    });

    it('queue keeps the time until the other has ended, one after another', () => {
      const first = decide(aSchedule({ overlap: 'queue' }), MINUTE, false);
      expect([first.fire, first.next.waiting]).toEqual([[], [MINUTE]]);
      const second = decide(first.next, 2 * MINUTE, false);
      expect(second.next.waiting).toEqual([MINUTE, 2 * MINUTE]);
      expect(dueAt(second.next, false)).toBe(3 * MINUTE);
      expect(dueAt(second.next, true)).toBe(MINUTE);
      const ended = decide(second.next, 2 * MINUTE + 1, true);
      expect([ended.fire, ended.next.waiting]).toEqual([[MINUTE], [2 * MINUTE]]);
    });

    it('queue keeps a bounded number of times', () => {
      let schedule = aSchedule({ overlap: 'queue' });
      for (let n = 1; n <= WAITING_MAX + 20; n++) schedule = decide(schedule, n * MINUTE, false).next;
      expect([schedule.waiting.length, schedule.skipped]).toEqual([WAITING_MAX, 20]);
    });
  });

  it('waits for its jitter, which does not move the times after it', () => {
    const schedule = aSchedule({ jitterMs: 30_000 });
    const due = dueAt(schedule, true)!;
    expect(due).toBeGreaterThanOrEqual(MINUTE);
    expect(due).toBeLessThanOrEqual(MINUTE + 30_000);
    expect(decide(schedule, due - 1, true).fire).toEqual([]);
    expect(decide(schedule, due, true)).toMatchObject({ fire: [MINUTE], next: { nextAt: 2 * MINUTE } });
  });
});
