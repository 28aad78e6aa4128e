import { expect, it } from 'vitest';
import type { IndexChange } from '../../src/store/store.ts';
import { A_LANE, inLane, outOfLane } from '../support/builders.ts';
import type { World } from './world.ts';

export function describeIndexes(here: () => World): void {
  it('lists entries up to a score, lowest first, ties by name', async () => {
    const world = here();
    const members: [string, number][] = [
      ['c', 20],
      ['b', 10],
      ['a', 20],
      ['d', 30],
    ];
    await world.create({ indexes: members.map(([member, score]) => ({ do: 'add', index: 'due', member, score })) });
    const { entries, now } = await world.store.range(world.shard, 'due', 20, 10);
    expect(entries).toEqual([
      ['b', 10],
      ['a', 20],
      ['c', 20],
    ]);
    expect(now).toBeLessThanOrEqual(await world.store.now());
    expect((await world.store.range(world.shard, 'due', 20, 2)).entries).toHaveLength(2);
    expect((await world.store.range(world.shard, 'due', 9, 10)).entries).toEqual([]);
    expect((await world.store.range(world.shard, 'deadline', 1e15, 10)).entries).toEqual([]);
  });

  it('moves an entry that is added at another score', async () => {
    const world = here();
    await world.create({ indexes: [due('add', 10), due('add', 30)] });
    expect((await world.store.range(world.shard, 'due', 100, 10)).entries).toEqual([['x', 30]]);
  });

  it('says which members stand in an index', async () => {
    const world = here();
    await world.create({ indexes: [due('add', 10)] });
    expect(await world.store.contains(world.shard, 'due', ['y', 'x'])).toEqual([false, true]);
    expect(await world.store.contains(world.shard, 'due', [])).toEqual([]);
    await world.create({ indexes: [due('remove', 0)] });
    expect(await world.store.contains(world.shard, 'due', ['x'])).toEqual([false]);
  });

  it('lowers an entry by min or adds it, and never raises it', async () => {
    const world = here();
    const min = (score: number): IndexChange => ({ do: 'min', index: 'expiry', member: 'block', score });
    const standing = async () => (await world.store.range(world.shard, 'expiry', 1e15, 10)).entries;
    await world.create({ indexes: [min(50)] });
    expect(await standing()).toEqual([['block', 50]]);
    await world.create({ indexes: [min(70)] });
    expect(await standing()).toEqual([['block', 50]]);
    await world.create({ indexes: [min(20)] });
    expect(await standing()).toEqual([['block', 20]]);
    await world.create({ indexes: [{ do: 'remove', index: 'expiry', member: 'block', score: 0 }] });
    expect(await standing()).toEqual([]);
  });

  it('keeps big scores exact', async () => {
    const world = here();
    const score = 1_700_000_000_001;
    await world.create({ indexes: [due('add', score), inLane('!echo|default', score - 1e14)] });
    expect((await world.store.range(world.shard, 'due', score, 1)).entries).toEqual([['x', score]]);
    expect((await world.store.range(world.shard, 'due', score - 1, 1)).entries).toEqual([]);
    expect((await world.store.queues(world.shard, 1)).queues[0]?.score).toBe(score - 1e14);
  });

  it('knows every holder from its first attempt on, also when it holds nothing any more', async () => {
    const world = here();
    expect(await world.store.holders(world.shard)).toEqual([]);
    await world.create({ indexes: [held('w1@1-a', 'x~1'), held('w2@1-b', 'y~1')] });
    await world.create({ indexes: [{ do: 'remove', index: 'held:w1@1-a', member: 'x~1', score: 0 }] });
    expect((await world.store.holders(world.shard)).sort()).toEqual(['w1@1-a', 'w2@1-b']);
    expect((await world.store.range(world.shard, 'held:w2@1-b', 1e15, 10)).entries).toEqual([['y~1', 3]]);
  });

  it('shows lanes with length and best score, and forgets those without tasks', async () => {
    const world = here();
    const [first] = await world.create({ indexes: [inLane(A_LANE, 5)] }, { indexes: [inLane(A_LANE, 3)] });
    const second = await world.createOne({ indexes: [inLane('other|default', 4)] });
    expect(await depths(world)).toEqual([
      { lane: A_LANE, length: 2, score: 3, paused: false },
      { lane: 'other|default', length: 1, score: 4, paused: false },
    ]);
    await world.commit({
      units: [
        world.unit({ id: second, expect: 1, state: 'cancelled', indexes: [outOfLane('other|default', 4)] }),
        world.unit({ id: first!, expect: 1, indexes: [inLane(A_LANE, 1)] }),
      ],
    });
    expect(await depths(world)).toEqual([{ lane: A_LANE, length: 2, score: 1, paused: false }]);
    expect((await world.store.queues(world.shard, 0)).queues).toEqual([]);
  });

  it('shows at most as many lanes as asked for', async () => {
    const world = here();
    await world.create({ indexes: [inLane('a|x')] }, { indexes: [inLane('b|x')] }, { indexes: [inLane('c|x')] });
    expect((await world.store.queues(world.shard, 2)).queues).toHaveLength(2);
  });

  it('moves the head of a lane when its first task leaves', async () => {
    const world = here();
    const [first] = await world.create({ indexes: [inLane(A_LANE, 1)] }, { indexes: [inLane(A_LANE, 9)] });
    await world.commit({ units: [world.unit({ id: first!, expect: 1, state: 'cancelled', indexes: [outOfLane()] })] });
    expect(await depths(world)).toEqual([{ lane: A_LANE, length: 1, score: 9, paused: false }]);
  });
}

function due(verb: 'add' | 'remove', score: number): IndexChange {
  return { do: verb, index: 'due', member: 'x', score };
}

function held(holder: string, member: string): IndexChange {
  return { do: 'add', index: `held:${holder}`, member, score: 3 };
}

async function depths(world: World) {
  const { queues } = await world.store.queues(world.shard, 100);
  return queues.sort((a, b) => (a.lane < b.lane ? -1 : 1));
}
