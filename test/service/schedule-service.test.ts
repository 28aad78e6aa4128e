import { describe, expect, it } from 'vitest';
import { AgentCatalog } from '../../src/service/agent-catalog.ts';
import { SCHEDULES_MAX, ScheduleService } from '../../src/service/schedule-service.ts';
import type { TaskService } from '../../src/service/task-service.ts';
import type { WorldOptions } from '../coordinator/world.ts';
import { ServiceWorld } from './world.ts';

const MINUTE = 60_000;
const TASK = { agent: 'echo', input: { text: 'hi' } };
const tenant = (name: string | null) => ({
  name: `of ${name}`,
  tenant: name,
  scopes: new Set(['tasks:write'] as const),
});

class ScheduleWorld extends ServiceWorld {
  readonly schedules: ScheduleService = this.scheduler(this.tasks);

  scheduler(tasks: TaskService): ScheduleService {
    const { store, keys, clock, runtime, policy, observe } = this;
    const catalog = new AgentCatalog(store, runtime);
    return new ScheduleService({ store, keys, clock, runtime, policy, observe, tasks, catalog });
  }

  /** What the owners of all shards do in one look; answers how many tasks were submitted. */
  async look(by: ScheduleService = this.schedules): Promise<number> {
    let fired = 0;
    for (let shard = 0; shard < this.policy.shards; shard++) fired += await this.call(by.fireDue(shard));
    return fired;
  }

  async made(): Promise<string[]> {
    const { tasks } = await this.call(this.tasks.list({ labels: { schedule: 'nightly' } }));
    return tasks.map(({ id }) => id).reverse();
  }

  create(over: object = {}) {
    return this.call(this.schedules.create({ id: 'nightly', everyMs: MINUTE, task: TASK, ...over }));
  }
}

async function serving(options?: WorldOptions): Promise<ScheduleWorld> {
  const world = new ScheduleWorld(options);
  await world.announce();
  return world;
}

describe.each([1, 3])('schedules with shards: %i', (shards) => {
  const here = () => serving({ policy: { shards } });

  it('submit their task at each of their times, with their label', async () => {
    const world = await here();
    const created = await world.create();
    expect(created).toMatchObject({ id: 'nightly', tenant: 'default', everyMs: MINUTE, version: 1, fired: 0 });
    expect(await world.look()).toBe(0);
    await world.advance(MINUTE);
    expect(await world.look()).toBe(1);
    expect(await world.look()).toBe(0);
    const [id] = await world.made();
    const task = await world.call(world.tasks.get(id!));
    expect(task).toMatchObject({
      agent: 'echo',
      state: 'queued',
      input: { text: 'hi' },
      labels: { schedule: 'nightly' },
    });
    const { last, fired } = await world.call(world.schedules.get('nightly'));
    expect([last?.task, fired]).toEqual([id, 1]);
  });

  it('make one task for one time, whoever looks, and however often', async () => {
    const world = await here();
    await world.create({ overlap: 'allow' });
    await world.advance(MINUTE);
    const other = world.scheduler(world.another().tasks);
    const both = await Promise.all([world.look(), world.look(other)]);
    expect(both.reduce((a, b) => a + b)).toBeGreaterThanOrEqual(1);
    expect(await world.made()).toHaveLength(1);
  });

  it('make one task although the owner ended between the submit and the change of the schedule', async () => {
    let dies = false;
    const world = await serving({
      policy: { shards },
      through: (store) =>
        new Proxy(store, {
          get(target, name: keyof typeof store) {
            const member = target[name];
            if (name === 'writeSchedule' && dies) return () => Promise.reject(new Error('killed'));
            return typeof member === 'function' ? member.bind(target) : member;
          },
        }),
    });
    await world.create({ overlap: 'allow' });
    await world.advance(MINUTE);
    dies = true;
    await world.look();
    expect(await world.made()).toHaveLength(1);
    expect(world.observed('fault')).toHaveLength(1);
    dies = false;
    expect(await world.look(world.scheduler(world.another().tasks))).toBe(1);
    expect(await world.made()).toHaveLength(1);
  });
});

