import type { IndexName } from '../../store.ts';
import type { Shard } from '../shard.ts';
import type { Change, WrittenParts } from './changes.ts';

/** What belongs to no shard. */
export interface Whole {
  shards: readonly Shard[];
  identity(identity: Extract<Change, readonly ['identity', unknown]>[1]): void;
  card(name: string, card: string): void;
}

/**
 * Makes things stand as the change says. Parts of a record that is not there are passed over: it was removed later, and
 * an image that was taken after that no longer had it.
 */
export function applyChange(whole: Whole, number: number, change: Change): void {
  const shard = whole.shards[number]!;
  switch (change[0]) {
    case 'record': {
      const [, id, version, state, op, { spec = '', input = '', trail = '', result = null }] = change;
      return shard.records.put({ id, version, state, op, spec, input, trail, result });
    }
    case 'write':
      return write(shard, change[1], change);
    case 'remove':
      return shard.records.delete(change[1]);
    case 'reseal': {
      const record = shard.records.get(change[1]);
      if (record) record.spec = change[2];
      return;
    }
    case 'index':
      return setIndex(shard, change);
    case 'lane': {
      const [, lane, id, score] = change;
      if (score === null) shard.lanes.remove(lane, id);
      else shard.lanes.add(lane, id, score);
      return;
    }
    case 'holder':
      return change[2] ? shard.indexes.knowHolder(change[1]) : shard.indexes.forgetHolder(change[1]);
    case 'unique':
      return shard.uniqueKeys.put(change[1], { id: change[2], digest: change[3] }, change[4]);
    case 'cursor':
      shard.reportCursor = change[1];
      return;
    case 'epoch':
      return shard.ownership.countFrom(change[1]);
    case 'paused':
      return shard.lanes.setPaused(change[1], change[2]);
    case 'caps':
      return shard.caps.restore(change[1], change[2]);
    case 'schedule':
      return shard.schedules.put(change[1], change[2]);
    case 'ledger':
      shard.ledger = { version: change[1], text: change[2] };
      return;
    case 'identity':
      return whole.identity(change[1]);
    case 'card':
      return whole.card(change[1], change[2]);
    default:
      throw new Error(`the journal holds a change that this version does not know: ${JSON.stringify(change)}`);
  }
}

function write(
  shard: Shard,
  id: string,
  [, , version, state, op, parts]: Extract<Change, readonly ['write', ...unknown[]]>,
) {
  const record = shard.records.get(id);
  if (!record) return;
  const { spec, input, trail, result }: WrittenParts = parts;
  record.version = version;
  record.state = state;
  record.op = op;
  if (spec !== undefined) record.spec = spec;
  if (input !== undefined) record.input = input;
  if (trail !== undefined) record.trail = trail;
  if (result !== undefined) record.result = result;
}

function setIndex(
  { indexes }: Shard,
  [, name, member, score]: Extract<Change, readonly ['index', ...unknown[]]>,
): void {
  const index = name as IndexName;
  indexes.apply(score === null ? { do: 'remove', index, member, score: 0 } : { do: 'add', index, member, score });
}
