/*
 * The door to schedules, and what the owner of a shard does for them. A schedule changes only under its version; firing
 * submits under a name made of the schedule and its time before the schedule moves on. So whoever fires (an owner that was
 * cut off, its successor, or both) makes one task, and a crash between the two steps is made good by the next look.
 */
import { AgentSystemError } from '../errors.ts';
import type { Ports } from '../fleet/ports.ts';
import { digestOf } from '../message/seal.ts';
import { type Decision, decide, dueAt } from '../schedule/decide.ts';
import { type LastFire, type Schedule, scheduleKey, type Timing } from '../schedule/schedule.ts';
import { timeAfter } from '../schedule/timing.ts';
import { patiently } from '../store/patience.ts';
import type { ScheduleEntry } from '../store/store.ts';
import { isTerminal } from '../task/task.ts';
import { isoOf, type TaskView } from '../task/view.ts';
import type { AgentCatalog } from './agent-catalog.ts';
import { type Caller, OPERATOR, sees } from './caller.ts';
import { checkSchedule, timingOf } from './schedule-request.ts';
import { DEFAULT_METHOD, DEFAULT_TENANT } from './submitter.ts';
import type { TaskService } from './task-service.ts';

export const SCHEDULES_MAX = 10_000;
const DUE_PER_LOOK = 100;
const CHANGE_TRIES = 8;
const TRIES = 3;
/** Longer than any owner takes to be replaced: within it a second submit finds the task of the first. */
const ONCE_MS = 3_600_000;
/** Whether the last task has ended is looked at this often while times wait for it. */
const WAITING_LOOK_MS = 1_000;
/** The label that the tasks of a schedule carry. */
export const SCHEDULE_LABEL = 'schedule';

export interface ScheduleView {
  id: string;
  tenant: string;
  cron?: string;
  timeZone?: string;
  everyMs?: number;
  at?: string;
  overlap: Schedule['overlap'];
  missed: Schedule['missed'];
  jitterMs: number;
  paused: boolean;
  task: Schedule['request'];
  version: number;
  createdAt: string;
  updatedAt: string;
  /** The next nominal time; null = none is to come, or it is paused. */
  nextAt: string | null;
  /** Times that wait for the last task to end. */
  waiting: number;
  last: { at: string; firedAt: string; task: string | null; error?: LastFire['error'] } | null;
  fired: number;
  skipped: number;
}

export interface ScheduleServiceOptions extends Ports {
  tasks: TaskService;
  catalog: AgentCatalog;
}

interface Found {
  schedule: Schedule;
  version: number;
}

export class ScheduleService {
  readonly #options: ScheduleServiceOptions;

  constructor(options: ScheduleServiceOptions) {
    this.#options = options;
  }

  /** @throws BAD_REQUEST, UNKNOWN_AGENT, UNKNOWN_METHOD, FORBIDDEN, SCHEDULE_EXISTS, TOO_MANY_SCHEDULES */
  async create(raw: unknown, caller: Caller = OPERATOR): Promise<ScheduleView> {
    const schedule = await this.#checked(raw, caller);
    await this.#refuseFull();
    if (await this.#write(schedule, 0)) return viewOf({ schedule, version: 1 });
    throw new AgentSystemError('SCHEDULE_EXISTS', `there is a schedule ${JSON.stringify(schedule.id)} already`, {
      details: { id: schedule.id, tenant: schedule.tenant },
    });
  }

  /** Makes the schedule what `raw` says, whether there is one or not; what it did so far stays counted. */
  async put(
    id: string,
    raw: unknown,
    caller: Caller = OPERATOR,
  ): Promise<{ schedule: ScheduleView; created: boolean }> {
    const wanted = await this.#checked(isObject(raw) ? { ...raw, id } : raw, caller);
    for (let tried = 0; tried < CHANGE_TRIES; tried++) {
      const found = await this.#read(wanted);
      const schedule = found ? merged(found.schedule, wanted) : wanted;
      const version = found?.version ?? 0;
      if (!found) await this.#refuseFull();
      if (await this.#write(schedule, version)) {
        return { schedule: viewOf({ schedule, version: version + 1 }), created: found === null };
      }
    }
    throw conflict(id);
  }

  /** By tenant and id. */
  async list(caller: Caller = OPERATOR): Promise<ScheduleView[]> {
    const mine = (await this.#all()).filter(({ schedule }) => sees(caller, schedule.tenant));
    return mine.map(viewOf).sort((a, b) => (a.tenant + a.id < b.tenant + b.id ? -1 : 1));
  }

  /** @throws NOT_FOUND, AMBIGUOUS (an operator names one of several tenants by `tenant`) */
  async get(id: string, caller: Caller = OPERATOR, tenant?: string): Promise<ScheduleView> {
    return viewOf(await this.#find(id, caller, tenant));
  }

  pause(id: string, caller: Caller = OPERATOR, tenant?: string): Promise<ScheduleView> {
    return this.#change(id, { caller, tenant }, (schedule) => ({
      ...schedule,
      paused: true,
      nextAt: null,
      waiting: [],
    }));
  }

