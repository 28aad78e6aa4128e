import { describe, expect, it } from 'vitest';
import { Coordinator } from '../../src/coordinator/coordinator.ts';
import { World } from './world.ts';

function coordinator(world: World, id: string): Coordinator {
  const { store, keys, clock, runtime, policy, observe } = world;
  return new Coordinator({ store, keys, clock, runtime, policy, observe, id, onCommitted: () => undefined });
}

async function stop(world: World, ...all: Coordinator[]): Promise<void> {
  const stopped = Promise.all(all.map((one) => one.stop()));
  await world.advance(20_000);
  await stopped;
}

describe('a coordinator that steps down', () => {
  it('leaves its shards to another one and does not take them back', async () => {
    const world = new World({ policy: { shards: 2 } });
    const a = coordinator(world, 'a');
    a.start();
    await world.advance(1_000);
    const b = coordinator(world, 'b');
    b.start();
    await world.advance(1_000);
    expect(a.owned().map(({ shard }) => shard)).toEqual([0, 1]);
    expect(a.stepDown({ shard: 1, restMs: 15_000 })).toEqual([1]);
    await world.advance(2_000);
    expect([a.owned().map(({ shard }) => shard), b.owned().map(({ shard }) => shard)]).toEqual([[0], [1]]);
    expect(a.stepDown({ restMs: 15_000 })).toEqual([0]);
    await world.advance(60_000);
    expect([a.owned(), b.owned().map(({ shard }) => shard)]).toEqual([[], [0, 1]]);
    expect(a.stepDown()).toEqual([]);
    await stop(world, a, b);
  });

  it('stands again after its rest, and can be stopped in it', async () => {
    const world = new World();
    const a = coordinator(world, 'a');
    a.start();
    await world.advance(1_000);
    a.stepDown({ restMs: 15_000 });
    await world.advance(14_000);
    expect(await world.store.owner(0)).toMatchObject({ until: null });
    await world.advance(2_000);
    expect(a.owned()).toHaveLength(1);
    a.stepDown({ restMs: 60_000 });
    await world.advance(1_000);
    await stop(world, a);
  });
});
