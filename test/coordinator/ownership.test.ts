import { describe, expect, it } from 'vitest';
import { Coordinator } from '../../src/coordinator/coordinator.ts';
import { Elector } from '../../src/coordinator/elector.ts';
import { commitOwned, OwnershipLost } from '../../src/coordinator/owner-context.ts';
import { StoreUnavailableError } from '../../src/errors.ts';
import type { HeldLock, LockPort, Store } from '../../src/store/store.ts';
import type { TaskRecord } from '../../src/task/task.ts';
import { completed, started, World, type WorldOptions } from './world.ts';

const LEADER_TTL = 5_000;

function electing(world: World, instance: string) {
  const led: { epoch: string; signal: AbortSignal; lost: () => void }[] = [];
  const elector = new Elector({
    ...{ store: world.store, runtime: world.runtime, observe: world.observe, shard: 0, instance },
    leaderTtlMs: LEADER_TTL,
    own: (epoch, signal, lost) => {
      led.push({ epoch, signal, lost });
      return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
    },
  });
  return { elector, led };
}

async function stop(world: World, ...parts: { stop(): Promise<void> }[]): Promise<void> {
  const stopped = Promise.all(parts.map((part) => part.stop()));
  await world.advance(1_000);
  await stopped;
}

/** A lock that a test can break. */
function brokenLock() {
  const fault = { extend: null as null | (() => Promise<HeldLock | null>) };
  const through = (store: Store): Store =>
    new Proxy(store, {
      get(target, name) {
        const value = Reflect.get(target, name, target);
        if (name !== 'lock') return typeof value === 'function' ? value.bind(target) : value;
        return (shard: number): LockPort => {
          const lock = target.lock(shard);
          return {
            acquire: (ttlMs) => lock.acquire(ttlMs),
            extend: (held, ttlMs) => (fault.extend ? fault.extend() : lock.extend(held, ttlMs)),
            release: (held) => lock.release(held),
          };
        };
      },
    });
  return { fault, through };
}

