import { describe, expect, it } from 'vitest';
import { Distributor } from '../../src/distributor/distributor.ts';
import { StoreUnavailableError } from '../../src/errors.ts';
import { keyRing } from '../../src/message/keys.ts';
import { seal } from '../../src/message/seal.ts';
import type { Commit, Store } from '../../src/store/store.ts';
import { completed, type HandWorker, heldOf, type Ref, World, type WorldOptions } from '../coordinator/world.ts';

async function distributing(options: WorldOptions = {}, ids = ['d1']) {
  const world = new World(options);
  const distributors = ids.map((id) => {
    const { store, keys, clock, runtime, policy, observe } = world;
    return new Distributor({ id, store, keys, clock, runtime, policy, observe, batchSizeMax: 200 });
  });
  for (const distributor of distributors) distributor.start();
  await world.advance(0);
  const submit = async (count: number, ...how: Parameters<World['submit']>) => {
    const tasks: string[] = [];
    for (let i = 0; i < count; i++) tasks.push(await world.submit(...how));
    await world.advance(1);
    return tasks;
  };
  const join = async (name: string, says: Parameters<HandWorker['beat']>[0] = {}) => {
    const worker = await world.worker(name).enlist();
    await worker.beat(says);
    await world.advance(1);
    return worker;
  };
  return { world, distributor: distributors[0]!, distributors, submit, join };
}

/** Counts calls, and lets a test stand between the distributors and the store. */
function spying() {
  const spy = {
    calls: {} as Record<string, number>,
    commit: (_: Commit, go: () => ReturnType<Store['commit']>) => go(),
    take: (go: () => ReturnType<Store['take']>) => go(),
  };
  const through = (store: Store): Store =>
    new Proxy(store, {
      get(target, name) {
        const value = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          spy.calls[String(name)] = (spy.calls[String(name)] ?? 0) + 1;
          const go = () => Reflect.apply(value, target, args);
          if (name === 'take') return spy.take(go as () => ReturnType<Store['take']>);
          return name === 'commit' ? spy.commit(args[1] as Commit, go as () => ReturnType<Store['commit']>) : go();
        };
      },
    });
  return { spy, through };
}

const hintOf = ({ name, incarnation }: HandWorker, over: object) =>
  JSON.stringify({ w: name, i: incarnation, ...over });

