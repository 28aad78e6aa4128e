import { type Beat, type Heartbeat, holderOf } from '../store.ts';
import { formatStreamId, nextStreamId, STREAM_START, type StreamId } from './stream-id.ts';

/** Released attempts answered in one call. */
const RELEASED_MAX = 1_000;
/** Kept per holder; beyond it the oldest go, and are released again when their worker reports them again. */
const KEPT_MAX = 100_000;

interface Lease extends Heartbeat {
  place: StreamId;
}

/** Who works on this shard: registered incarnations, their last heartbeats, and what they may forget. */
export class Workers {
  readonly #incarnations = new Map<string, string>();
  readonly #leases = new Map<string, Lease>();
  /** Per holder, in order; an attempt that is released twice stands here once. */
  readonly #released = new Map<string, Set<string>>();

  /** False when a later incarnation is registered. */
  enlist(worker: string, incarnation: string): boolean {
    const registered = this.#incarnations.get(worker);
    if (registered !== undefined && isLater(registered, incarnation)) return false;
    this.#incarnations.set(worker, incarnation);
    return true;
  }

  /** Why this incarnation may not renew the lease; null = it may. */
  refusal(worker: string, incarnation: string): 'replaced' | 'unknown' | null {
    const registered = this.#incarnations.get(worker);
    if (registered === undefined) return 'unknown';
    return registered === incarnation ? null : 'replaced';
  }

  /** Answers the entry of the heartbeat, from whose time on the lease counts. */
  renew({ worker, incarnation, toCoordinators, toDistributors }: Beat, now: number): string {
    const place = nextStreamId(this.#leases.get(worker)?.place ?? STREAM_START, now);
    const entry = formatStreamId(place);
    this.#leases.set(worker, { worker, incarnation, entry, at: place.ms, toCoordinators, toDistributors, place });
    return entry;
  }

  heartbeats(since: number): Heartbeat[] {
    const beats: Heartbeat[] = [];
    for (const { place, ...beat } of this.#leases.values()) if (place.ms >= since) beats.push(beat);
    return beats;
  }

  release(holder: string, held: string): void {
    const released = this.#released.get(holder) ?? new Set();
    this.#released.set(holder, released.add(held));
    if (released.size > KEPT_MAX) released.delete(released.values().next().value!);
  }

  popReleased(holder: string): string[] {
    const released = this.#released.get(holder);
    if (!released) return [];
    const popped: string[] = [];
    for (const held of released) {
      if (popped.length >= RELEASED_MAX) break;
      popped.push(held);
      released.delete(held);
    }
    if (released.size === 0) this.#released.delete(holder);
    return popped;
  }

  retire(worker: string, incarnation: string): void {
    this.#released.delete(holderOf(worker, incarnation));
    if (this.#leases.get(worker)?.incarnation === incarnation) this.#leases.delete(worker);
    if (this.#incarnations.get(worker) === incarnation) this.#incarnations.delete(worker);
  }
}

/** By the store's time at the front, ties by the rest: two incarnations never replace each other in turn. */
function isLater(a: string, b: string): boolean {
  const [timeA, timeB] = [Number.parseInt(a, 10), Number.parseInt(b, 10)];
  return timeA === timeB ? a > b : timeA > timeB;
}
