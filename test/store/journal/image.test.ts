/** An image is made while the store goes on: what moves between two of its slices is found all the same. */
import { expect, it } from 'vitest';
import { applyCommit } from '../../../src/store/memory/apply-commit.ts';
import { applyChange } from '../../../src/store/memory/journal/apply-change.ts';
import type { Change } from '../../../src/store/memory/journal/changes.ts';
import { imageOf, type Slice } from '../../../src/store/memory/journal/image.ts';
import { RisingClock } from '../../../src/store/memory/rising-clock.ts';
import { Shard } from '../../../src/store/memory/shard.ts';
import { giveBack, take } from '../../../src/store/memory/take.ts';
import { virtualRuntime } from '../../contract/virtual-runtime.ts';
import { A_LANE, anId, aUnit } from '../../support/builders.ts';

const REQUEST = { token: 't1', max: 9, urgentMax: 9, agents: { echo: 9 }, lanesMax: 9 };

function aShard(): Shard {
  const runtime = virtualRuntime();
  return new Shard({ clock: new RisingClock(runtime), runtime, maxEventBytes: 1_000 });
}

/** Two tasks that are reserved, and all that is told from then on. */
function aShardWithTwoTaken() {
  const shard = aShard();
  const ids = [anId(0), anId(0)];
  const units = ids.map((id, score) => aUnit({ id, indexes: [{ do: 'add', lane: A_LANE, score }] }));
  applyCommit(shard, { op: 'create', units });
  expect(take(shard, REQUEST).tasks).toHaveLength(2);
  const told: Change[] = [];
  shard.log = { add: (change) => void told.push(change), pause: () => undefined };
  return { shard, ids, told };
}

/** Makes the image, does something once a slice of this kind has passed, and reads all of it back. */
function readBack(shard: Shard, told: Change[], after: Change[0], meanwhile: () => void): Shard {
  const slices: Slice[] = [];
  let done = false;
  for (const slice of imageOf({ shards: [shard], identity: null, cards: new Map() })) {
    slices.push(slice);
    if (!done && slice[1].some(([kind]) => kind === after)) {
      meanwhile();
      done = true;
    }
  }
  expect(done).toBe(true);
  const again = aShard();
  const whole = { shards: [again], identity: () => undefined, card: () => undefined };
  for (const [number, changes] of slices) for (const change of changes) applyChange(whole, number, change);
  for (const change of told) applyChange(whole, 0, change);
  return again;
}

const inLane = (shard: Shard) => shard.lanes.tasks(A_LANE)?.ascending(null, 10) ?? [];

it('counts what is reserved as standing in its lane', () => {
  const { shard, ids, told } = aShardWithTwoTaken();
  const again = readBack(shard, told, 'record', () => undefined);
  expect(inLane(again)).toEqual(ids.map((member, score) => ({ member, score })));
});

it('finds what went back to its lane when that had passed', () => {
  const { shard, ids, told } = aShardWithTwoTaken();
  const first = aUnit({ id: anId(0), indexes: [{ do: 'add', lane: `${A_LANE}|k=x`, score: 0 }] });
  applyCommit(shard, { op: 'other', units: [first] });
  told.length = 0;
  const again = readBack(shard, told, 'lane', () => giveBack(shard, 't1'));
  expect(inLane(again)).toEqual(ids.map((member, score) => ({ member, score })));
});

it('keeps what was assigned out of its lane, and in its caps', () => {
  const { shard, ids, told } = aShardWithTwoTaken();
  const assigned = aUnit({ id: ids[0]!, expect: 1, state: 'assigned', token: 't1', indexes: [] });
  const again = readBack(shard, told, 'record', () => applyCommit(shard, { op: 'assign', units: [assigned] }));
  expect(inLane(again).map(({ member }) => member)).toEqual([ids[1]]);
  expect(again.indexes.get('cap:a|echo')?.ascending(null, 10)).toEqual([{ member: ids[0], score: 0 }]);
  expect(again.records.get(ids[0]!)).toMatchObject({ state: 'assigned', version: 2 });
});