describe('the distributor', () => {
  it('assigns what waits in order of priority and age, signed, to this life of the worker', async () => {
    const { world, submit, join } = await distributing();
    const [low] = await submit(1, { priority: 2 });
    const [high] = await submit(1, { priority: 8 });
    const [middle] = await submit(1);
    const worker = await join('w1', { slots: 2 });
    const refs = await worker.assigned();
    expect(refs.map(({ task }) => task)).toEqual([high, middle]);
    const task = await world.task(high!);
    expect(task).toMatchObject({
      state: 'assigned',
      trail: { fence: 1, attempt: { worker: 'w1', distributor: 'd1' } },
    });
    expect(refs[0]).toMatchObject({
      attemptId: task.trail.attempt!.id,
      fence: 1,
      spec: task.sealed.text,
      input: task.input,
    });
    expect(await world.state(low!)).toBe('queued');
  });

  it('assigns what is submitted while it waits, at once', async () => {
    const { world, submit, join } = await distributing();
    const worker = await join('w1');
    await world.advance(130);
    const [id] = await submit(1);
    expect((await worker.assigned()).map(({ task }) => task)).toEqual([id]);
  });

  it('gives to the least loaded worker first', async () => {
    const { submit, join } = await distributing();
    const busy = await join('busy', {
      slots: 4,
      started: ['x~1', 'x~2', 'x~3'].map((held) => `${'0'.repeat(24)}${held}`),
    });
    const idle = await join('idle', { slots: 4 });
    const large = await join('large', { slots: 8, started: [`${'0'.repeat(25)}~4`] });
    await submit(8);
    // One of four, then halves and eighths in turn until all stand at three quarters.
    expect((await busy.assigned()).length).toBe(0);
    expect((await idle.assigned()).length).toBe(3);
    expect((await large.assigned()).length).toBe(5);
  });

  it('assigns 64 tasks of 1,000 to 64 free slots with one take and one commit', async () => {
    const { spy, through } = spying();
    const { world, submit, join } = await distributing({ through });
    await submit(1_000);
    spy.calls = {};
    const worker = await join('w1', { slots: 64 });
    expect(await worker.assigned()).toHaveLength(64);
    expect(spy.calls.take).toBe(1);
    expect(spy.calls.commit).toBe(1);
    expect(await world.lanes()).toEqual({ 'echo|default': 936 });
  });

  describe('respects credit', () => {
    it('of slots, and refills at once what a hint says is free', async () => {
      const { world, submit, join } = await distributing();
      await submit(5);
      const worker = await join('w1', { slots: 2 });
      const [first, second] = (await worker.assigned()) as [Ref, Ref];
      await world.advance(3_000);
      expect(await worker.assigned()).toEqual([]);
      await worker.report([completed(first, 1, world.now())], { hint: hintOf(worker, { r: [heldOf(first)] }) });
      await world.advance(1);
      expect(await worker.assigned()).toHaveLength(1);
      const garbage = [
        '{',
        'null',
        '[]',
        '{"w":1,"i":2}',
        hintOf(worker, { r: 'all' }),
        hintOf(worker, { r: ['unknown'] }),
      ];
      for (const hint of garbage) await worker.report([], { hint });
      await world.advance(1);
      expect(await worker.assigned()).toEqual([]);
      await worker.report([], { hint: hintOf(worker, { r: [heldOf(second)] }) });
      await world.advance(1);
      expect(await worker.assigned()).toHaveLength(1);
    });

    it('beyond slots only for quick agents', async () => {
      const { submit, join } = await distributing();
      await submit(9, { agent: 'quick' });
      await submit(9, { agent: 'slow' });
      const agents = [{ name: 'quick' }, { name: 'slow' }];
      const worker = await join('w1', { slots: 2, extra: 3, quick: ['quick'], agents });
      const mail = await worker.mail();
      const specs = mail.flatMap(({ message }) =>
        message.type === 'task.assign' ? message.body.assignments.map(({ spec }) => JSON.parse(spec).agent) : [],
      );
      expect(specs.filter((agent) => agent === 'quick')).toHaveLength(5);
      expect(specs).toHaveLength(5);
    });

    it('as the next heartbeat corrects it', async () => {
      const { world, submit, join } = await distributing();
      await submit(5);
      const worker = await join('w1', { slots: 2 });
      const [first] = (await worker.assigned()) as [Ref];
      // The hint of the other one was lost: it is no longer listed although the mailbox was read.
      await worker.beat({ slots: 2, started: [heldOf(first)] });
      await world.advance(1);
      expect(await worker.assigned()).toHaveLength(1);
    });

    it('and leaves free what a hint freed, though it then reads a heartbeat that was signed before', async () => {
      const { world, submit, join } = await distributing();
      const worker = await join('w1', { slots: 2 });
      const [first, second] = await submit(2).then(() => worker.assigned() as Promise<[Ref, Ref]>);
      const released = [heldOf(first), heldOf(second)];
      await worker.beat({ slots: 2, started: released }, 0, { wake: false });
      await world.advance(20);
      await worker.report([], { hint: hintOf(worker, { r: released }) });
      // By now it has looked for heartbeats.
      await world.advance(600);
      await submit(2);
      expect(await worker.assigned()).toHaveLength(2);
    });

    it('of what is still on its way: a heartbeat from before it was read frees nothing', async () => {
      const { world, submit, join } = await distributing();
      await submit(5);
      const worker = await join('w1', { slots: 2 });
      await worker.beat({ slots: 2, mailbox: '0-0' });
      await world.advance(1);
      expect(await worker.assigned()).toHaveLength(2);
    });

    it('of a worker that was given up and comes back, whose mailbox is gone with what it had not read', async () => {
      const { world, submit, join } = await distributing();
      const [first, second] = await submit(2);
      const worker = await join('w1', { slots: 2 });
      await world.advance(world.policy.instanceTtlMs + 1);
      for (const id of [first!, second!]) {
        const attemptId = (await world.task(id)).trail.attempt!.id;
        await world.give(id, { type: 'lose', attemptId, started: 'no', crashesMax: 3, why: 'worker_lost' });
      }
      await world.store.retire(0, 'w1', worker.incarnation);
      await worker.enlist();
      await worker.beat({ slots: 2 });
      await world.advance(5_000);
      expect((await worker.assigned()).map(({ task }) => task)).toEqual([first, second]);
    });

    it('and gives nothing more after a hand-back until the next heartbeat', async () => {
      const { world, submit, join } = await distributing();
      const worker = await join('w1', { slots: 2 });
      await worker.report([], { hint: hintOf(worker, { b: true }) });
      await submit(2);
      await world.advance(4_000);
      expect(await worker.assigned()).toEqual([]);
      await worker.beat({ slots: 2 });
      await world.advance(1);
      expect(await worker.assigned()).toHaveLength(2);
    });
  });

  it.each([
    ['does not belong to it', { distributor: 'd2' }],
    ['belongs to nobody', { distributor: null }],
    ['is not ready', { ready: false }],
    ['drains', { draining: true }],
    ['does not know the agent', { agents: [{ name: 'other' }] }],
    ['has no slots', { slots: 0 }],
  ])('gives nothing to a worker that %s', async (_, says) => {
    const { world, submit, join } = await distributing();
    await submit(3);
    const worker = await join('w1', says);
    await world.advance(2_000);
    expect(await worker.assigned()).toEqual([]);
    expect(await world.lanes()).toEqual({ 'echo|default': 3 });
  });

  it('gives nothing to a worker whose last heartbeat is older than INSTANCE_TTL, and forgets it in the end', async () => {
    const { world, submit, join, distributor } = await distributing();
    const worker = await join('w1');
    await world.advance(15_001);
    await submit(1);
    expect(await worker.assigned()).toEqual([]);
    expect(distributor.workers).toBe(1);
    await world.advance(60_000);
    expect(distributor.workers).toBe(0);
    await worker.beat();
    await world.advance(1);
    expect(await worker.assigned()).toHaveLength(1);
  });

  it('gives nothing without a verified heartbeat', async () => {
    const { world, submit } = await distributing();
    const worker = await world.worker().enlist();
    const forged = { toCoordinators: 'a.b.c', toDistributors: 'a.b.c', mailbox: '0-0', wake: true };
    await world.store.beat(0, { worker: 'w1', incarnation: worker.incarnation, ...forged });
    await submit(1);
    expect(await worker.assigned()).toEqual([]);
    expect(world.observed('message.rejected')).toHaveLength(1);
  });

  it('knows one life of a worker at a time', async () => {
    const { world, submit, join, distributor } = await distributing();
    const before = await join('w1');
    await world.advance(10);
    const after = await join('w1');
    await submit(1);
    expect(await before.assigned()).toEqual([]);
    expect(await after.assigned()).toHaveLength(1);
    expect(distributor.workers).toBe(1);
  });

  it('keeps a tenth of the slots for the others while urgent tasks wait', async () => {
    const { submit, join } = await distributing();
    const urgent = await submit(20, { priority: 10 });
    const others = await submit(5);
    const worker = await join('w1', { slots: 10 });
    const tasks = (await worker.assigned()).map(({ task }) => task);
    expect(tasks.filter((task) => urgent.includes(task))).toHaveLength(9);
    expect(tasks.filter((task) => others.includes(task))).toHaveLength(1);
  });

  it('gives back at once what it took and could not place', async () => {
    const { world, submit, join } = await distributing();
    // One slot that two agents count on: of two tasks taken one fits.
    await submit(1, { agent: 'a' });
    await submit(1, { agent: 'b' });
    await join('w2', { slots: 1, agents: [{ name: 'c' }] });
    await join('w1', { slots: 1, agents: [{ name: 'a' }, { name: 'b' }] });
    expect(Object.values(await world.lanes())).toEqual([1]);
  });

  it('assigns what it took together with a record that cannot be assigned', async () => {
    const { spy, through } = spying();
    spy.take = async (go) => {
      const { tasks, ...reply } = await go();
      // Someone wrote a version over it that no task has.
      return {
        ...reply,
        tasks: tasks.map((one, at) => (at > 0 ? one : { ...one, task: { ...one.task, version: 0 } })),
      };
    };
    const { world, submit, join } = await distributing({ through });
    const [, second, third] = await submit(3);
    const worker = await join('w1', { slots: 3 });
    expect((await worker.assigned()).map(({ task }) => task)).toEqual([second, third]);
    expect(world.observed('fault').map(({ error }) => String(error))).toEqual([
      expect.stringContaining('refused assign'),
    ]);
  });

  it('loses to a cancel that came between take and commit, and frees the slot', async () => {
    const { spy, through } = spying();
    const { world, submit, join } = await distributing({ through });
    const [cut] = await submit(1);
    spy.commit = async (_, go) => {
      spy.commit = async (_, then) => then();
      await world.give(cut!, { type: 'cancel', reason: 'now' });
      return go();
    };
    const worker = await join('w1', { slots: 1 });
    expect(await worker.assigned()).toEqual([]);
    expect(await world.state(cut!)).toBe('cancelled');
    expect(world.observed('state.conflict')).toMatchObject([{ id: cut, where: 'assign' }]);
    await submit(1);
    expect(await worker.assigned()).toHaveLength(1);
  });

  it('loses when its reservation has ended before the commit, and decides anew', async () => {
    const { spy, through } = spying();
    const { world, submit, join } = await distributing({ through });
    const [id] = await submit(1);
    spy.commit = async ({ units }, go) => {
      spy.commit = async (_, then) => then();
      await world.store.giveBack(0, units[0]!.token!);
      return go();
    };
    const worker = await join('w1', { slots: 1 });
    expect(world.observed('state.conflict')).toMatchObject([{ id, where: 'assign' }]);
    expect(await worker.assigned()).toMatchObject([{ task: id, fence: 1 }]);
  });

  it('assigns once although the answer of the commit was lost', async () => {
    const { spy, through } = spying();
    const { world, submit, join } = await distributing({ through });
    const [id] = await submit(1);
    spy.commit = async (_, go) => {
      spy.commit = async (_, then) => then();
      await go();
      throw new StoreUnavailableError('the answer was lost');
    };
    const worker = await join('w1', { slots: 1 });
    await world.advance(200);
    expect(await world.task(id!)).toMatchObject({ state: 'assigned', version: 2 });
    // The envelope may come twice; it names the same attempt, by which the worker knows it.
    expect(new Set((await worker.assigned()).map(({ attemptId }) => attemptId)).size).toBe(1);
  });

  it('starts again after an outage, and what it had taken comes back', async () => {
    const { spy, through } = spying();
    const { world, submit, join } = await distributing({ through });
    const [id] = await submit(1);
    spy.commit = async () => {
      throw new StoreUnavailableError('away');
    };
    const worker = await join('w1', { slots: 1 });
    await world.advance(1_500);
    expect(await world.state(id!)).toBe('queued');
    spy.commit = async (_, go) => go();
    await worker.beat({ slots: 1 });
    await world.advance(3_000);
    expect(await world.task(id!)).toMatchObject({ state: 'assigned', trail: { fence: 1 } });
  });

  it('takes nothing of a paused queue, and goes on when it is resumed', async () => {
    const { world, submit, join } = await distributing();
    await world.store.setPaused(0, 'echo', true);
    await submit(2);
    const worker = await join('w1');
    expect(await worker.assigned()).toEqual([]);
    await world.store.setPaused(0, 'echo', false);
    await world.advance(1);
    expect(await worker.assigned()).toHaveLength(2);
  });

  it('stops, and takes nothing afterwards', async () => {
    const { world, distributor, submit, join } = await distributing();
    const worker = await join('w1');
    const stopped = distributor.stop();
    await world.advance(0);
    await stopped;
    await submit(1);
    await world.advance(5_000);
    expect(await worker.assigned()).toEqual([]);
  });

  it('moves while nothing happens', async () => {
    const { world, distributor } = await distributing({ policy: { shards: 2 } });
    await world.advance(10_000);
    expect(world.now() - distributor.movedAt).toBeLessThanOrEqual(500);
  });
});

