/*
 * Where a reader of all events stands: in every shard, behind which entry of its stream. One entry holds what one commit
 * changed, so a place may also lie within an entry. To clients the text is opaque; any coordinator reads it.
 */
import { AgentSystemError } from '../errors.ts';

export interface ShardPlace {
  /** Of the shard's event stream; `0-0` = before the first. */
  entry: string;
  /** Null: all of the entry was told. Else so many of its changes, and of the one after them so many events. */
  within: { changes: number; events: number } | null;
}

const ENTRY = '\\d{1,15}-\\d{1,16}';
const PLACE = new RegExp(`^(\\d{1,4}):(${ENTRY})(?:~(\\d{1,6})\\.(\\d{1,3}))?$`);
/** Of Redis and of numbers that are exact. */
const SEQUENCE_MAX = Number.MAX_SAFE_INTEGER;

export function wholly(entry: string): ShardPlace {
  return { entry, within: null };
}

/** Such as `0:1700000000000-3_1:1700000000000-9`. */
export function cursorText(places: readonly ShardPlace[]): string {
  return places
    .map(({ entry, within }, shard) => `${shard}:${entry}${within ? `~${within.changes}.${within.events}` : ''}`)
    .join('_');
}

/**
 * The place in each of `shards` shards.
 * @throws BAD_REQUEST for a text that was not given out here, or with another number of shards
 */
export function parseCursor(text: string, shards: number): ShardPlace[] {
  const places = text.split('_', shards + 1).map((part) => PLACE.exec(part));
  const isWhole = places.length === shards && places.every((match, shard) => match && Number(match[1]) === shard);
  if (!isWhole) {
    throw new AgentSystemError(
      'BAD_REQUEST',
      `the event cursor is ${JSON.stringify(text.slice(0, 80))}, wanted the id of an event of this system (${shards} shards), or none`,
    );
  }
  return places.map((match) => {
    const [, , entry, changes, events] = match!;
    const within = changes === undefined ? null : { changes: Number(changes), events: Number(events) };
    return { entry: entry!, within };
  });
}

/** What a read must go behind so that the rest of a place's own entry comes, too. */
export function readBehind({ entry, within }: ShardPlace): string {
  if (within === null) return entry;
  const [ms, seq] = entry.split('-').map(Number) as [number, number];
  return seq > 0 ? `${ms}-${seq - 1}` : `${Math.max(0, ms - 1)}-${SEQUENCE_MAX}`;
}
