import type { Runtime } from '../../runtime/runtime.ts';
import type { ReadStreams, StreamBatch, StreamEntry, StreamName } from '../store.ts';
import type { RisingClock } from './rising-clock.ts';
import { Stream, type StreamBounds } from './stream.ts';
import { formatStreamId, parseStreamId, STREAM_START, type StreamId } from './stream-id.ts';

const EVENT_ENTRIES_MAX = 100_000;
const WAKE_ENTRIES_MAX = 1_000;
const UNBOUNDED: StreamBounds = { entries: Number.POSITIVE_INFINITY, size: Number.POSITIVE_INFINITY };

export interface StreamsOptions {
  clock: RisingClock;
  runtime: Runtime;
  maxEventBytes: number;
}

/** The streams of one shard. Reports and mailboxes are bounded by their readers, who trim what they have read. */
export class Streams {
  readonly #options: StreamsOptions;
  readonly #streams = new Map<StreamName, Stream>();
  readonly #waits = new Map<StreamName, Set<() => void>>();

  constructor(options: StreamsOptions) {
    this.#options = options;
  }

  append(name: StreamName, fields: Record<string, string>): string {
    const stream = this.#streams.get(name) ?? new Stream(this.#boundsOf(name));
    this.#streams.set(name, stream);
    const id = stream.append(fields, this.#options.clock.now());
    for (const arrived of [...(this.#waits.get(name) ?? [])]) arrived();
    return id;
  }

  async read(request: ReadStreams): Promise<StreamBatch[]> {
    const from = request.from.map(({ stream, after }) => ({ stream, after: this.#placeOf(stream, after) }));
    const found = this.#entries(from, request.count);
    if (found.length > 0 || request.waitMs <= 0 || request.signal?.aborted) return found;
    await this.#arrival(request);
    return request.signal?.aborted ? [] : this.#entries(from, request.count);
  }

  /** What stands behind this place now. */
  after(name: StreamName, place: string, count: number): StreamEntry[] {
    return this.#streams.get(name)?.after(parseStreamId(place), count) ?? [];
  }

  lastEntry(name: StreamName): string {
    return this.#streams.get(name)?.newest(1)[0]?.id ?? '0-0';
  }

  extent(name: StreamName): { first: string; last: string; trimmed: boolean } {
    const stream = this.#streams.get(name);
    if (!stream) return { first: '0-0', last: '0-0', trimmed: false };
    const last = formatStreamId(stream.last);
    return { first: stream.after(STREAM_START, 1)[0]?.id ?? last, last, trimmed: stream.hasLost };
  }

  /** See `Stream.goOnFrom`. */
  goOnFrom(name: StreamName, place: StreamId): void {
    const stream = new Stream(this.#boundsOf(name));
    stream.goOnFrom(place);
    this.#streams.set(name, stream);
  }

  trim(name: StreamName, upTo: string): void {
    const place = parseStreamId(upTo);
    this.#streams.get(name)?.trim(place);
  }

  delete(name: StreamName): void {
    this.#streams.delete(name);
  }

  /** Ends every wait with an empty answer. */
  close(): void {
    for (const waiting of [...this.#waits.values()]) for (const arrived of [...waiting]) arrived();
  }

  #placeOf(name: StreamName, after: string): StreamId {
    return after === '$' ? (this.#streams.get(name)?.last ?? STREAM_START) : parseStreamId(after);
  }

  #entries(from: { stream: StreamName; after: StreamId }[], count: number): StreamBatch[] {
    const batches: StreamBatch[] = [];
    for (const { stream, after } of from) {
      const entries = this.#streams.get(stream)?.after(after, count) ?? [];
      if (entries.length > 0) batches.push({ stream, entries });
    }
    return batches;
  }

  /**
   * Resolves when one of the streams gets an entry, the time is over, or the signal aborts. The reader goes on in a
   * microtask, when the call that appended is through with all it does, and so sees all of it.
   */
  #arrival({ from, waitMs, signal }: ReadStreams): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        cancel();
        signal?.removeEventListener('abort', done);
        for (const { stream } of from) this.#forget(stream, done);
        resolve();
      };
      const cancel = this.#options.runtime.after(waitMs, done);
      signal?.addEventListener('abort', done, { once: true });
      for (const { stream } of from) {
        const waiting = this.#waits.get(stream) ?? new Set();
        this.#waits.set(stream, waiting.add(done));
      }
    });
  }

  #forget(name: StreamName, done: () => void): void {
    const waiting = this.#waits.get(name);
    waiting?.delete(done);
    if (waiting?.size === 0) this.#waits.delete(name);
  }

  #boundsOf(name: StreamName): StreamBounds {
    if (name === 'events') return { entries: EVENT_ENTRIES_MAX, size: this.#options.maxEventBytes };
    if (name === 'wake') return { ...UNBOUNDED, entries: WAKE_ENTRIES_MAX };
    return UNBOUNDED;
  }
}