describe('a record that is not what was submitted', () => {
  it.each<[string, (world: World, id: string) => Promise<void>]>([
    [
      'another specification',
      async (world, id) => {
        const { sealed } = await world.task(id);
        await world.tamper(id, { spec: `${sealed.seal} ${sealed.text.replace('"run"', '"rm"')}` });
      },
    ],
    ['another input', (world, id) => world.tamper(id, { input: '{"text":"evil"}' })],
    [
      'the specification of another task',
      async (world, id) => {
        const { sealed } = await world.task(await world.submit({ runAt: world.now() + 1e6 }));
        await world.tamper(id, { spec: `${sealed.seal} ${sealed.text}` });
      },
    ],
  ])('%s: is rejected for good and quarantined, and the others go on', async (_, tamper) => {
    const { world, submit, join } = await distributing();
    const [forged, honest] = await submit(2);
    await tamper(world, forged!);
    const worker = await join('w1');
    expect((await worker.assigned()).map(({ task }) => task)).toEqual([honest]);
    expect(await world.task(forged!)).toMatchObject({ state: 'failed', trail: { error: { code: 'rejected' } } });
    expect(await world.quarantined()).toMatchObject([{ stream: 'records', entry: forged, reason: 'seal' }]);
    expect(world.observed('message.rejected')).toMatchObject([{ reason: 'seal' }]);
  });

  it('sealed under a key that is not here yet: waits, is looked at now and then, and holds up nobody', async () => {
    const { spy, through } = spying();
    const { world, submit, join } = await distributing({ through });
    const [early, later] = await submit(2);
    const { text } = (await world.task(early!)).sealed;
    const elsewhere = keyRing([{ kid: 'next', secret: 'another secret of thirty-two bytes, or so' }]);
    await world.tamper(early!, { spec: `${seal(text, elsewhere)} ${text}` });
    spy.calls = {};
    const worker = await join('w1');
    expect((await worker.assigned()).map(({ task }) => task)).toEqual([later]);
    await world.advance(10_000);
    expect(await world.state(early!)).toBe('queued');
    expect(spy.calls.take).toBeLessThan(40);
    expect(world.observed('message.rejected')[0]).toMatchObject({ reason: 'key', entry: early });
  });

  it('all sealed under a key that is not here: are back in their lane at once, for whoever knows it', async () => {
    const { world, submit, join } = await distributing();
    const ids = await submit(3);
    const elsewhere = keyRing([{ kid: 'next', secret: 'another secret of thirty-two bytes, or so' }]);
    for (const id of ids) {
      const { text } = (await world.task(id)).sealed;
      await world.tamper(id, { spec: `${seal(text, elsewhere)} ${text}` });
    }
    const worker = await join('w1');
    expect(await worker.assigned()).toEqual([]);
    const agents = { echo: 10 };
    const taken = await world.store.take(0, { token: 'other', max: 10, urgentMax: 10, agents, lanesMax: 10 });
    expect(taken.tasks.map(({ task }) => task.id)).toEqual(ids);
  });

  it.each(['x {', 'x null', 'x {}', ''])('unreadable (%j): holds up nobody', async (spec) => {
    const { world, submit, join } = await distributing();
    const [broken, whole] = await submit(2);
    await world.tamper(broken!, { spec });
    const worker = await join('w1');
    expect((await worker.assigned()).map(({ task }) => task)).toEqual([whole]);
    expect(world.observed('fault')).toHaveLength(1);
  });
});