describe('a schedule', () => {
  it('lets a time wait for the last task to end, and then submits it', async () => {
    const world = await serving();
    await world.create({ overlap: 'queue' });
    await world.advance(MINUTE);
    await world.look();
    await world.advance(MINUTE);
    await world.look();
    const [first, ...others] = await world.made();
    expect(others).toEqual([]);
    expect(await world.call(world.schedules.get('nightly'))).toMatchObject({ waiting: 1 });
    await world.call(world.tasks.cancel(first!));
    await world.advance(1_000);
    expect(await world.look()).toBe(1);
    expect(await world.made()).toHaveLength(2);
    expect(await world.call(world.schedules.get('nightly'))).toMatchObject({ waiting: 0, fired: 2 });
  });

  it('cancels the last task for the next one, where it replaces', async () => {
    const world = await serving();
    await world.create({ overlap: 'replace' });
    for (let n = 0; n < 2; n++) {
      await world.advance(MINUTE);
      await world.look();
    }
    const [first, second] = await world.made();
    expect([await world.state(first!), await world.state(second!)]).toEqual(['cancelled', 'queued']);
    expect((await world.call(world.tasks.get(first!))).error?.message).toBe(
      'replaced by the next task of schedule nightly',
    );
  });

  it('keeps why a submit was refused, and goes on with the next time', async () => {
    const world = await serving();
    await world.create({ task: { ...TASK, input: { text: 'x'.repeat(50) } } });
    world.policy.maxPayloadBytes = 10;
    await world.advance(MINUTE);
    expect(await world.look()).toBe(0);
    const { last, nextAt } = await world.call(world.schedules.get('nightly'));
    expect(last).toMatchObject({ task: null, error: { code: 'PAYLOAD_TOO_LARGE' } });
    expect(Date.parse(nextAt!)).toBeGreaterThan(world.now());
  });

  it('tries again when the queue was full', async () => {
    const world = await serving();
    await world.create();
    world.policy.queueMax = 1;
    await world.post();
    await world.advance(MINUTE);
    expect(await world.look()).toBe(0);
    expect(world.observed('fault')).toMatchObject([{ where: expect.stringContaining('schedule') }]);
    world.policy.queueMax = null;
    expect(await world.look()).toBe(1);
  });

  it('does nothing while it is paused, and goes on with its next time', async () => {
    const world = await serving();
    await world.create();
    expect(await world.call(world.schedules.pause('nightly'))).toMatchObject({ paused: true, nextAt: null });
    await world.advance(5 * MINUTE);
    expect(await world.look()).toBe(0);
    const { nextAt, skipped } = await world.call(world.schedules.resume('nightly'));
    expect(Date.parse(nextAt!) - world.now()).toBeLessThanOrEqual(MINUTE);
    expect(skipped).toBe(0);
    await world.advance(MINUTE);
    expect(await world.look()).toBe(1);
  });

  it('submits at once when it is triggered, beside its times', async () => {
    const world = await serving();
    const { nextAt } = await world.create();
    const task = await world.call(world.schedules.trigger('nightly'));
    expect(task).toMatchObject({ state: 'queued', labels: { schedule: 'nightly' } });
    expect(await world.call(world.schedules.get('nightly'))).toMatchObject({
      nextAt,
      fired: 1,
      last: { task: task.id },
    });
  });

  it('is changed in place by put: what happened stays counted, an unchanged interval goes on counting', async () => {
    const world = await serving();
    const made = await world.call(world.schedules.put('nightly', { everyMs: MINUTE, task: TASK }));
    expect(made.created).toBe(true);
    await world.advance(MINUTE);
    await world.look();
    await world.advance(10_000);
    const { schedule, created } = await world.call(
      world.schedules.put('nightly', { everyMs: MINUTE, overlap: 'allow', task: TASK }),
    );
    expect([created, schedule.fired, schedule.overlap]).toEqual([false, 1, 'allow']);
    expect(Date.parse(schedule.nextAt!) - world.now()).toBeLessThanOrEqual(50_000);
    const changed = await world.call(world.schedules.put('nightly', { everyMs: 2 * MINUTE, task: TASK }));
    expect(Date.parse(changed.schedule.nextAt!) - world.now()).toBeGreaterThan(MINUTE);
  });

  it('is gone when it was removed', async () => {
    const world = await serving();
    await world.create();
    await world.call(world.schedules.remove('nightly'));
    await world.advance(MINUTE);
    expect(await world.look()).toBe(0);
    await expect(world.call(world.schedules.get('nightly'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it.each([
    [{ cron: '0 9 * *' }, 'cron: cron is "0 9 * *", wanted five fields'],
    [{ cron: '0 9 * * *', timeZone: 'Mars/Olympus' }, 'cron: timeZone is "Mars/Olympus"'],
    [{ cron: '0 9 * * *', everyMs: 1_000 }, 'found 2 of cron, everyMs and at, wanted exactly one'],
    [{}, 'found 0 of cron, everyMs and at, wanted exactly one'],
    [{ everyMs: 10 }, 'everyMs'],
    [{ at: '2001-01-01T00:00:00Z' }, 'at: 2001-01-01T00:00:00.000Z has passed'],
    [{ everyMs: 1_000, timeZone: 'UTC' }, 'timeZone: only goes with cron'],
    [{ everyMs: 1_000, task: { ...TASK, key: 'k' } }, 'task.key: comes from the schedule'],
    [{ everyMs: 1_000, task: { ...TASK, priority: 11 } }, 'task.priority'],
    [{ everyMs: 1_000, overlap: 'both' }, 'overlap'],
  ])('is refused with %j', async (over, says) => {
    const world = await serving();
    const { everyMs, ...rest } = { everyMs: undefined, ...over };
    const body = { id: 'nightly', task: TASK, ...rest, ...(everyMs ? { everyMs } : {}) };
    await expect(world.call(world.schedules.create(body))).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      message: expect.stringContaining(says),
    });
  });

  it('is refused for an agent nobody knows, an input that does not fit, and a name that is taken', async () => {
    const world = await serving();
    await expect(world.create({ task: { agent: 'ecko' } })).rejects.toMatchObject({ code: 'UNKNOWN_AGENT' });
    await expect(world.create({ task: { agent: 'echo', input: { text: 7 } } })).rejects.toMatchObject({
      code: 'BAD_REQUEST',
    });
    await world.create();
    await expect(world.create()).rejects.toMatchObject({ code: 'SCHEDULE_EXISTS' });
  });

  it('is seen by its tenant only, and looks like none to the others', async () => {
    const world = await serving();
    const [a, b] = [tenant('a'), tenant('b')];
    await world.call(world.schedules.create({ id: 'nightly', everyMs: MINUTE, task: TASK }, a));
    expect(await world.call(world.schedules.list(b))).toEqual([]);
    for (const call of [
      () => world.schedules.get('nightly', b),
      () => world.schedules.pause('nightly', b),
      () => world.schedules.trigger('nightly', b),
      () => world.schedules.remove('nightly', b),
    ]) {
      await expect(world.call<unknown>(call())).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: 'there is no schedule "nightly"',
      });
    }
    await world.call(world.schedules.create({ id: 'nightly', everyMs: MINUTE, task: TASK }, b));
    await expect(world.call(world.schedules.get('nightly'))).rejects.toMatchObject({ code: 'AMBIGUOUS' });
    expect(await world.call(world.schedules.get('nightly', tenant(null), 'b'))).toMatchObject({ tenant: 'b' });
    await world.advance(MINUTE);
    await world.look();
    const { tasks } = await world.call(world.tasks.list({ tenant: 'a' }));
    expect(tasks).toMatchObject([{ tenant: 'a' }]);
    await expect(
      world.call(world.schedules.create({ id: 'x', tenant: 'b', everyMs: MINUTE, task: TASK }, a)),
    ).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  it('are no more than the bound, by whichever way they are made', async () => {
    const world = await serving();
    const text = JSON.stringify({ timing: { kind: 'once', at: 1 }, waiting: [], tenant: 'z', id: 'z' });
    for (let i = 0; i < SCHEDULES_MAX; i++) {
      await world.store.writeSchedule(0, { key: `z${i}`, expect: 0, text, dueAt: null });
    }
    const body = { everyMs: MINUTE, task: TASK };
    const full = { code: 'TOO_MANY_SCHEDULES' };
    await expect(world.create()).rejects.toMatchObject(full);
    await expect(world.call(world.schedules.put('nightly', body))).rejects.toMatchObject(full);
  });

  it('are refused when they are no object, or hold more than is read with all of them', async () => {
    const world = await serving();
    for (const raw of ['text', ['list'], null]) {
      const refused = world.call(world.schedules.put('nightly', raw));
      await expect(refused).rejects.toMatchObject({ details: { fields: [{ field: '(body)' }] } });
    }
    const task = { agent: 'slow', input: 'x'.repeat(65_536) };
    await expect(world.create({ task })).rejects.toMatchObject({ details: { fields: [{ field: 'task' }] } });
  });

  it('answer with the task they were told to submit, though they are removed in this moment', async () => {
    const world = await serving();
    await world.create();
    const tasks = Object.assign(Object.create(world.tasks) as TaskService, {
      submit: async (...asked: Parameters<TaskService['submit']>) => {
        const submitted = await world.tasks.submit(...asked);
        await world.schedules.remove('nightly');
        return submitted;
      },
    });
    const task = await world.call(world.scheduler(tasks).trigger('nightly'));
    expect(await world.made()).toEqual([task.id]);
  });

  it('that someone wrote over does not hide the others', async () => {
    const world = await serving();
    await world.store.writeSchedule(0, { key: 'x', expect: 0, text: 'not json', dueAt: 1 });
    await world.create();
    await world.advance(MINUTE);
    expect(await world.look()).toBe(1);
    expect(await world.call(world.schedules.list())).toHaveLength(1);
  });
});