  /** Goes on with the next time from now; those that passed meanwhile were not missed, they were not wanted. */
  resume(id: string, caller: Caller = OPERATOR, tenant?: string): Promise<ScheduleView> {
    return this.#change(id, { caller, tenant }, (schedule, now) =>
      schedule.paused ? { ...schedule, paused: false, nextAt: timeAfter(schedule.timing, now) } : schedule,
    );
  }

  async remove(id: string, caller: Caller = OPERATOR, tenant?: string): Promise<void> {
    for (let tried = 0; tried < CHANGE_TRIES; tried++) {
      const { schedule, version } = await this.#find(id, caller, tenant);
      if (await this.#write(schedule, version, { remove: true })) return;
    }
    throw conflict(id);
  }

  /** Submits its task now, beside its times and whatever it made before. */
  async trigger(id: string, caller: Caller = OPERATOR, tenant?: string): Promise<TaskView> {
    const { schedule } = await this.#find(id, caller, tenant);
    const { task } = await this.#options.tasks.submit(
      requestOf(schedule, this.#options.clock.now()),
      tenantCaller(schedule),
    );
    await this.#change(id, { caller, tenant: schedule.tenant }, (standing, now) => ({
      ...standing,
      fired: standing.fired + 1,
      last: { at: now, firedAt: now, task: task.id },
    })).catch((error: unknown) => {
      // The task is there, whoever changed or removed the schedule meanwhile: who is told of an error asks for another.
      if (!(error instanceof AgentSystemError)) throw error;
      this.#options.observe({ type: 'fault', where: `schedule ${scheduleKey(schedule)}`, error });
    });
    return task;
  }

  /** What the owner of the shard does every now and then. Answers how many tasks were submitted. */
  async fireDue(shard: number): Promise<number> {
    const { store, runtime, observe } = this.#options;
    const { schedules } = await patiently(() => store.dueSchedules(shard, DUE_PER_LOOK), { runtime, tries: TRIES });
    let fired = 0;
    for (const entry of schedules) {
      try {
        const found = readable(entry)[0];
        if (found) fired += await this.#fire(found);
        else await this.#shelve(shard, entry);
      } catch (error) {
        observe({ type: 'fault', where: `schedule ${entry.key}`, error });
      }
    }
    return fired;
  }

  /** What cannot be read would be due for ever, and in the end keep the others from being looked at. */
  async #shelve(shard: number, { key, version, text }: ScheduleEntry): Promise<void> {
    await this.#options.store.writeSchedule(shard, { key, expect: version, text, dueAt: null });
    throw new AgentSystemError('SCHEDULE_UNREADABLE', `it is put aside, for it is none of ours: ${text.slice(0, 80)}`);
  }

  async #fire({ schedule, version }: Found): Promise<number> {
    const now = this.#options.clock.now();
    const lastEnded = await this.#hasEnded(schedule.last?.task ?? null);
    const decision = decide(schedule, now, lastEnded);
    if (decision.replace) await this.#cancelLast(schedule);
    const made: LastFire[] = [];
    for (const at of decision.fire) made.push(await this.#submit(schedule, at, now));
    const next = afterFiring(decision, made);
    // Someone else changed it: they, or the next look, decide anew, and find the tasks that were made here by their names.
    const submitted = made.filter(({ task }) => task !== null).length;
    const ended = lastEnded && submitted === 0;
    return (await this.#write(next, version, { lastEnded: ended })) ? submitted : 0;
  }

  /** A refusal is kept as what became of this time; a store or queue that is away is tried again with the whole schedule. */
  async #submit(schedule: Schedule, at: number, now: number): Promise<LastFire> {
    const name = `schedule ${scheduleKey(schedule)} ${schedule.createdAt} ${at}`;
    const once = { name, ttlMs: ONCE_MS };
    try {
      const { task } = await this.#options.tasks.submitOnce(requestOf(schedule, at), once, tenantCaller(schedule));
      return { at, firedAt: now, task: task.id };
    } catch (error) {
      if (!(error instanceof AgentSystemError) || error.retryable) throw error;
      return { at, firedAt: now, task: null, error: { code: error.code, message: error.message } };
    }
  }

  async #cancelLast({ last, id }: Schedule): Promise<void> {
    if (!last?.task) return;
    await this.#options.tasks
      .cancel(last.task, `replaced by the next task of schedule ${id}`)
      .catch((error: unknown) => {
        // It ended, or was deleted, in this moment.
        if (!(error instanceof AgentSystemError) || error.retryable) throw error;
      });
  }

  async #hasEnded(task: string | null): Promise<boolean> {
    if (task === null) return true;
    try {
      return isTerminal((await this.#options.tasks.get(task)).state);
    } catch (error) {
      if (error instanceof AgentSystemError && error.code === 'NOT_FOUND') return true;
      throw error;
    }
  }

  async #change(
    id: string,
    { caller, tenant }: { caller: Caller; tenant: string | undefined },
    make: (schedule: Schedule, now: number) => Schedule,
  ): Promise<ScheduleView> {
    for (let tried = 0; tried < CHANGE_TRIES; tried++) {
      const found = await this.#find(id, caller, tenant);
      const now = this.#options.clock.now();
      const made = make(found.schedule, now);
      if (made === found.schedule) return viewOf(found);
      const schedule = { ...made, updatedAt: now };
      if (await this.#write(schedule, found.version)) return viewOf({ schedule, version: found.version + 1 });
    }
    throw conflict(id);
  }

  async #refuseFull(): Promise<void> {
    if ((await this.#all()).length >= SCHEDULES_MAX) throw tooMany();
  }

  async #checked(raw: unknown, caller: Caller): Promise<Schedule> {
    const body = checkSchedule(raw);
    const tenant = body.tenant ?? caller.tenant ?? DEFAULT_TENANT;
    if (!sees(caller, tenant)) throw foreignTenant(caller, tenant);
    const {
      agent,
      method = DEFAULT_METHOD,
      input = null,
    } = body.task as {
      agent: string;
      method?: string;
      input?: unknown;
    };
    await this.#options.catalog.check(agent, method, input);
    const now = this.#options.clock.now();
    const timing = timingOf(body, now);
    const { overlap = 'skip', missed = 'skip', jitterMs = 0, paused = false } = body;
    const nextAt = paused ? null : timeAfter(timing, now);
    if (nextAt === null && !paused) throw neverDue(timing);
    return {
      id: body.id,
      tenant,
      timing,
      overlap,
      missed,
      jitterMs,
      paused,
      request: body.task as Schedule['request'],
      createdAt: now,
      updatedAt: now,
      nextAt,
      waiting: [],
      last: null,
      fired: 0,
      skipped: 0,
    };
  }

  async #find(id: string, caller: Caller, tenant?: string): Promise<Found> {
    const all = (await this.#all()).filter(
      ({ schedule }) =>
        schedule.id === id && sees(caller, schedule.tenant) && (tenant ?? schedule.tenant) === schedule.tenant,
    );
    if (all.length === 1) return all[0]!;
    if (all.length === 0) throw notFound(id);
    const tenants = all.map(({ schedule }) => schedule.tenant);
    throw new AgentSystemError('AMBIGUOUS', `${tenants.join(' and ')} each have a schedule "${id}": name the tenant`, {
      details: { id, tenants },
    });
  }

  async #all(): Promise<Found[]> {
    const { store, runtime, policy } = this.#options;
    const shards = Array.from({ length: policy.shards }, (_, shard) => shard);
    const read = (shard: number) => patiently(() => store.schedules(shard), { runtime, tries: TRIES });
    return (await Promise.all(shards.map(read))).flat().flatMap(readable);
  }

  async #read(of: { tenant: string; id: string }): Promise<Found | null> {
    const { store, runtime } = this.#options;
    const key = scheduleKey(of);
    const entry = await patiently(() => store.schedule(this.#shardOf(key), key), { runtime, tries: TRIES });
    return entry && readEntry(entry);
  }

  /** @param lastEnded when it is known; while times wait for that, it is looked at again and again */
  async #write(
    schedule: Schedule,
    expect: number,
    { remove = false, lastEnded = false }: { remove?: boolean; lastEnded?: boolean } = {},
  ): Promise<boolean> {
    const { store, runtime, clock } = this.#options;
    const key = scheduleKey(schedule);
    const text = remove ? null : JSON.stringify(schedule);
    const write = { key, expect, text, dueAt: this.#lookAt(schedule, lastEnded) };
    const shard = this.#shardOf(key);
    const reply = await patiently(() => clock.learn(() => store.writeSchedule(shard, write)), {
      runtime,
      tries: TRIES,
    });
    return reply.ok;
  }

  #lookAt(schedule: Schedule, lastEnded: boolean): number | null {
    const due = dueAt(schedule, lastEnded);
    if (schedule.waiting.length === 0 || lastEnded) return due;
    const again = this.#options.clock.now() + WAITING_LOOK_MS;
    return due === null ? again : Math.min(due, again);
  }

  #shardOf(key: string): number {
    return Buffer.from(digestOf(key), 'base64url').readUInt32BE(0) % this.#options.policy.shards;
  }
}