describe('requirements', () => {
  it('sends a task only to a worker that meets them, and lets no other task wait behind it', async () => {
    const { world, submit, join } = await distributing();
    const [pinned] = await submit(1, { require: { worker: 'w2' } });
    const [labelled] = await submit(1, { require: { labels: { zone: 'eu', disk: 'ssd' } } });
    const [impossible] = await submit(1, { require: { worker: 'gone', labels: { zone: 'eu' } } });
    const [plain] = await submit(1);
    const first = await join('w1', { slots: 2, labels: { zone: 'eu' } });
    await world.advance(600);
    expect((await first.assigned()).map(({ task }) => task)).toEqual([plain]);
    const second = await join('w2', { labels: { zone: 'eu', disk: 'ssd' } });
    await world.advance(600);
    expect((await second.assigned()).map(({ task }) => task).sort()).toEqual([pinned, labelled].sort());
    expect(await world.state(impossible!)).toBe('queued');
    await world.worker('w3').enlist();
    expect(await first.assigned()).toEqual([]);
  });

  it('assigns a task of a requirement never met before at once', async () => {
    const { world, submit, join } = await distributing();
    const worker = await join('w1', { labels: { zone: 'eu' } });
    await world.advance(130);
    const [id] = await submit(1, { require: { labels: { zone: 'eu' } } });
    expect((await worker.assigned()).map(({ task }) => task)).toEqual([id]);
  });

  it('gives out resources once, and again when they are free', async () => {
    const { world, submit, join } = await distributing();
    const ids = await submit(3, { require: { resources: { gpu: 1 } } });
    const [large] = await submit(1, { require: { resources: { gpu: 3 } } });
    const worker = await join('w1', { resources: { gpu: 2 }, used: { gpu: 1 } });
    const [ref, ...more] = (await worker.assigned()) as [Ref, ...Ref[]];
    expect([ref.task, ...more]).toEqual([ids[0]]);
    await world.advance(1_000);
    expect(await worker.assigned()).toEqual([]);
    await worker.report([completed(ref, 1, world.now())], { hint: hintOf(worker, { r: [heldOf(ref)] }) });
    await world.advance(1);
    expect((await worker.assigned()).map(({ task }) => task)).toEqual([ids[1]]);
    expect(await world.state(large!)).toBe('queued');
  });

  it('asks the store no more than now and then while nobody meets them', async () => {
    const { spy, through } = spying();
    const { world, submit, join } = await distributing({ through });
    await join('w1');
    await join('w2', { agents: [{ name: 'other' }], labels: { zone: 'eu' } });
    for (let i = 0; i < 20; i++) await submit(1, { require: { worker: `gone-${i}` } });
    // Met by a worker that has room, but not for this agent.
    await submit(5, { require: { labels: { zone: 'eu' } } });
    await world.advance(1_000);
    spy.calls = {};
    await world.advance(10_000);
    expect(spy.calls.take).toBeLessThanOrEqual(25);
    expect(spy.calls.giveBack ?? 0).toBe(0);
    expect(spy.calls.commit ?? 0).toBe(0);
  });

  it('serves every one of a thousand pins in few rounds', async () => {
    const { spy, through } = spying();
    const { world, submit, join } = await distributing({ through });
    for (let i = 0; i < 1_000; i++) await submit(1, { require: { worker: `w${i}` } });
    const worker = await join('w999');
    spy.calls = {};
    await world.advance(2_000);
    expect(await worker.assigned()).toHaveLength(1);
    expect(spy.calls.take).toBeLessThanOrEqual(30);
  });

  it('does not place a task that stands in a lane of other requirements than it was sealed with', async () => {
    const { world, submit, join } = await distributing();
    const [id] = await submit(1, { require: { worker: 'w2' } });
    const { version } = await world.task(id!);
    const [right] = Object.keys(await world.lanes());
    const indexes = [
      { do: 'remove' as const, lane: right!, score: 0 },
      { do: 'add' as const, lane: 'echo|default', score: 1 },
    ];
    const unit = { id: id!, expect: version, state: 'queued' as const, repair: true as const, indexes };
    await world.store.commit(0, { op: 'x', units: [unit] });
    const worker = await join('w1');
    await world.advance(5_000);
    expect(await worker.assigned()).toEqual([]);
    const faults = world.observed('fault').map(({ error }) => String(error));
    expect(faults[0]).toContain('stands in lane echo|default but requires {"worker":"w2"}');
    // It stays in its reservation each time, and so is looked at rarely.
    expect(faults.length).toBeLessThanOrEqual(3);
  });

  it('are looked at by hand too', async () => {
    const { distributor, submit, join } = await distributing();
    await join('w1', { slots: 1, ready: false, resources: { gpu: 1 }, used: { gpu: 1 } });
    const [pinned] = await submit(1, { require: { worker: 'w2' } });
    const [full] = await submit(1, { require: { resources: { gpu: 1 } } });
    const refused = { task: pinned, assigned: false, reason: 'requirement' };
    expect(await distributor.assignTaskToWorker(pinned!, 'w1')).toEqual(refused);
    // Whatever its load: it hands back what does not fit.
    expect(await distributor.assignTaskToWorker(full!, 'w1')).toMatchObject({ assigned: true });
  });
});

