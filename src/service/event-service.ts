/*
 * What happened, told to whoever listens: of one task, or of the whole system. Nothing is kept for a listener: it names
 * the last place it was told, and what lies behind it is told from the records and the event stream, at any coordinator.
 * So a listener that is slow, or away, costs nothing, and one that comes back misses nothing that is still kept; what is
 * not is told as `gap`.
 */
import { AgentSystemError, StoreUnavailableError } from '../errors.ts';
import type { Ports } from '../fleet/ports.ts';
import { pause } from '../runtime/runtime.ts';
import { retryPause } from '../store/patience.ts';
import { isTerminal, type TaskRecord, type TaskState } from '../task/task.ts';
import type { Caller } from './caller.ts';
import { EventLog, type ForgottenEventView, type LoggedEvent, type SystemEventView } from './event-log.ts';
import { cursorText, parseCursor, type ShardPlace } from './event-place.ts';
import { RecordReader } from './record-reader.ts';
import { eventsAfter, parsePlace, placeText, TASK_START, type TaskEventView, type TaskPlace } from './task-events.ts';
import type { Waiters } from './waiters.ts';

/** Changes are heard of by the feed; a stream that was trimmed or removed is made good by looking this often. */
const LOOK_AGAIN_MS = 3_000;
export const EVENT_TYPES = [
  'task.submitted',
  'task.scheduled',
  'task.queued',
  'task.assigned',
  'task.started',
  'task.progress',
  'task.waiting',
  'task.completed',
  'task.failed',
  'task.cancelled',
  'task.retried',
  'instance.registered',
  'instance.deregistered',
  'leader.changed',
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** Events that happened before were not kept long enough: read anew what you watch. */
export interface GapView {
  type: 'gap';
  /** Of the whole system's events: the shard whose events are missing. */
  shard?: number;
  message: string;
}

/** The task has ended and all was told. It goes on only if somebody retries it. */
export interface EndView {
  type: 'end';
  task: string;
  state: TaskState;
  version: number;
}

export type EventView = TaskEventView | SystemEventView | ForgottenEventView | GapView | EndView;

export interface Told {
  /** Resumes behind what was told so far. */
  cursor: string;
  /** Absent where only the place has moved, over events that the listener did not ask for. */
  event?: EventView;
  /** Nothing will follow, here or later. */
  over?: true;
}

export interface EventFilter {
  types?: readonly string[];
  agent?: string;
  state?: readonly TaskState[];
  /** One task's, by its events in the stream of all. */
  task?: string;
  tenant?: string;
  correlationId?: string;
}

export interface Listening {
  /** The cursor of the last event that was told; undefined = from the task's beginning, or from now on. */
  after?: string | undefined;
  caller: Caller;
  /** Ends the stream. */
  signal: AbortSignal;
}

export interface EventServiceOptions extends Pick<Ports, 'store' | 'clock' | 'runtime' | 'policy'> {
  waiters: Waiters;
}

export class EventService {
  readonly #options: EventServiceOptions;
  readonly #records: RecordReader;
  readonly #log: EventLog;
  readonly #woken = new Set<() => void>();
  readonly #stopping = new AbortController();

  constructor(options: EventServiceOptions) {
    this.#options = options;
    this.#records = new RecordReader(options);
    this.#log = new EventLog({ ...options, records: this.#records });
  }

  /** Ends every stream: the system stops. */
  stop(): void {
    this.#stopping.abort();
  }

  /** To be called when a shard's event stream has moved. */
  heard(): void {
    for (const wake of [...this.#woken]) wake();
  }

  /**
   * The events of one task from its beginning, or from behind a place, to its end. `over`: it has ended and all was told
   * before.
   *
   * @throws NOT_FOUND, BAD_REQUEST, STORE_UNAVAILABLE
   */
  async ofTask(id: string, o: Listening): Promise<{ over: boolean; events: AsyncGenerator<Told> }> {
    const from = o.after === undefined ? TASK_START : placeOf(o.after);
    const task = await this.#records.record(id, {}, o.caller);
    const over = isTerminal(task.state) && eventsAfter(task, from, 0).events.length === 0;
    return { over, events: this.#followTask(task, from, this.#untilStop(o)) };
  }

  async *#followTask(task: TaskRecord, from: TaskPlace, o: Listening): AsyncGenerator<Told> {
    let place = from;
    let known: TaskRecord | null = task;
    while (known !== null && !o.signal.aborted) {
      const { events, gap } = eventsAfter(known, place, this.#options.clock.now());
      if (gap) yield { cursor: placeText(place), event: { type: 'gap', message: TASK_GAP } };
      for (const { event, place: reached } of events) {
        place = reached;
        yield { cursor: placeText(place), event };
      }
      const { id, state, version } = known;
      if (isTerminal(state)) {
        yield { cursor: placeText(place), event: { type: 'end', task: id, state, version }, over: true };
        return;
      }
      known = await this.#change(known, o);
    }
    if (known === null || this.#stopping.signal.aborted) yield { cursor: placeText(place), over: true };
  }

  /** The record once it has another version; null when it is gone, or nobody listens any more. */
  async #change(task: TaskRecord, o: Listening): Promise<TaskRecord | null> {
    const { runtime, waiters } = this.#options;
    let failures = 0;
    while (!o.signal.aborted) {
      const woken = new Wake(o.signal);
      // Stands before the record is read: what is committed in between wakes it.
      const off = waiters.on(task.id, woken.wake);
      try {
        const now = await this.#records.record(task.id, {}, o.caller);
        failures = 0;
        if (now.version !== task.version) return now;
        await pause(runtime, LOOK_AGAIN_MS, woken.signal);
      } catch (error) {
        if ((error as { code?: unknown }).code === 'NOT_FOUND') return null;
        if (!(error instanceof StoreUnavailableError)) throw error;
        await retryPause(error, ++failures, { runtime, signal: o.signal });
      } finally {
        off();
        woken.end();
      }
    }
    return null;
  }

  /**
   * The events of the whole system that the caller may see, from now on or from behind a cursor, until the signal aborts.
   *
   * @throws BAD_REQUEST, STORE_UNAVAILABLE
   */
  async ofAll(filter: EventFilter, o: Listening): Promise<AsyncGenerator<Told>> {
    const { shards } = this.#options.policy;
    const each = Array.from({ length: shards }, (_, shard) => shard);
    const places =
      o.after === undefined
        ? await Promise.all(each.map((shard) => this.#log.end(shard)))
        : parseCursor(o.after, shards);
    return this.#followAll(filter, places, this.#untilStop(o));
  }

  async *#followAll(filter: EventFilter, places: ShardPlace[], o: Listening): AsyncGenerator<Told> {
    const { runtime } = this.#options;
    const mayHaveGap = places.map(() => true);
    let failures = 0;
    // Whoever is cut off before the first event comes back to here.
    yield { cursor: cursorText(places) };
    while (!o.signal.aborted) {
      const woken = new Wake(o.signal);
      this.#woken.add(woken.wake);
      try {
        let full = false;
        for (let shard = 0; shard < places.length && !o.signal.aborted; shard++) {
          const page = await this.#log.page(shard, places[shard]!, mayHaveGap[shard]!);
          failures = 0;
          mayHaveGap[shard] = page.full;
          full ||= page.full;
          if (page.gap) yield { cursor: cursorText(places), event: { type: 'gap', shard, message: SYSTEM_GAP } };
          for (const logged of page.events) {
            if (!isWanted(logged, filter, o.caller)) continue;
            places[shard] = logged.place;
            yield { cursor: cursorText(places), event: logged.event };
          }
          if (!isSame(places[shard]!, page.end)) {
            places[shard] = page.end;
            yield { cursor: cursorText(places) };
          }
        }
        if (!full) await pause(runtime, LOOK_AGAIN_MS, woken.signal);
      } catch (error) {
        if (!(error instanceof StoreUnavailableError)) throw error;
        mayHaveGap.fill(true);
        await retryPause(error, ++failures, { runtime, signal: o.signal });
      } finally {
        this.#woken.delete(woken.wake);
        woken.end();
      }
    }
    if (this.#stopping.signal.aborted) yield { cursor: cursorText(places), over: true };
  }

  #untilStop(o: Listening): Listening {
    return { ...o, signal: AbortSignal.any([o.signal, this.#stopping.signal]) };
  }
}

/** Ends one pause, when there is news or with its stream. Streams live for days: a signal made of both would leave traces. */
class Wake {
  readonly #controller = new AbortController();
  readonly #stream: AbortSignal;
  readonly wake = () => this.#controller.abort();

  constructor(stream: AbortSignal) {
    this.#stream = stream;
    if (stream.aborted) this.wake();
    stream.addEventListener('abort', this.wake);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  end(): void {
    this.#stream.removeEventListener('abort', this.wake);
  }
}

const TASK_GAP = 'the task went through more than its history keeps: what lay between is not known any more';
const SYSTEM_GAP = 'events were trimmed before they could be told: read anew what you watch';

function placeOf(after: string): TaskPlace {
  const place = parsePlace(after);
  if (place) return place;
  throw new AgentSystemError(
    'BAD_REQUEST',
    `the event cursor is ${JSON.stringify(after.slice(0, 80))}, wanted the id of an event of this task: a version such as 3, or 3.1`,
  );
}

function isWanted({ tenant, event }: LoggedEvent, filter: EventFilter, caller: Caller): boolean {
  if (caller.tenant !== null && tenant !== caller.tenant) return false;
  if (filter.types && !filter.types.includes(event.type)) return false;
  if (filter.tenant !== undefined && tenant !== filter.tenant) return false;
  const { agent, state, task, correlationId } = event as Partial<TaskEventView>;
  if (filter.agent !== undefined && agent !== filter.agent) return false;
  if (filter.state && !(state && filter.state.includes(state))) return false;
  if (filter.task !== undefined && task !== filter.task) return false;
  return filter.correlationId === undefined || correlationId === filter.correlationId;
}

function isSame(a: ShardPlace, b: ShardPlace): boolean {
  return a.entry === b.entry && a.within === null && b.within === null;
}
