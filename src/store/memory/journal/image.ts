/*
 * All that is durable, as changes, in slices. Between two slices the store goes on, so an image shows no one moment: each
 * slice is as things stood when it was made. That is enough, because every change since the image was begun stands in
 * the log beside it and is replayed over it, and the last word about each thing is then the same.
 *
 * What was taken and is not assigned yet counts as still standing in its lane. It may leave its reservation between the
 * slice of its lane and that of the reservations, which is why going back to a lane is told to the log, too.
 */
import { isActive } from '../../../task/task.ts';
import type { IndexName, StoreIdentity } from '../../store.ts';
import type { Shard } from '../shard.ts';
import type { Entry, SortedSet } from '../sorted-set.ts';
import type { Change } from './changes.ts';

/** Entries of an index, a lane or the like in one slice. */
const ENTRIES_PER_SLICE = 1_000;

export interface Imaged {
  shards: readonly Shard[];
  identity: StoreIdentity | null;
  cards: ReadonlyMap<string, string>;
}

export type Slice = [shard: number, changes: Change[]];

export function* imageOf({ shards, identity, cards }: Imaged): Generator<Slice> {
  if (identity) yield [0, [['identity', identity]]];
  for (const part of parts([...cards])) yield [0, part.map(([name, card]): Change => ['card', name, card])];
  for (const [number, shard] of shards.entries()) for (const changes of imageOfShard(shard)) yield [number, changes];
}

function* imageOfShard(shard: Shard): Generator<Change[]> {
  yield* records(shard);
  for (const index of shard.indexes.names()) yield* entriesOf(shard, index);
  yield shard.indexes.holders().map((holder): Change => ['holder', holder, true]);
  for (const lane of shard.lanes.names()) yield* tasksOf(shard, lane);
  yield reserved(shard);
  yield* uniqueKeys(shard);
  for (const part of parts(shard.schedules.keys())) {
    yield part.map((key): Change => ['schedule', key, shard.schedules.stored(key)]);
  }
  const { limits, version } = shard.caps.standing();
  const { ledger, reportCursor, ownership, lanes } = shard;
  yield [
    ...lanes.paused().map((agent): Change => ['paused', agent, true]),
    ['caps', limits, version],
    ['ledger', ledger.version, ledger.text],
    ['cursor', reportCursor],
    ['epoch', ownership.number],
  ];
}

function* records({ records }: Shard): Generator<Change[]> {
  for (let after: string | null = null; ; ) {
    const [block] = records.blocksAfter(after, 1);
    if (block === undefined) return;
    // One by one: a block of large payloads would make one slice of a hundred megabytes.
    for (const id of records.idsOf(block)) {
      const record = records.get(id);
      if (!record) continue;
      const { version, state, op, spec, input, trail, result } = record;
      yield [['record', id, version, state, op, { spec, input, trail, result }]];
    }
    after = block;
  }
}

function* entriesOf(shard: Shard, index: IndexName): Generator<Change[]> {
  const counted = index.startsWith('cap:') ? (member: string) => isDurablyIn(shard, member) : () => true;
  for (const entries of slicesOf(() => shard.indexes.get(index))) {
    yield entries
      .filter(({ member }) => counted(member))
      .map(({ member, score }): Change => ['index', index, member, score]);
  }
}

/** What was only taken leaves its caps with its reservation. */
function isDurablyIn({ reservations, records }: Shard, id: string): boolean {
  return !reservations.has(id) || isActive(records.get(id)?.state ?? 'queued');
}

function* tasksOf(shard: Shard, lane: string): Generator<Change[]> {
  for (const entries of slicesOf(() => shard.lanes.tasks(lane))) {
    yield entries.map(({ member, score }): Change => ['lane', lane, member, score]);
  }
}

function reserved({ reservations, records, lanes }: Shard): Change[] {
  return reservations
    .all()
    .filter(({ id, lane }) => records.isQueued(id) && !lanes.has(lane, id))
    .map(({ id, lane, score }): Change => ['lane', lane, id, score]);
}

function* uniqueKeys({ uniqueKeys }: Shard): Generator<Change[]> {
  for (const entries of slicesOf(() => uniqueKeys.byExpiry)) {
    yield entries.map(({ member: key, score }): Change => {
      const { id, digest } = uniqueKeys.stored(key)!;
      return ['unique', key, id, digest, score];
    });
  }
}

/** By place, not by number: what moves meanwhile is told to the log. */
function* slicesOf(set: () => SortedSet | undefined): Generator<Entry[]> {
  for (let after: Entry | null = null; ; ) {
    const entries: Entry[] = set()?.ascending(after, ENTRIES_PER_SLICE) ?? [];
    if (entries.length === 0) return;
    yield entries;
    after = entries.at(-1)!;
  }
}

function* parts<T>(list: readonly T[]): Generator<T[]> {
  for (let from = 0; from < list.length; from += ENTRIES_PER_SLICE) yield list.slice(from, from + ENTRIES_PER_SLICE);
}