describe('assigning to a named worker', () => {
  it('gives it the task before everything that waits, whatever its load', async () => {
    const { world, distributor, submit, join } = await distributing();
    const worker = await join('w1', { slots: 1, started: [`${'0'.repeat(25)}~1`] });
    const [, second] = await submit(2, { priority: 1 });
    const outcome = await distributor.assignTaskToWorker(second!, 'w1');
    expect(outcome).toEqual({ task: second, assigned: true, attemptId: expect.any(String) });
    expect(await worker.assigned()).toMatchObject([{ task: second }]);
    expect(await world.lanes()).toEqual({ 'echo|default': 1 });
  });

  it('answers for each of a batch, over shards, in one commit per shard', async () => {
    const { spy, through } = spying();
    const { world, distributor, submit, join } = await distributing({ policy: { shards: 2 }, through });
    const worker = await world.worker('w1').enlist();
    for (const shard of [0, 1]) await worker.beat({ slots: 1, ready: false }, shard);
    await world.advance(1);
    await join('other', { agents: [{ name: 'none' }] });
    const [here] = await submit(1, {}, { shard: 0 });
    const [there] = await submit(1, {}, { shard: 1 });
    const [foreign] = await submit(1, { agent: 'none-has-it' });
    const [ended] = await submit(1, { agent: 'x' });
    await world.give(ended!, { type: 'cancel', reason: 'r' });
    const [forged] = await submit(1);
    await world.tamper(forged!, { input: '1' });
    spy.calls = {};
    const unknown = 'z'.repeat(25);
    const outcomes = await distributor.batchAssignTasks(
      [here!, there!, foreign!, ended!, forged!, here!, 'nonsense', unknown],
      'w1',
    );
    expect(outcomes.map((outcome) => (outcome.assigned ? 'assigned' : outcome.reason))).toEqual([
      ...['assigned', 'assigned', 'no_agent', 'not_queued', 'seal', 'assigned', 'no_task', 'no_task'],
    ]);
    expect(spy.calls.commit).toBe(2);
    expect(await worker.assigned(0)).toMatchObject([{ task: here }]);
    expect(await worker.assigned(1)).toMatchObject([{ task: there }]);
  });

  it('counts nothing of a batch that came to nothing', async () => {
    const { world, distributor, submit, join } = await distributing();
    const [first, second] = await submit(2);
    const worker = await join('w1', { slots: 1, ready: false });
    await world.tamper(second!, { trail: '{' });
    await expect(distributor.batchAssignTasks([first!, second!], 'w1')).rejects.toThrow('trail');
    await worker.beat({ slots: 1 });
    await world.advance(1);
    expect(await worker.assigned()).toMatchObject([{ task: first }]);
  });

  it('refuses a worker that is not its own, and names those that are', async () => {
    const { world, distributor, submit, join } = await distributing();
    await join('w1');
    const [id] = await submit(1, { agent: 'rare' });
    const refused = { code: 'WORKER_UNKNOWN', message: expect.stringContaining('its workers are: w1') };
    await expect(distributor.assignTaskToWorker(id!, 'w9')).rejects.toMatchObject(refused);
    await world.advance(20_000);
    await expect(distributor.assignTaskToWorker(id!, 'w1')).rejects.toMatchObject({ code: 'WORKER_UNKNOWN' });
  });

  it('loses against someone who was quicker', async () => {
    const { spy, through } = spying();
    const { world, distributor, submit, join } = await distributing({ through });
    await join('w1', { ready: false });
    const [id] = await submit(1);
    spy.commit = async (_, go) => {
      spy.commit = async (_, then) => then();
      await world.give(id!, { type: 'cancel', reason: 'now' });
      return go();
    };
    expect(await distributor.assignTaskToWorker(id!, 'w1')).toEqual({ task: id, assigned: false, reason: 'conflict' });
  });
});

describe('several distributors', () => {
  it('never assign a task twice, and between them assign all', async () => {
    const ids = ['d1', 'd2', 'd3', 'd4'];
    const { world, submit } = await distributing({ seed: 7 }, ids);
    const workers = await Promise.all(ids.map((_, i) => world.worker(`w${i}`).enlist()));
    await submit(300);
    for (const [i, worker] of workers.entries()) await worker.beat({ slots: 75, distributor: ids[i]! });
    await world.advance(10);
    const refs = (await Promise.all(workers.map((worker) => worker.assigned()))).flat();
    expect(refs).toHaveLength(300);
    expect(new Set(refs.map(({ task }) => task)).size).toBe(300);
    expect(world.observed('state.conflict')).toEqual([]);
    for (const { task, fence } of refs) expect((await world.task(task)).trail.fence).toBe(fence);
  });
});
