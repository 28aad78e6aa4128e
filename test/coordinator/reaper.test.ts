import { describe, expect, it } from 'vitest';
import { Reaper } from '../../src/coordinator/reaper.ts';
import { ReportReader } from '../../src/coordinator/report-reader.ts';
import type { HeartbeatBody } from '../../src/message/bodies.ts';
import type { Store } from '../../src/store/store.ts';
import type { TaskSpec } from '../../src/task/task.ts';
import { completed, type HandWorker, heldOf, type Ref, started, World, type WorldOptions } from './world.ts';

const TTL = 15_000;

/** An owner whose reports are read and whose start lies long enough back that silence means something. */
async function reaping(options: WorldOptions = {}) {
  const world = new World(options);
  const context = await world.own();
  const reports = new ReportReader(context);
  void reports.run();
  const reaper = new Reaper(context, reports);
  const worker = await world.worker().enlist();
  const tick = async () => {
    const done = reaper.tick();
    await world.advance(0);
    await done;
  };
  /** Lets time pass as the owner's loop does: a look each second, and a heartbeat of each of these every five. */
  const live = async (seconds: number, ...beating: { worker: HandWorker; says?: Partial<HeartbeatBody> }[]) => {
    for (let second = 0; second < seconds; second++) {
      if (second % 5 === 0) for (const { worker: one, says } of beating) await one.beat(says);
      await tick();
      await world.advance(1_000);
    }
  };
  const take = async (over: Partial<TaskSpec> = {}, by = worker) => by.take(await world.submit(over));
  await worker.beat();
  await live(20, { worker });
  return { world, context, reports, reaper, worker, tick, live, take };
}

type Reaping = Awaited<ReturnType<typeof reaping>>;

/** The attempt runs, and its record says so. */
async function running({ world, worker, take }: Reaping, over: Partial<TaskSpec> = {}): Promise<Ref> {
  const ref = await take(over);
  await worker.report([started(ref, 1, world.now())]);
  await world.advance(0);
  return ref;
}

describe('a worker that is lost', () => {
  it('loses its attempts one INSTANCE_TTL after its last heartbeat, not before', async () => {
    const set = await reaping();
    const { world, worker, live } = set;
    const ref = await running(set);
    await worker.beat({ started: [heldOf(ref)] });
    await live(15);
    expect(await world.state(ref.task)).toBe('running');
    await live(2);
    expect(await world.task(ref.task)).toMatchObject({ state: 'queued', trail: { crashes: 1, used: 0 } });
    expect((await world.task(ref.task)).trail.history.at(-1)![3]).toMatchObject({ why: 'worker_lost' });
    expect(world.observed('lease.expired')).toMatchObject([{ worker: 'w1', attempts: 1 }]);
  });

  it('is retired with all that it left', async () => {
    const { world, worker, live, take } = await reaping();
    await take();
    await live(17);
    expect(await world.store.holders(0)).toEqual([]);
    expect(await world.members(`held:${worker.holder}`)).toEqual([]);
  });

  it('counts no crash for what its last heartbeat listed as not begun', async () => {
    const { world, worker, live, take } = await reaping();
    const ref = await take();
    await worker.beat({ unstarted: [heldOf(ref)] });
    await live(17);
    expect(await world.task(ref.task)).toMatchObject({ state: 'queued', trail: { crashes: 0, losses: 1 } });
  });

  it('ends a task that has cost three workers', async () => {
    const set = await reaping();
    const { world, live } = set;
    const id = await world.submit();
    for (let crash = 1; crash <= 3; crash++) {
      const victim = await world.worker(`victim${crash}`).enlist();
      const ref = await victim.take(id);
      await victim.beat({ started: [heldOf(ref)] });
      await live(17);
    }
    expect(await world.task(id)).toMatchObject({
      state: 'failed',
      trail: { crashes: 3, error: { code: 'worker_lost' } },
    });
  });

  it.each([
    ['it ran', (ref: Ref) => ({ started: [heldOf(ref)] })],
    ['it may have begun after the heartbeat that lists it as not begun', (ref: Ref) => ({ unstarted: [heldOf(ref)] })],
    ['no heartbeat speaks of it', () => ({})],
  ])('does not repeat at-most-once work: %s', async (_, says) => {
    const { world, worker, live, take } = await reaping();
    const ref = await take({ delivery: 'at-most-once' });
    await worker.beat(says(ref));
    await live(17);
    expect(await world.task(ref.task)).toMatchObject({
      state: 'failed',
      trail: { error: { code: 'outcome_unknown' } },
    });
  });

  it('keeps what it reported before: the reports come first', async () => {
    const { world, worker, live, take } = await reaping();
    const ref = await take();
    await worker.beat({ unstarted: [heldOf(ref)] });
    await live(15);
    await world.advance(1_000);
    await worker.report([completed(ref, 1, world.now())]);
    await live(2);
    expect(await world.state(ref.task)).toBe('completed');
  });

  it('is not judged while the reports that lie there are not applied', async () => {
    const world = new World();
    const context = await world.own();
    const reports = new ReportReader(context);
    const reaper = new Reaper(context, reports);
    const worker = await world.worker().enlist();
    await worker.beat();
    const ref = await worker.take(await world.submit());
    for (let i = 0; i < 16; i++) {
      await reaper.tick();
      await world.advance(1_000);
    }
    await worker.report([completed(ref, 1, world.now())]);
    const judged = reaper.tick();
    await world.advance(5_000);
    expect(await world.state(ref.task)).toBe('assigned');
    void reports.run();
    await world.advance(0);
    await judged;
    expect(await world.state(ref.task)).toBe('completed');
  });

  it('is spared when it is heard while the reports are waited for', async () => {
    const world = new World();
    const context = await world.own();
    const reports = new ReportReader(context);
    const reaper = new Reaper(context, reports);
    const worker = await world.worker().enlist();
    await worker.beat();
    const ref = await worker.take(await world.submit());
    for (let i = 0; i < 16; i++) {
      await reaper.tick();
      await world.advance(1_000);
    }
    await worker.report([]);
    const judged = reaper.tick();
    await world.advance(1_000);
    await worker.beat({ started: [heldOf(ref)] });
    void reports.run();
    await world.advance(0);
    await judged;
    expect(await world.task(ref.task)).toMatchObject({ state: 'assigned', version: 2 });
  });

  it('is judged by its verified heartbeats only', async () => {
    const { world, worker, tick, take } = await reaping();
    const ref = await take();
    const { name, incarnation } = worker;
    for (let i = 0; i < 18; i++) {
      const forged = { toCoordinators: 'a.b.c', toDistributors: 'a.b.c', mailbox: '0-0', wake: false };
      await world.store.beat(0, { worker: name, incarnation, ...forged });
      await tick();
      await world.advance(1_000);
    }
    expect(await world.state(ref.task)).toBe('queued');
    expect(world.observed('message.rejected')[0]).toMatchObject({ stream: 'lease:w1' });
  });
});