/** A text or a list, spread out, would become an object with a field for each of its characters or members. */
function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function afterFiring({ next }: Decision, made: LastFire[]): Schedule {
  const last = made.at(-1);
  if (!last) return next;
  return { ...next, last, fired: next.fired + made.filter(({ task }) => task !== null).length };
}

/** What was changed takes the place of what it says; what happened stays. */
function merged(standing: Schedule, wanted: Schedule): Schedule {
  const { createdAt, last, fired, skipped, waiting } = standing;
  const anchored = keepAnchor(standing.timing, wanted.timing);
  const same = JSON.stringify(anchored) === JSON.stringify(standing.timing) && standing.paused === wanted.paused;
  const nextAt = same ? standing.nextAt : wanted.nextAt;
  return {
    ...wanted,
    timing: anchored,
    nextAt,
    createdAt,
    last,
    fired,
    skipped,
    waiting: wanted.paused ? [] : waiting,
  };
}

/** An interval that stays the same goes on counting from where it began. */
function keepAnchor(standing: Timing, wanted: Timing): Timing {
  if (standing.kind !== 'interval' || wanted.kind !== 'interval') return wanted;
  return standing.everyMs === wanted.everyMs ? standing : wanted;
}

/** @param at the nominal time, which the handler may want to work by: it is the same however late the attempt runs */
function requestOf({ request, tenant, id }: Schedule, at: number): Record<string, unknown> {
  const labels = { [SCHEDULE_LABEL]: id, ...(request.labels as object | undefined) };
  const metadata = { scheduledFor: isoOf(at), ...(request.metadata as object | undefined) };
  return { ...request, tenant, labels, metadata };
}

