import { expect, it } from 'vitest';
import type { HeldLock } from '../../src/store/store.ts';
import type { World } from './world.ts';

const LONG_MS = 60_000;

export function describeOwnership(here: () => World): void {
  it('gives the lock to one at a time', async () => {
    const world = here();
    const lock = world.store.lock(world.shard);
    const held = await acquired(world);
    expect(await lock.acquire(LONG_MS)).toBeNull();
    await lock.release(held);
    const next = await acquired(world);
    expect(next.value).not.toBe(held.value);
  });

  it('has a lock for every shard', async () => {
    const world = here();
    for (let shard = 0; shard < world.shards; shard++) {
      expect(await world.store.lock(shard).acquire(LONG_MS)).not.toBeNull();
    }
  });

  it('lets a lock run out', async () => {
    const world = here();
    const lock = world.store.lock(world.shard);
    const held = await acquired(world, 40);
    await world.advance(80);
    expect(await lock.extend(held, LONG_MS)).toBeNull();
    expect(await lock.acquire(LONG_MS)).not.toBeNull();
  });

  it('keeps a lock alive that is extended in time', async () => {
    const world = here();
    const lock = world.store.lock(world.shard);
    const held = await acquired(world, 5_000);
    const longer = await lock.extend(held, LONG_MS);
    expect(longer).toMatchObject({ value: held.value });
    expect(longer!.expiresAt).toBeGreaterThan(held.expiresAt);
    expect(await lock.acquire(LONG_MS)).toBeNull();
  });

  it('does not let a former holder extend or release the lock of another', async () => {
    const world = here();
    const lock = world.store.lock(world.shard);
    const former = await acquired(world, 40);
    await world.advance(80);
    await acquired(world);
    expect(await lock.extend(former, LONG_MS)).toBeNull();
    await lock.release(former);
    expect(await lock.acquire(LONG_MS)).toBeNull();
  });

  it('sets an epoch for whoever holds the lock', async () => {
    const world = here();
    expect(await world.store.owner(world.shard)).toBeNull();
    const held = await acquired(world);
    const epoch = await world.store.claimEpoch(world.shard, held.value, 'c1');
    expect(epoch).toMatch(/^\d+\.[0-9a-z]+$/);
    const owner = await world.store.owner(world.shard);
    expect(owner).toMatchObject({ instance: 'c1', epoch });
    expect(owner!.until).toBeGreaterThan(await world.store.now());
  });

  it('sets no epoch for anyone else', async () => {
    const world = here();
    expect(await world.store.claimEpoch(world.shard, 'never held', 'c1')).toBeNull();
    const held = await acquired(world);
    expect(await world.store.claimEpoch(world.shard, 'another value', 'c1')).toBeNull();
    await world.store.lock(world.shard).release(held);
    expect(await world.store.claimEpoch(world.shard, held.value, 'c1')).toBeNull();
    expect(await world.store.owner(world.shard)).toBeNull();
  });

  it('sets no epoch once the lock has run out', async () => {
    const world = here();
    const held = await acquired(world, 40);
    await world.advance(80);
    expect(await world.store.claimEpoch(world.shard, held.value, 'c1')).toBeNull();
  });

  it('never gives an epoch twice', async () => {
    const world = here();
    const held = await acquired(world);
    const first = await world.store.claimEpoch(world.shard, held.value, 'c1');
    const second = await world.store.claimEpoch(world.shard, held.value, 'c1');
    expect(second).not.toBe(first);
    expect(Number.parseInt(second!, 10)).toBeGreaterThan(Number.parseInt(first!, 10));
    expect((await world.store.owner(world.shard))?.epoch).toBe(second);
  });

  it('still names the owner when its lock is free', async () => {
    const world = here();
    const held = await acquired(world);
    const epoch = await world.store.claimEpoch(world.shard, held.value, 'c1');
    await world.store.lock(world.shard).release(held);
    expect(await world.store.owner(world.shard)).toEqual({ instance: 'c1', epoch, until: null });
  });
}

async function acquired(world: World, ttlMs = LONG_MS): Promise<HeldLock> {
  const held = await world.store.lock(world.shard).acquire(ttlMs);
  if (!held) throw new Error(`the lock of shard ${world.shard} is not free`);
  return held;
}
