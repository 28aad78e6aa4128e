/*
 * Pages of one shard's event stream, as events that people read. The stream carries only (id, version, state); what
 * happened is told by the records' histories, which are read in batches. Readers who stand at the same place, as all who
 * have caught up do, share one page.
 */
import type { Ports } from '../fleet/ports.ts';
import { compareEntries } from '../store/entry-id.ts';
import { patiently } from '../store/patience.ts';
import type { StreamEntry } from '../store/store.ts';
import type { TaskRecord } from '../task/task.ts';
import { isoOf } from '../task/view.ts';
import { changesOf, type TaskChange } from './event-feed.ts';
import { readBehind, type ShardPlace, wholly } from './event-place.ts';
import type { RecordReader } from './record-reader.ts';
import { eventsOfVersion, type TaskEventView } from './task-events.ts';

/** An entry may name 500 tasks. */
const ENTRIES_PER_PAGE = 25;
const TRIES = 2;

/** What happened to the system itself, as its store recorded it. */
export type SystemEventView =
  | { type: 'instance.registered' | 'instance.deregistered'; at: string; instance: string; role?: string; url?: string }
  | { type: 'leader.changed'; at: string; shard: number; instance: string; epoch: string };

/** A task of which nothing but its change is known any more: its record was removed. */
export type ForgottenEventView = Pick<TaskEventView, 'type' | 'task' | 'version' | 'state' | 'at'>;

export interface LoggedEvent {
  /** Null: the event is for those who see all tenants. */
  tenant: string | null;
  event: TaskEventView | SystemEventView | ForgottenEventView;
  /** Where a reader stands who was told this event. */
  place: ShardPlace;
}

export interface EventPage {
  events: LoggedEvent[];
  /** Behind all that was read. */
  end: ShardPlace;
  /** There may be more at once. */
  full: boolean;
  /** Entries between the place that was asked for and the first event were trimmed away. */
  gap: boolean;
}

export interface EventLogOptions extends Pick<Ports, 'store' | 'runtime'> {
  records: RecordReader;
}

export class EventLog {
  readonly #options: EventLogOptions;
  readonly #flights = new Map<string, Promise<EventPage>>();

  constructor(options: EventLogOptions) {
    this.#options = options;
  }

  /** The end of the stream as it stands. */
  async end(shard: number): Promise<ShardPlace> {
    const { store, runtime } = this.#options;
    return wholly((await patiently(() => store.lastEntry(shard, 'events'), { runtime, tries: TRIES })).id);
  }

  /** @param mayHaveGap the reader may have been away so long that the stream was trimmed */
  page(shard: number, from: ShardPlace, mayHaveGap: boolean): Promise<EventPage> {
    const name = `${shard} ${from.entry} ${from.within?.changes}.${from.within?.events} ${mayHaveGap}`;
    const flight = this.#flights.get(name) ?? this.#read(shard, from, mayHaveGap);
    this.#flights.set(name, flight);
    const over = () => this.#flights.get(name) === flight && this.#flights.delete(name);
    flight.then(over, over);
    return flight;
  }

  async #read(shard: number, from: ShardPlace, mayHaveGap: boolean): Promise<EventPage> {
    const { store, runtime } = this.#options;
    const behind = readBehind(from);
    const read = (after: string) =>
      store.readStreams(shard, { from: [{ stream: 'events', after }], count: ENTRIES_PER_PAGE, waitMs: 0 });
    const [batch] = await patiently(() => read(behind), { runtime, tries: TRIES });
    const gap = mayHaveGap && (await this.#hasGap(shard, from.entry));
    if (gap === 'other stream') {
      const [anew] = await patiently(() => read('0'), { runtime, tries: TRIES });
      return this.#pageOf(shard, wholly('0-0'), anew?.entries ?? [], true);
    }
    return this.#pageOf(shard, from, batch?.entries ?? [], gap === 'trimmed');
  }