/** A schedule acts for its tenant, whoever made it. */
function tenantCaller({ tenant, id }: Schedule): Caller {
  return { name: `schedule ${id}`, tenant, scopes: OPERATOR.scopes };
}

function readEntry({ version, text }: ScheduleEntry): Found {
  return { schedule: JSON.parse(text) as Schedule, version };
}

/** One that someone wrote over must not hide the others. */
function readable(entry: ScheduleEntry): Found[] {
  try {
    const found = readEntry(entry);
    return typeof found.schedule?.timing?.kind === 'string' && Array.isArray(found.schedule.waiting) ? [found] : [];
  } catch {
    return [];
  }
}

function viewOf({ schedule, version }: Found): ScheduleView {
  const { timing, request, createdAt, updatedAt, nextAt, waiting, last, ...same } = schedule;
  return {
    ...same,
    ...timingView(timing),
    task: request,
    version,
    createdAt: isoOf(createdAt),
    updatedAt: isoOf(updatedAt),
    nextAt: nextAt === null ? null : isoOf(nextAt),
    waiting: waiting.length,
    last: last && { ...last, at: isoOf(last.at), firedAt: isoOf(last.firedAt) },
  };
}

function timingView(timing: Timing): Pick<ScheduleView, 'cron' | 'timeZone' | 'everyMs' | 'at'> {
  if (timing.kind === 'cron') return { cron: timing.cron, timeZone: timing.timeZone };
  return timing.kind === 'interval' ? { everyMs: timing.everyMs } : { at: isoOf(timing.at) };
}

function notFound(id: string): AgentSystemError {
  return new AgentSystemError('NOT_FOUND', `there is no schedule ${JSON.stringify(id.slice(0, 80))}`, {
    details: { id },
  });
}

function neverDue(timing: Timing): AgentSystemError {
  const problem = timing.kind === 'once' ? `${isoOf(timing.at)} has passed` : 'names no time that will ever come';
  const field = timing.kind === 'once' ? 'at' : 'cron';
  return new AgentSystemError('BAD_REQUEST', `the schedule is refused: ${field}: ${problem}`, {
    details: { fields: [{ field, problem }] },
  });
}

function foreignTenant({ name, tenant }: Caller, found: string): AgentSystemError {
  return new AgentSystemError('FORBIDDEN', `${name} makes schedules of tenant ${JSON.stringify(tenant)} only`, {
    details: { tenant, found },
  });
}

function conflict(id: string): AgentSystemError {
  return new AgentSystemError('STATE_CONFLICT', `schedule ${id} changed ${CHANGE_TRIES} times in between, try again`, {
    retryable: true,
  });
}

function tooMany(): AgentSystemError {
  return new AgentSystemError('TOO_MANY_SCHEDULES', `there are ${SCHEDULES_MAX} schedules, no more are taken`);
}
