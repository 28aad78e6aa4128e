import type { StreamEntry } from '../store.ts';
import { formatStreamId, isBehind, nextStreamId, STREAM_START, type StreamId } from './stream-id.ts';

export interface StreamBounds {
  entries: number;
  /** Characters of all fields together. */
  size: number;
}

interface KeptEntry {
  place: StreamId;
  fields: Readonly<Record<string, string>>;
  size: number;
}

/** Removed entries are cut from the front of the array only when they are this many and half of it. */
const CUT_MIN = 256;

/** Entries in order of arrival. Beyond its bounds the oldest go; the newest always stays. */
export class Stream {
  readonly #bounds: StreamBounds;
  #entries: (KeptEntry | undefined)[] = [];
  /** Index of the oldest entry that was not removed. */
  #start = 0;
  #size = 0;
  #last = STREAM_START;
  #hasLost = false;

  constructor(bounds: StreamBounds) {
    this.#bounds = bounds;
  }

  get length(): number {
    return this.#entries.length - this.#start;
  }

  /** Entries were ever removed. */
  get hasLost(): boolean {
    return this.#hasLost;
  }

  /** The greatest id ever given out, whether or not its entry is still here. */
  get last(): StreamId {
    return this.#last;
  }

  /** Goes on behind a place that it had reached in a process that is gone, with all of its entries. */
  goOnFrom(place: StreamId): void {
    this.#last = place;
    this.#hasLost = true;
  }

  append(fields: Record<string, string>, now: number): string {
    this.#last = nextStreamId(this.#last, now);
    const size = sizeOf(fields);
    this.#entries.push({ place: this.#last, fields, size });
    this.#size += size;
    while (this.length > 1 && (this.length > this.#bounds.entries || this.#size > this.#bounds.size))
      this.#removeFirst();
    this.#cut();
    return formatStreamId(this.#last);
  }

  after(place: StreamId, count: number): StreamEntry[] {
    const from = this.#indexBehind(place);
    return this.#entries.slice(from, from + count).map((entry) => copyOf(entry!));
  }

  newest(count: number): StreamEntry[] {
    const from = Math.max(this.#start, this.#entries.length - count);
    return this.#entries
      .slice(from)
      .map((entry) => copyOf(entry!))
      .reverse();
  }

  trim(upTo: StreamId): void {
    while (this.length > 0 && !isBehind(this.#entries[this.#start]!.place, upTo)) this.#removeFirst();
    this.#cut();
  }

  #removeFirst(): void {
    this.#hasLost = true;
    this.#size -= this.#entries[this.#start]!.size;
    this.#entries[this.#start] = undefined;
    this.#start += 1;
  }

  #cut(): void {
    if (this.#start < CUT_MIN || this.#start * 2 < this.#entries.length) return;
    this.#entries = this.#entries.slice(this.#start);
    this.#start = 0;
  }

  #indexBehind(place: StreamId): number {
    let low = this.#start;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isBehind(this.#entries[middle]!.place, place)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

function copyOf(entry: KeptEntry): StreamEntry {
  return { id: formatStreamId(entry.place), fields: { ...entry.fields } };
}

function sizeOf(fields: Record<string, string>): number {
  let size = 0;
  for (const name in fields) size += name.length + fields[name]!.length;
  return size;
}