describe('the elector', () => {
  it('lets one of two own the shard, for as long as it lives', async () => {
    const world = new World();
    const [a, b] = [electing(world, 'a'), electing(world, 'b')];
    a.elector.start();
    b.elector.start();
    await world.advance(60_000);
    expect([a.led.length, b.led.length]).toEqual([1, 0]);
    expect(await world.store.owner(0)).toMatchObject({ instance: 'a', epoch: a.elector.epoch });
    expect(a.elector.until).toBeGreaterThan(world.now());
    await stop(world, a.elector, b.elector);
  });

  it('gives the lock back when it stops, so that another takes over without waiting for its end', async () => {
    const world = new World();
    const [a, b] = [electing(world, 'a'), electing(world, 'b')];
    a.elector.start();
    await world.advance(100);
    b.elector.start();
    await world.advance(1_000);
    await stop(world, a.elector);
    expect(a.led[0]!.signal.aborted).toBe(true);
    expect(a.elector.epoch).toBeNull();
    expect(b.led).toHaveLength(1);
    expect(world.observed('leader.lost')).toMatchObject([{ why: 'stopped' }]);
    await stop(world, b.elector);
  });

  it('steps down on request, and someone owns the shard again', async () => {
    const world = new World();
    const a = electing(world, 'a');
    a.elector.start();
    await world.advance(100);
    a.elector.stepDown();
    await world.advance(1_000);
    expect(world.observed('leader.lost')).toMatchObject([{ why: 'stepped down' }]);
    expect(a.led).toHaveLength(2);
    expect(a.led[1]!.epoch).not.toBe(a.led[0]!.epoch);
    await stop(world, a.elector);
  });

  it('lets go when it is told that another has the epoch', async () => {
    const world = new World();
    const a = electing(world, 'a');
    a.elector.start();
    await world.advance(100);
    a.led[0]!.lost();
    await world.advance(0);
    expect(a.led[0]!.signal.aborted).toBe(true);
    expect(world.observed('leader.lost')).toMatchObject([{ why: 'another owner has the epoch' }]);
    await stop(world, a.elector);
  });

  it('lets go when the lock is someone else’s', async () => {
    const { fault, through } = brokenLock();
    const world = new World({ through });
    const a = electing(world, 'a');
    a.elector.start();
    await world.advance(100);
    fault.extend = async () => null;
    await world.advance(LEADER_TTL / 3);
    expect(a.led[0]!.signal.aborted).toBe(true);
    expect(world.observed('leader.lost')).toMatchObject([{ why: 'the lock could not be extended' }]);
    await stop(world, a.elector);
  });

  it.each<[string, () => Promise<HeldLock | null>]>([
    ['cannot be reached', () => Promise.reject(new StoreUnavailableError('away'))],
    ['does not answer', () => new Promise<never>(() => undefined)],
  ])('lets go when the time of its lock is over and the store %s', async (_, extend) => {
    const { fault, through } = brokenLock();
    const world = new World({ through });
    const a = electing(world, 'a');
    a.elector.start();
    await world.advance(100);
    fault.extend = extend;
    await world.advance(LEADER_TTL - 200);
    expect(a.led[0]!.signal.aborted).toBe(false);
    await world.advance(200);
    expect(a.led[0]!.signal.aborted).toBe(true);
    expect(a.elector.epoch).toBeNull();
  });

  it('keeps the shard through an outage shorter than its lock', async () => {
    const { fault, through } = brokenLock();
    const world = new World({ through });
    const a = electing(world, 'a');
    a.elector.start();
    await world.advance(1_600);
    fault.extend = () => Promise.reject(new StoreUnavailableError('away'));
    await world.advance(3_000);
    fault.extend = null;
    await world.advance(10_000);
    expect(a.led).toHaveLength(1);
    expect(a.led[0]!.signal.aborted).toBe(false);
    await stop(world, a.elector);
  });

  it('ends its duties before it tries again when something unforeseen happens to the lock', async () => {
    const { fault, through } = brokenLock();
    const world = new World({ through });
    const a = electing(world, 'a');
    a.elector.start();
    await world.advance(100);
    fault.extend = () => Promise.reject(new Error('unforeseen'));
    await world.advance(LEADER_TTL / 3);
    fault.extend = null;
    await world.advance(1_000);
    expect(world.observed('fault')).toHaveLength(1);
    expect(a.led.map(({ signal }) => signal.aborted)).toEqual([true, false]);
    await stop(world, a.elector);
  });

  it('gives the lock back when the epoch could not be claimed', async () => {
    let claims = 0;
    const through = (store: Store): Store =>
      new Proxy(store, {
        get(target, name) {
          const value = Reflect.get(target, name, target);
          if (name !== 'claimEpoch') return typeof value === 'function' ? value.bind(target) : value;
          return (...args: Parameters<Store['claimEpoch']>) => {
            claims += 1;
            return claims === 1 ? Promise.reject(new StoreUnavailableError('away')) : target.claimEpoch(...args);
          };
        },
      });
    const world = new World({ through });
    const a = electing(world, 'a');
    a.elector.start();
    await world.advance(600);
    expect(a.led).toHaveLength(1);
    await stop(world, a.elector);
  });
});

describe('a commit of the owner', () => {
  it('under a stale epoch changes nothing and ends the ownership', async () => {
    const world = new World();
    const before = await world.own();
    await world.advance(3_600_001);
    const after = await world.own();
    const stale = commitOwned(before, {
      units: [],
      quarantine: [{ stream: 's', entry: '1-0', reason: 'r', text: 't' }],
    });
    await expect(stale).rejects.toBeInstanceOf(OwnershipLost);
    expect(before.fenced).toBe(1);
    expect(await world.quarantined()).toEqual([]);
    await expect(commitOwned(after, { units: [] })).resolves.toMatchObject({ units: [] });
  });

  it('is not even tried once the ownership has ended', async () => {
    const world = new World();
    const context = await world.own();
    context.stop();
    await expect(commitOwned(context, { units: [] })).rejects.toBeInstanceOf(OwnershipLost);
  });
});