  /** An entry that was told and is gone was trimmed, perhaps with others behind it; one of the future is of another store. */
  async #hasGap(shard: number, entry: string): Promise<'trimmed' | 'other stream' | false> {
    const { store, runtime } = this.#options;
    const { first, last, trimmed } = await patiently(() => store.extent(shard, 'events'), { runtime, tries: TRIES });
    if (compareEntries(entry, last) > 0) return 'other stream';
    return trimmed && compareEntries(entry, first) < 0 ? 'trimmed' : false;
  }

  async #pageOf(shard: number, from: ShardPlace, entries: StreamEntry[], gap: boolean): Promise<EventPage> {
    const changes = entries.map(changesOf);
    const records = await this.#records(changes.flat());
    const events = entries.flatMap((entry, i) => {
      const told = entry.id === from.entry ? from.within : null;
      const of = changes[i]!.length > 0 ? eventsOfChanges(entry, changes[i]!, records) : systemEvents(entry, shard);
      return told ? of.filter(({ place }) => isBehind(place, told)) : of;
    });
    const last = entries.at(-1);
    return { events, end: last ? wholly(last.id) : from, full: entries.length === ENTRIES_PER_PAGE, gap };
  }

  async #records(changes: TaskChange[]): Promise<Map<string, TaskRecord>> {
    const ids = [...new Set(changes.map(({ id }) => id))];
    const found = await Promise.all(ids.map((id) => this.#options.records.find(id, {}).catch(unlessUnreadable)));
    return new Map(found.flatMap((task) => (task ? [[task.id, task] as const] : [])));
  }
}

/** A record that was written over must not keep the others' events back. */
function unlessUnreadable(error: unknown): null {
  if ((error as { code?: unknown }).code === 'RECORD_UNREADABLE') return null;
  throw error;
}

function eventsOfChanges(
  { id: entry }: StreamEntry,
  changes: TaskChange[],
  records: Map<string, TaskRecord>,
): LoggedEvent[] {
  const now = Number.parseInt(entry, 10);
  const events = changes.flatMap((change, at) => {
    const task = records.get(change.id);
    return eventsOfChange(change, task, now).map((event, told) => {
      const place: ShardPlace = { entry, within: { changes: at, events: told + 1 } };
      return { tenant: task?.spec.tenant ?? null, event, place };
    });
  });
  const last = events.at(-1);
  if (last) last.place = wholly(entry);
  return events;
}

function eventsOfChange(change: TaskChange, task: TaskRecord | undefined, now: number) {
  if (!task) return forgotten(change, now);
  const told = eventsOfVersion(task, change.version, now).map(({ event }) => event);
  // A long history drops its middle; what is left of it is the state.
  return told.length === 0 && task.trail.dropped ? forgotten(change, now, task) : told;
}

/** From the state alone. `running` may also have been a progress, which only the latest of would be told. */
function forgotten({ id, version, state }: TaskChange, now: number, task?: TaskRecord): LoggedEvent['event'][] {
  if (state === 'running') return [];
  const seen = task?.spec ? { agent: task.spec.agent, tenant: task.spec.tenant } : {};
  const event = { ...seen, type: `task.${state}` as const, task: id, version, state, at: isoOf(now) };
  return version === 1 ? [{ ...event, type: 'task.submitted' }, event] : [event];
}

/** Written by the scripts that keep the registry and the owners; the texts are ours only if nobody else wrote there. */
function systemEvents({ id: entry, fields }: StreamEntry, shard: number): LoggedEvent[] {
  const at = isoOf(Number.parseInt(entry, 10));
  const { s: type, i: text = '', n: name = '' } = fields;
  if (type === 'leader.changed') {
    const event: SystemEventView = { type, at, shard, instance: text, epoch: name };
    return [{ tenant: null, event, place: wholly(entry) }];
  }
  if (type !== 'instance.registered' && type !== 'instance.deregistered') return [];
  const event: SystemEventView = { type, at, instance: name, ...roleAndUrl(text) };
  return [{ tenant: null, event, place: wholly(entry) }];
}

function roleAndUrl(text: string): { role?: string; url?: string } {
  try {
    const { role, url } = JSON.parse(text) as { role?: unknown; url?: unknown };
    return {
      ...(typeof role === 'string' ? { role } : {}),
      ...(typeof url === 'string' ? { url } : {}),
    };
  } catch {
    return {};
  }
}

function isBehind({ within }: ShardPlace, told: { changes: number; events: number }): boolean {
  if (within === null) return true;
  return within.changes > told.changes || (within.changes === told.changes && within.events > told.events);
}