describe('a worker that was started anew under its id', () => {
  it('loses the attempts of its earlier life at once', async () => {
    const { world, tick, take } = await reaping();
    const ref = await take();
    const successor = await world.worker().enlist();
    await successor.beat();
    await tick();
    expect(await world.task(ref.task)).toMatchObject({ state: 'queued' });
    expect((await world.task(ref.task)).trail.history.at(-1)![3]).toMatchObject({ why: 'replaced' });
  });

  it('counts no crash for what the earlier life had not begun', async () => {
    const { world, worker, live, tick, take } = await reaping();
    const ref = await take();
    await live(5, { worker, says: { unstarted: [heldOf(ref)] } });
    await (await world.worker().enlist()).beat();
    await tick();
    expect(await world.task(ref.task)).toMatchObject({ state: 'queued', trail: { crashes: 0, losses: 1 } });
  });

  it('does so even while silence proves nothing', async () => {
    const { world, reaper, tick, take } = await reaping();
    const ref = await take();
    reaper.beQuiet();
    await (await world.worker().enlist()).beat();
    await tick();
    expect(await world.state(ref.task)).toBe('queued');
  });
});

describe('silence that may be our own', () => {
  it('proves nothing for one INSTANCE_TTL after the start', async () => {
    const { world, context, reports, take } = await reaping();
    const ref = await take();
    await world.advance(TTL * 3);
    const fresh = new Reaper(context, reports);
    for (let second = 0; second <= 14; second++) {
      const done = fresh.tick();
      await world.advance(0);
      await done;
      await world.advance(1_000);
      expect(await world.state(ref.task)).toBe('assigned');
    }
    await world.advance(1_000);
    for (let i = 0; i < 3; i++) {
      const done = fresh.tick();
      await world.advance(0);
      await done;
      await world.advance(1_000);
    }
    expect(await world.state(ref.task)).toBe('queued');
  });

  it('proves nothing for one INSTANCE_TTL after our loop stood still', async () => {
    const { world, tick, live, take } = await reaping();
    const ref = await take();
    await world.advance(TTL + 5_000);
    await tick();
    expect(await world.state(ref.task)).toBe('assigned');
    await live(14);
    expect(await world.state(ref.task)).toBe('assigned');
    await live(3);
    expect(await world.state(ref.task)).toBe('queued');
  });

  it('proves nothing when all stood still while the heartbeats were read', async () => {
    const pausing = { beforeRead: () => undefined as unknown };
    const through = (store: Store): Store =>
      new Proxy(store, {
        get(target, name) {
          const value = Reflect.get(target, name, target);
          if (name === 'heartbeats') pausing.beforeRead();
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    const { world, tick, take } = await reaping({ through });
    const ref = await take();
    const { now } = world.runtime;
    pausing.beforeRead = () => {
      world.runtime.now = () => now() + 2 * TTL;
    };
    await tick();
    expect(await world.state(ref.task)).toBe('assigned');
  });

  it('proves nothing for one INSTANCE_TTL after the store was away', async () => {
    const { world, reaper, live, take } = await reaping();
    const ref = await take();
    await live(10);
    reaper.beQuiet();
    await live(14);
    expect(await world.state(ref.task)).toBe('assigned');
    await live(3);
    expect(await world.state(ref.task)).toBe('queued');
  });

  it('is not taken for a stall when only the reports kept a tick waiting', async () => {
    const world = new World();
    const context = await world.own();
    const reports = new ReportReader(context);
    const reaper = new Reaper(context, reports);
    const worker = await world.worker().enlist();
    await worker.beat();
    const ref = await worker.take(await world.submit());
    for (let i = 0; i < 16; i++) {
      await reaper.tick();
      await world.advance(1_000);
    }
    await worker.report([]);
    const slow = reaper.tick();
    await world.advance(6_000);
    void reports.run();
    await world.advance(0);
    await slow;
    expect(await world.state(ref.task)).toBe('queued');
  });
});

describe('an attempt that its worker does not list', () => {
  it('is sent once more when it was never begun, then lost, and the worker is told', async () => {
    const { world, worker, live, take } = await reaping();
    const ref = await take();
    await worker.mail();
    await live(5, { worker });
    expect(await worker.assigned()).toEqual([]);
    await live(5, { worker });
    const again = await worker.assigned();
    expect(again).toMatchObject([ref]);
    await live(5, { worker });
    expect(await world.state(ref.task)).toBe('assigned');
    await live(5, { worker });
    expect(await world.task(ref.task)).toMatchObject({ state: 'queued', trail: { crashes: 1 } });
    const [{ message } = {}] = await worker.mail();
    expect(message).toMatchObject({ type: 'task.cancel', body: { cancels: [{ task: ref.task, code: 'superseded' }] } });
  });

  it('is lost without being sent again when it was running', async () => {
    const set = await reaping();
    const { world, worker, live } = set;
    const ref = await running(set);
    await live(10, { worker });
    expect(await world.state(ref.task)).toBe('queued');
    expect(await worker.assigned()).toEqual([]);
  });

  it.each(['unstarted', 'started', 'done'] as const)('is left alone while it is listed as %s', async (list) => {
    const { world, worker, live, take } = await reaping();
    const ref = await take();
    await live(40, { worker, says: { [list]: [heldOf(ref)] } });
    expect(await world.task(ref.task)).toMatchObject({ state: 'assigned', version: 2 });
  });

  it('has to be missing twice in a row', async () => {
    const { world, worker, live, take } = await reaping();
    const ref = await take();
    for (let i = 0; i < 4; i++) {
      await live(5, { worker });
      await live(5, { worker, says: { unstarted: [heldOf(ref)] } });
    }
    expect(await world.task(ref.task)).toMatchObject({ state: 'assigned', version: 2 });
  });

  it('is not missed by a heartbeat from before its assignment', async () => {
    const { world, worker, tick, take } = await reaping();
    await worker.beat();
    await world.advance(1);
    const ref = await take();
    await tick();
    await world.advance(1);
    await worker.beat();
    await tick();
    expect((await world.task(ref.task)).version).toBe(2);
  });

  it('travels alone when it may run only once', async () => {
    const { worker, live, take } = await reaping();
    const [once, twice] = [await take({ delivery: 'at-most-once' }), await take({ delivery: 'at-most-once' })];
    const others = [await take(), await take()];
    await live(10, { worker });
    const mail = await worker.mail();
    const tasks = mail.map(({ message }) => (message.type === 'task.assign' ? message.body.assignments.length : 0));
    expect(tasks.sort()).toEqual([1, 1, 2]);
    expect(mail.flatMap(({ won }) => won).sort()).toEqual([once, twice, ...others].map(({ task }) => task).sort());
  });

  it('is not signed anew for what someone wrote into its record: the task is rejected', async () => {
    const { world, worker, live, take } = await reaping();
    const [input, spec] = [await take(), await take()];
    await world.tamper(input.task, { input: '{"text":"evil"}' });
    const { sealed } = await world.task(spec.task);
    await world.tamper(spec.task, { spec: `${sealed.seal} ${sealed.text.replace('"echo"', '"evil"')}` });
    await live(10, { worker });
    expect(await worker.assigned()).toEqual([]);
    for (const { task } of [input, spec]) {
      expect(await world.task(task)).toMatchObject({ state: 'failed', trail: { error: { code: 'rejected' } } });
    }
    const quarantined = await world.quarantined();
    expect(quarantined.map(({ entry, reason }) => [entry, reason]).sort()).toEqual(
      [input, spec].map(({ task }) => [task, 'seal']).sort(),
    );
  });
});

describe('an attempt that no record holds', () => {
  it('is answered with a cancel each time it is listed again', async () => {
    const { world, worker, live, take } = await reaping();
    const ref = await take();
    await world.give(ref.task, { type: 'lose', attemptId: ref.attemptId, started: 'yes', crashesMax: 9, why: 'x' });
    const says = { started: [heldOf(ref)] };
    await live(5, { worker, says });
    expect(await worker.mail()).toEqual([]);
    for (let i = 0; i < 3; i++) {
      await live(5, { worker, says });
      const [{ message } = {}] = await worker.mail();
      const cancel = { task: ref.task, attemptId: ref.attemptId, code: 'superseded' };
      expect(message).toMatchObject({ type: 'task.cancel', body: { cancels: [cancel] } });
    }
  });

  it('is told from one whose index entry was lost: that one goes on', async () => {
    const set = await reaping();
    const { world, worker, live } = set;
    const ref = await running(set);
    await world.lose(ref.task, `held:${worker.holder}`, heldOf(ref));
    await live(30, { worker, says: { started: [heldOf(ref)] } });
    expect(await worker.mail()).toEqual([]);
    expect(await world.state(ref.task)).toBe('running');
  });

  it('of another shard is left to the owner of that one', async () => {
    const { world, worker, live } = await reaping({ policy: { shards: 2 } });
    const elsewhere = await world.submit({}, { shard: 1 });
    await live(20, { worker, says: { started: [`${elsewhere}~a1`] } });
    expect(await worker.mail()).toEqual([]);
  });
});

describe('a worker that lives but is not ready', () => {
  it('gives back what it has not begun, after two heartbeats, with no attempt used', async () => {
    const set = await reaping();
    const { world, worker, live } = set;
    const [waiting, busy] = [await set.take(), await running(set)];
    const says = { ready: false, unstarted: [heldOf(waiting)], started: [heldOf(busy)] };
    await live(5, { worker, says });
    expect(await world.state(waiting.task)).toBe('assigned');
    await live(5, { worker, says });
    expect(await world.task(waiting.task)).toMatchObject({
      state: 'queued',
      trail: { used: 0, crashes: 0, attemptNumber: 0 },
    });
    expect(await world.state(busy.task)).toBe('running');
    const [{ message } = {}] = await worker.mail();
    expect(message).toMatchObject({ type: 'task.cancel', body: { cancels: [{ task: waiting.task }] } });
  });

  it('keeps them when it is ready again in between, and while it drains', async () => {
    const { world, worker, live, take } = await reaping();
    const ref = await take();
    const unstarted = [heldOf(ref)];
    for (let i = 0; i < 3; i++) {
      await live(5, { worker, says: { ready: false, unstarted } });
      await live(5, { worker, says: { unstarted } });
    }
    await live(20, { worker, says: { ready: false, draining: true, unstarted } });
    expect((await world.task(ref.task)).version).toBe(2);
  });

  it('keeps what it has begun since it said so, and what may run only once', async () => {
    const set = await reaping();
    const { world, worker, live } = set;
    const [begun, once] = [await running(set), await set.take({ delivery: 'at-most-once' })];
    await live(20, { worker, says: { ready: false, unstarted: [heldOf(begun), heldOf(once)] } });
    expect(await world.state(begun.task)).toBe('running');
    expect(await world.state(once.task)).toBe('assigned');
  });
});

describe('entries of the index of held attempts', () => {
  it('that no record stands behind are dropped', async () => {
    const { world, worker, live, take } = await reaping();
    const ref = await take();
    await world.give(ref.task, { type: 'cancel', reason: 'r' });
    const { version } = await world.task(ref.task);
    const index = `held:${worker.holder}` as const;
    const indexes = ['old', 'older'].map((attempt) => ({
      ...{ do: 'add' as const, index, member: `${ref.task}~${attempt}`, score: 1 },
    }));
    const unit = { id: ref.task, expect: version, state: 'cancelled' as const, repair: true as const, indexes };
    await world.store.commit(0, { op: 'x', units: [unit] });
    await live(25, { worker });
    expect(await world.members(index)).toEqual([]);
    expect((await world.task(ref.task)).version).toBe(version);
  });
});