describe('coordinators', () => {
  async function coordinating(options: WorldOptions = {}) {
    const world = new World(options);
    const committed: TaskRecord[] = [];
    const start = (id: string) => {
      const { store, keys, clock, runtime, policy, observe } = world;
      const onCommitted = (task: TaskRecord) => void committed.push(task);
      const coordinator = new Coordinator({ id, store, keys, clock, runtime, policy, observe, onCommitted });
      coordinator.start();
      return coordinator;
    };
    return { world, committed, start };
  }

  it('do all duties of the shards they own, and hand them over', async () => {
    const { world, committed, start } = await coordinating({ policy: { shards: 2 } });
    const first = start('c1');
    await world.advance(100);
    const second = start('c2');
    await world.advance(1_000);
    expect(first.isLeader).toBe(true);
    expect(first.owned().map(({ shard }) => shard)).toEqual([0, 1]);
    expect(second.isLeader).toBe(false);
    expect(second.movedAt).toBeNull();
    expect(world.now() - first.movedAt!).toBeLessThanOrEqual(1_000);
    const worker = await world.worker().enlist();
    const [ref, late] = [
      await worker.take(await world.submit({}, { shard: 1 })),
      await world.submit({ runAt: world.now() + 200 }),
    ];
    await worker.report([started(ref, 1, world.now()), completed(ref, 2, world.now())], { shard: 1 });
    await world.advance(500);
    expect(await world.state(ref.task)).toBe('completed');
    expect(await world.state(late)).toBe('queued');
    expect(committed.map(({ state }) => state)).toEqual(['completed', 'queued']);
    expect(world.observed('task.moved').map(({ event }) => event)).toEqual([
      'task.started',
      'task.completed',
      'task.queued',
    ]);
    await stop(world, first);
    expect(first.isLeader).toBe(false);
    await world.advance(1_000);
    expect(second.owned().map(({ shard }) => shard)).toEqual([0, 1]);
    await stop(world, second);
  });

  it('own a shard again within LEADER_TTL and a second after its owner vanished', async () => {
    const { world, start } = await coordinating();
    const lock = await world.store.lock(0).acquire(LEADER_TTL);
    await world.store.claimEpoch(0, lock!.value, 'killed');
    const heir = start('c2');
    await world.advance(LEADER_TTL - 100);
    expect(heir.isLeader).toBe(false);
    await world.advance(1_100);
    expect(heir.isLeader).toBe(true);
    await stop(world, heir);
  });

  it('let go when another has claimed their shard while they stood still', async () => {
    const { world, start } = await coordinating();
    const first = start('c1');
    await world.advance(100);
    const worker = await world.worker().enlist();
    const ref = await worker.take(await world.submit());
    await usurp(world);
    await worker.report([completed(ref, 1, world.now())]);
    await world.advance(100);
    expect(await world.state(ref.task)).toBe('assigned');
    expect(first.isLeader).toBe(false);
    expect(world.observed('leader.lost')).toMatchObject([{ why: 'another owner has the epoch' }]);
    await stop(world, first);
  });

  it('remove instances that have not been heard of for long', async () => {
    const { world, start } = await coordinating({ policy: { cleanupIntervalMs: 1_000 } });
    const instance = {
      id: 'old',
      role: 'worker',
      host: 'h',
      pid: 1,
      version: '1',
      url: null,
      agents: [],
      metadata: {},
      facts: {},
    };
    await world.store.register({ instance, nonce: 'n', ttlMs: 15_000 });
    const coordinator = start('c1');
    await world.advance(59_000);
    expect((await world.store.instances()).instances).toHaveLength(1);
    await world.advance(3_000);
    expect((await world.store.instances()).instances).toEqual([]);
    await stop(world, coordinator);
  });
});

/** Takes the shard as a successor does after the lock ran out, before its owner, whose clock stands still, can notice. */
async function usurp(world: World): Promise<void> {
  const { now } = world.runtime;
  world.runtime.now = () => now() + 60_000;
  const held = await world.store.lock(0).acquire(1);
  await world.store.claimEpoch(0, held!.value, 'c2');
  world.runtime.now = now;
}
