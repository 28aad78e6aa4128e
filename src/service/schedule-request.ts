import { z } from 'zod';
import { AgentSystemError } from '../errors.ts';
import { MISSED_POLICIES, OVERLAP_POLICIES, type Timing } from '../schedule/schedule.ts';
import { cronProblem, INTERVAL_MS_MIN } from '../schedule/timing.ts';
import { foundAndWanted } from './found-and-wanted.ts';
import { badRequest, crowdedFields, submitRequest } from './submit-request.ts';

const DAY_MS = 86_400_000;
/** Schedules are read all together, and there may be thousands: what is large is passed as a reference. */
const TASK_BYTES_MAX = 64 * 1024;
const SCHEDULE_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
/** What a task of a schedule cannot say: its time and its uniqueness come from the schedule. */
const NOT_IN_A_SCHEDULE = ['key', 'delayMs', 'runAt', 'tenant'] as const;

export const scheduleBody = z.strictObject({
  id: z.string().regex(SCHEDULE_ID, {
    error: ({ input }) =>
      `found ${JSON.stringify(String(input).slice(0, 80))}, wanted 1 to 64 letters, digits, dots, hyphens or underscores`,
  }),
  tenant: z.string().min(1).max(128).optional(),
  cron: z.string().min(1).max(200).optional(),
  timeZone: z.string().min(1).max(64).optional(),
  everyMs: z
    .number()
    .int()
    .min(INTERVAL_MS_MIN)
    .max(366 * DAY_MS)
    .optional(),
  at: z.iso.datetime({ offset: true }).optional(),
  overlap: z.enum(OVERLAP_POLICIES).optional(),
  missed: z.enum(MISSED_POLICIES).optional(),
  jitterMs: z.number().int().min(0).max(DAY_MS).optional(),
  paused: z.boolean().optional(),
  /** What is submitted, as in `POST /v1/tasks`. */
  task: z.record(z.string(), z.unknown()),
});

export type ScheduleBody = z.output<typeof scheduleBody>;
/** What a client sends. */
export type ScheduleInput = z.input<typeof scheduleBody>;

/** The checked body; throws BAD_REQUEST that names every field at fault. Agent and input are the catalog's to judge. */
export function checkSchedule(raw: unknown): ScheduleBody {
  const read = scheduleBody.safeParse(raw, { error: foundAndWanted });
  if (!read.success) throw badRequest(read.error, 'the schedule');
  const problems = [...timingProblems(read.data), ...taskProblems(read.data.task)];
  if (problems.length === 0) return read.data;
  const text = problems.map(({ field, problem }) => `${field}: ${problem}`).join('; ');
  throw new AgentSystemError('BAD_REQUEST', `the schedule is refused: ${text}`, { details: { fields: problems } });
}

/** @param now where an interval begins to count */
export function timingOf({ cron, timeZone = 'UTC', everyMs, at }: ScheduleBody, now: number): Timing {
  if (cron !== undefined) return { kind: 'cron', cron, timeZone };
  if (everyMs !== undefined) return { kind: 'interval', everyMs, anchorAt: now };
  return { kind: 'once', at: Date.parse(at!) };
}

interface Problem {
  field: string;
  problem: string;
}

function timingProblems({ cron, timeZone, everyMs, at }: ScheduleBody): Problem[] {
  const given = [cron, everyMs, at].filter((value) => value !== undefined).length;
  if (given !== 1) {
    return [{ field: '(body)', problem: `found ${given} of cron, everyMs and at, wanted exactly one of them` }];
  }
  if (timeZone !== undefined && cron === undefined) return [{ field: 'timeZone', problem: 'only goes with cron' }];
  const problem = cron === undefined ? null : cronProblem(cron, timeZone ?? 'UTC');
  return problem === null ? [] : [{ field: 'cron', problem }];
}

function taskProblems(task: Record<string, unknown>): Problem[] {
  const given = NOT_IN_A_SCHEDULE.filter((name) => task[name] !== undefined);
  if (given.length > 0) {
    return given.map((name) => ({ field: `task.${name}`, problem: 'comes from the schedule, and is not taken here' }));
  }
  const crowded = crowdedFields(task);
  if (crowded.length > 0) return crowded.map(({ field, problem }) => ({ field: `task.${field}`, problem }));
  const bytes = Buffer.byteLength(JSON.stringify(task));
  if (bytes > TASK_BYTES_MAX) {
    return [{ field: 'task', problem: `found ${bytes} bytes as JSON, wanted at most ${TASK_BYTES_MAX}` }];
  }
  const read = submitRequest.safeParse(task, { error: foundAndWanted });
  if (read.success) return [];
  return read.error.issues.map((issue) => ({ field: ['task', ...issue.path].join('.'), problem: issue.message }));
}
