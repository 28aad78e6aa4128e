import { type Schedule, scheduleKey } from './schedule.ts';
import { jitterOf, timeAfter, timesUpTo } from './timing.ts';

/** A time that is acted on no later than this was not missed. */
const MISSED_AFTER_MS = 60_000;
/** Times kept waiting for the last task to end. */
export const WAITING_MAX = 100;

export interface Decision {
  /** Nominal times to submit a task for now, oldest first. */
  fire: number[];
  /** The last task is to be cancelled first. */
  replace: boolean;
  /** The schedule once that was done; its `last` and `fired` are the caller's to fill in. */
  next: Schedule;
}

/** When somebody has to look at the schedule; null = never, as it stands. */
export function dueAt(schedule: Schedule, lastEnded: boolean): number | null {
  if (schedule.waiting.length > 0 && lastEnded) return schedule.waiting[0]!;
  if (schedule.nextAt === null) return null;
  return schedule.nextAt + jitterOf(scheduleKey(schedule), schedule.nextAt, schedule.jitterMs);
}

/**
 * What is to be done at `now`.
 *
 * @param lastEnded whether the task that the schedule made last has ended, or there is none
 */
export function decide(schedule: Schedule, now: number, lastEnded: boolean): Decision {
  const { timing, nextAt } = schedule;
  const waiting = [...schedule.waiting];
  const nothing: Decision = { fire: [], replace: false, next: schedule };
  const due = nextAt !== null && nextAt + jitterOf(scheduleKey(schedule), nextAt, schedule.jitterMs) <= now;
  if (!due) {
    if (!lastEnded || waiting.length === 0) return nothing;
    const [first, ...rest] = waiting;
    return { fire: [first!], replace: false, next: { ...schedule, waiting: rest } };
  }
  const { times, dropped } = timesUpTo(timing, nextAt, now);
  const { kept, left } = afterMissed(schedule, times, now);
  const next = {
    ...schedule,
    nextAt: timeAfter(timing, times.at(-1) ?? nextAt),
    skipped: schedule.skipped + dropped + left,
  };
  return overlapping(next, kept, waiting, lastEnded);
}

/** The last time is missed only when it is long past; those before it are, for nobody acted on them in their time. */
function afterMissed({ missed }: Schedule, times: number[], now: number): { kept: number[]; left: number } {
  if (missed === 'all') return { kept: times, left: 0 };
  const last = times.at(-1);
  if (last === undefined) return { kept: [], left: 0 };
  const inTime = now - last <= MISSED_AFTER_MS;
  const kept = missed === 'once' || inTime ? [last] : [];
  return { kept, left: times.length - kept.length };
}

function overlapping(next: Schedule, times: number[], waiting: number[], lastEnded: boolean): Decision {
  if (times.length === 0) return { fire: [], replace: false, next };
  switch (next.overlap) {
    case 'allow':
      return { fire: times, replace: false, next };
    case 'replace': {
      // Of several times only the last would live: the others would be cancelled as soon as they were submitted.
      const skipped = next.skipped + times.length - 1;
      return { fire: times.slice(-1), replace: !lastEnded, next: { ...next, skipped } };
    }
    case 'queue': {
      const all = [...waiting, ...times];
      const [first, ...rest] = all;
      const kept = (lastEnded ? rest : all).slice(0, WAITING_MAX);
      const skipped = next.skipped + (lastEnded ? rest.length : all.length) - kept.length;
      return { fire: lastEnded ? [first!] : [], replace: false, next: { ...next, waiting: kept, skipped } };
    }
    case 'skip': {
      // One at a time: of several missed times that all count, the first runs and the others overlap with it.
      const fire = lastEnded ? times.slice(0, 1) : [];
      return { fire, replace: false, next: { ...next, skipped: next.skipped + times.length - fire.length } };
    }
  }
}
