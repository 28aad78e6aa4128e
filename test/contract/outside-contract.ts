/** What lets people see from outside: places in lanes, the extent of streams, and what happened to the system itself. */
import { expect, it } from 'vitest';
import { A_LANE, inLane } from '../support/builders.ts';
import type { World } from './world.ts';

export function describeOutside(here: () => World): void {
  it('tells the place of a task in its lane, and what stands before it in others', async () => {
    const world = here();
    const score = [5, 7, 7, 9];
    const [first, , , last] = await world.create(...score.map((one) => ({ indexes: [inLane(A_LANE, one)] })));
    await world.create({ indexes: [inLane('other|t', 8)] }, { indexes: [inLane('other|t', 9)] });
    const others = ['other|t', 'none|t'];
    const { store, shard } = world;
    expect(await store.place(shard, { lane: A_LANE, id: last!, others })).toEqual({
      rank: 3,
      length: 4,
      before: [1, 0],
    });
    expect(await store.place(shard, { lane: A_LANE, id: first!, others: [] })).toEqual({
      rank: 0,
      length: 4,
      before: [],
    });
    expect(await store.place(shard, { lane: 'other|t', id: first!, others })).toBeNull();
    await world.take({ max: 1 });
    expect(await store.place(shard, { lane: A_LANE, id: first!, others: [] })).toBeNull();
    expect(await store.place(shard, { lane: A_LANE, id: last!, others: [] })).toMatchObject({ rank: 2 });
  });

  it('orders tasks of one score by their ids', async () => {
    const world = here();
    const ids = await world.create(...[1, 2, 3, 4].map(() => ({ indexes: [inLane(A_LANE, 1)] })));
    const ranks = await Promise.all(
      [...ids].sort().map((id) => world.store.place(world.shard, { lane: A_LANE, id, others: [] })),
    );
    expect(ranks.map((place) => place?.rank)).toEqual([0, 1, 2, 3]);
  });

  it('tells the extent of a stream, and whether entries of it are gone', async () => {
    const world = here();
    const { store, shard } = world;
    expect(await store.extent(shard, 'reports')).toEqual({ first: '0-0', last: '0-0', trimmed: false });
    const ids = [await world.reported(), await world.reported(), await world.reported()];
    expect(await store.extent(shard, 'reports')).toEqual({ first: ids[0], last: ids[2], trimmed: false });
    await store.trim(shard, 'reports', ids[0]!);
    expect(await store.extent(shard, 'reports')).toEqual({ first: ids[1], last: ids[2], trimmed: true });
    await store.trim(shard, 'reports', ids[2]!);
    expect(await store.extent(shard, 'reports')).toEqual({ first: ids[2], last: ids[2], trimmed: true });
  });

  it('puts what happens to instances into the events of shard 0, each once', async () => {
    const { store } = here();
    const instance = {
      id: 'w1',
      role: 'worker',
      host: 'h',
      pid: 1,
      version: '1',
      url: null,
      agents: ['a b'],
      metadata: {},
    };
    const registration = { instance: { ...instance, facts: {} }, nonce: 'n1', ttlMs: 10_000 };
    const reply = await store.register(registration);
    await store.register(registration);
    await store.register({ ...registration, nonce: 'n2' });
    const { incarnation } = (reply as { instance: { incarnation: string } }).instance;
    await store.deregister('w1', 'another');
    await store.deregister('w1', incarnation);
    const [batch] = await store.readStreams(0, { from: [{ stream: 'events', after: '0' }], count: 10, waitMs: 0 });
    const told = batch!.entries.map(({ fields }) => ({ ...fields, i: JSON.parse(fields.i!) }));
    expect(told).toEqual([
      { s: 'instance.registered', n: 'w1', i: expect.objectContaining(instance) },
      { s: 'instance.deregistered', n: 'w1', i: expect.objectContaining(instance) },
    ]);
  });

  it('puts a new owner into the events of its shard', async () => {
    const world = here();
    const { store, shard } = world;
    const held = await store.lock(shard).acquire(10_000);
    expect(await store.claimEpoch(shard, 'another', 'c1')).toBeNull();
    const epoch = await store.claimEpoch(shard, held!.value, 'c1');
    expect(await world.fields('events')).toEqual([{ s: 'leader.changed', n: epoch, i: 'c1' }]);
  });
}
