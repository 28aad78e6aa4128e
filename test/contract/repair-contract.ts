import { expect, it } from 'vitest';
import type { IndexChange } from '../../src/store/store.ts';
import { A_LANE, inLane, outOfLane } from '../support/builders.ts';
import { CONFLICT, type World } from './world.ts';

const DUE: IndexChange = { do: 'add', index: 'due', member: 'x', score: 5 };

export function describeRepairs(here: () => World): void {
  it('puts back what is missing and leaves the record as it is', async () => {
    const world = here();
    const id = await world.createOne({ indexes: [] });
    const before = await world.record(id);
    const repair = world.unit({ id, expect: 1, trail: 'other', repair: true, indexes: [inLane(A_LANE, 7), DUE] });
    expect((await world.commit({ units: [repair] })).units).toEqual([{ ok: true, already: false, repaired: 2 }]);
    expect(await world.record(id)).toEqual(before);
    const { queues } = await world.store.queues(world.shard, 10);
    expect(queues).toEqual([{ lane: A_LANE, length: 1, score: 7, paused: false }]);
    expect(await world.store.contains(world.shard, 'due', ['x'])).toEqual([true]);
  });

  it('counts only what it changed', async () => {
    const world = here();
    const id = await world.createOne({ indexes: [inLane(A_LANE, 7), DUE] });
    const indexes = [inLane(A_LANE, 7), DUE, { ...DUE, do: 'remove' as const, member: 'y' }];
    const { units } = await world.commit({ units: [world.unit({ id, expect: 1, repair: true, indexes })] });
    expect(units).toEqual([{ ok: true, already: false, repaired: 0 }]);
  });

  it('corrects the score of what stands elsewhere than the record says', async () => {
    const world = here();
    const id = await world.createOne({ indexes: [inLane(A_LANE, 900), { ...DUE, score: 900 }] });
    const repair = world.unit({ id, expect: 1, repair: true, indexes: [inLane(A_LANE, 7), DUE] });
    expect((await world.commit({ units: [repair] })).units).toEqual([{ ok: true, already: false, repaired: 2 }]);
    const { entries } = await world.store.range(world.shard, 'due', 10, 10);
    expect(entries).toEqual([['x', 5]]);
    const { queues } = await world.store.queues(world.shard, 10);
    expect(queues).toMatchObject([{ lane: A_LANE, score: 7 }]);
  });

  it('puts a newer seal over a specification, and leaves version, state and everything else as they are', async () => {
    const world = here();
    const id = await world.createOne({ spec: 'old {}', indexes: [inLane()] });
    const before = await world.record(id);
    const events = await world.fields('events');
    const reseal = { id, expect: 1, state: 'queued' as const, repair: true as const, reseal: 'new {}', indexes: [] };
    expect((await world.commit({ units: [reseal] })).units).toEqual([{ ok: true, already: false, repaired: 0 }]);
    expect(await world.record(id)).toEqual({ ...before, spec: 'new {}' });
    expect(await world.fields('events')).toEqual(events);
    expect(await world.lanes()).toEqual({ [A_LANE]: 1 });
    const late = { ...reseal, expect: 2, reseal: 'late {}' };
    const strange = { ...reseal, id: world.unit().id, expect: 0 };
    expect((await world.commit({ units: [late, strange] })).units).toMatchObject([CONFLICT, { ok: true }]);
    expect(await world.record(id)).toEqual({ ...before, spec: 'new {}' });
    expect(await world.record(strange.id)).toBeNull();
  });

  it('can be repeated under the same operation', async () => {
    const world = here();
    const id = await world.createOne({ indexes: [] });
    const commit = { op: 'repair', units: [world.unit({ id, expect: 1, repair: true, indexes: [DUE] })] };
    await world.commit(commit);
    expect((await world.commit(commit)).units).toEqual([{ ok: true, already: false, repaired: 0 }]);
  });

  it('does nothing for a record that has moved on, by version or by state', async () => {
    const world = here();
    const id = await world.createOne({ indexes: [] });
    const units = [
      world.unit({ id, expect: 2, repair: true, indexes: [DUE] }),
      world.unit({ id, expect: 1, state: 'running', repair: true, indexes: [DUE] }),
      world.unit({ expect: 1, repair: true, indexes: [DUE] }),
    ];
    expect((await world.commit({ units })).units).toEqual([CONFLICT, CONFLICT, CONFLICT]);
    expect(await world.store.contains(world.shard, 'due', ['x'])).toEqual([false]);
  });

  it('only takes entries away where there is no record', async () => {
    const world = here();
    await world.create({ indexes: [DUE] });
    const gone = world.unit();
    const indexes: IndexChange[] = [{ ...DUE, do: 'remove' }, inLane(), { ...DUE, member: 'z' }];
    const { units } = await world.commit({ units: [{ ...gone, repair: true, indexes }] });
    expect(units).toEqual([{ ok: true, already: false, repaired: 1 }]);
    expect(await world.store.contains(world.shard, 'due', ['x', 'z'])).toEqual([false, false]);
    expect(await world.lanes()).toEqual({});
    expect(await world.record(gone.id)).toBeNull();
  });

  it('takes no entry away under expect 0 when the record exists', async () => {
    const world = here();
    const id = await world.createOne();
    const repair = world.unit({ id, repair: true, indexes: [outOfLane()] });
    expect((await world.commit({ units: [repair] })).units).toEqual([CONFLICT]);
    expect(await world.lanes()).toEqual({ [A_LANE]: 1 });
  });

  it('does not put a reserved task back into its lane', async () => {
    const world = here();
    const id = await world.createOne();
    expect(await world.takeIds()).toEqual([id]);
    const repair = world.unit({ id, expect: 1, repair: true, indexes: [inLane()] });
    expect((await world.commit({ units: [repair] })).units).toEqual([{ ok: true, already: false, repaired: 0 }]);
    expect(await world.lanes()).toEqual({});
  });

  it('wakes the distributors for a lane entry that came back', async () => {
    const world = here();
    const id = await world.createOne({ indexes: [] });
    await world.commit({ units: [world.unit({ id, expect: 1, repair: true, indexes: [inLane()] })] });
    expect(await world.fields('wake')).toEqual([{ q: '1' }]);
  });
}
