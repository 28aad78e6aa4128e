/** When a schedule is due. Pure: the same timing and moment give the same answer everywhere, also across clock changes. */
import { createHash } from 'node:crypto';
import { Cron } from 'croner';
import type { Timing } from './schedule.ts';

/** Times listed at once; a schedule of seconds that was down for a week does not make 600,000 tasks. */
export const TIMES_MAX = 1_000;
export const INTERVAL_MS_MIN = 1_000;

/**
 * The first nominal time after `after`; null = none will come.
 *
 * Cron times follow the wall clock of their zone: one at a fixed time of day that a clock change leaves out happens
 * right after the gap, one that a clock change repeats happens once (Vixie's rule, kept by croner).
 */
export function timeAfter(timing: Timing, after: number): number | null {
  return stepper(timing)(after);
}

/** Reads a pattern once for many steps. */
function stepper(timing: Timing): (after: number) => number | null {
  switch (timing.kind) {
    case 'cron': {
      const cron = cronOf(timing);
      return (after) => cron.nextRun(new Date(after))?.getTime() ?? null;
    }
    case 'interval': {
      const { everyMs, anchorAt } = timing;
      return (after) => anchorAt + Math.max(0, Math.floor((after - anchorAt) / everyMs) + 1) * everyMs;
    }
    case 'once':
      return (after) => (timing.at > after ? timing.at : null);
  }
}

/** The nominal times from `first` (itself one) up to and with `until`, oldest first; the latest TIMES_MAX of them. */
export function timesUpTo(timing: Timing, first: number, until: number): { times: number[]; dropped: number } {
  if (timing.kind === 'interval') return intervalTimes(timing.everyMs, first, until);
  const after = stepper(timing);
  const times: number[] = [];
  let dropped = 0;
  for (let at: number | null = first; at !== null && at <= until; at = after(at)) {
    times.push(at);
    if (times.length <= TIMES_MAX) continue;
    times.shift();
    dropped += 1;
    // A pattern of seconds and an outage of days: the rest is as good as counted from a later moment.
    if (dropped >= STEPS_MAX) return timesUpTo(timing, after(until - RECENT_MS) ?? at, until);
  }
  return { times, dropped };
}

const STEPS_MAX = 10_000;
const RECENT_MS = 3_600_000;

function intervalTimes(everyMs: number, first: number, until: number): { times: number[]; dropped: number } {
  const count = until < first ? 0 : Math.floor((until - first) / everyMs) + 1;
  const dropped = Math.max(0, count - TIMES_MAX);
  const times = Array.from({ length: count - dropped }, (_, n) => first + (dropped + n) * everyMs);
  return { times, dropped };
}

/** How long this time of this schedule is put off: from 0 to `jitterMs`, evenly spread over schedules and times. */
export function jitterOf(key: string, at: number, jitterMs: number): number {
  if (jitterMs === 0) return 0;
  const share = createHash('sha256').update(`${key} ${at}`).digest().readUInt32BE(0) / 2 ** 32;
  return Math.floor(share * (jitterMs + 1));
}

/** What is wrong with a cron pattern or its time zone, in a sentence; null = nothing. */
export function cronProblem(cron: string, timeZone: string): string | null {
  try {
    new Intl.DateTimeFormat('en', { timeZone });
  } catch {
    return `timeZone is ${JSON.stringify(timeZone)}, wanted a name such as Europe/Berlin or UTC`;
  }
  try {
    const next = cronOf({ cron, timeZone }).nextRun(new Date(0));
    return next === null ? `cron ${JSON.stringify(cron)} names no time that will ever come` : null;
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/^Cron(Pattern)?: /, '') : String(error);
    return `cron is ${JSON.stringify(cron)}, wanted five fields (minute hour day month weekday) or six with seconds first: ${why}`;
  }
}

function cronOf({ cron, timeZone }: { cron: string; timeZone: string }): Cron {
  return new Cron(cron, { timezone: timeZone, mode: '5-or-6-parts', paused: true });
}
