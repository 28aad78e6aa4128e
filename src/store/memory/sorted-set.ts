/*
 * Members by score, ties by name: what a Redis sorted set is, for the embedded store. The entries stand in order in
 * chunks of bounded length, so insert, remove and "the first" cost the same with ten entries and with a million. A heap
 * would be a little faster at taking the first, but can neither list a range nor go backwards.
 */
export interface Entry {
  readonly member: string;
  readonly score: number;
}

/** Entries per chunk at most: short enough to move in one go, long enough to keep the list of chunks short. */
const CHUNK_MAX = 512;

export class SortedSet {
  readonly #entries = new Map<string, Entry>();
  /** Never holds an empty chunk. */
  readonly #chunks: Entry[][] = [];

  get size(): number {
    return this.#entries.size;
  }

  has(member: string): boolean {
    return this.#entries.has(member);
  }

  score(member: string): number | undefined {
    return this.#entries.get(member)?.score;
  }

  first(): Entry | undefined {
    return this.#chunks[0]?.[0];
  }

  /** Adds the member, or moves it when it stands at another score; false when it stood there already. */
  set(member: string, score: number): boolean {
    const old = this.#entries.get(member);
    if (old?.score === score) return false;
    if (old) this.#takeOut(old);
    const entry = { member, score };
    this.#entries.set(member, entry);
    this.#putIn(entry);
    return true;
  }

  delete(member: string): boolean {
    const entry = this.#entries.get(member);
    if (!entry) return false;
    this.#entries.delete(member);
    this.#takeOut(entry);
    return true;
  }

  /** Removes and answers the first entry. */
  shift(): Entry | undefined {
    const chunk = this.#chunks[0];
    const entry = chunk?.shift();
    if (!chunk || !entry) return undefined;
    if (chunk.length === 0) this.#chunks.shift();
    this.#entries.delete(entry.member);
    return entry;
  }

  /** Up to `limit` entries behind `after`, in order. */
  ascending(after: Entry | null, limit: number): Entry[] {
    const found: Entry[] = [];
    let at = after ? this.#chunkOf(after) : 0;
    let from = after ? firstIndexFrom(this.#chunks[at] ?? [], after, true) : 0;
    for (; at < this.#chunks.length && found.length < limit; at++, from = 0) {
      const chunk = this.#chunks[at]!;
      const until = Math.min(chunk.length, from + limit - found.length);
      for (let i = from; i < until; i++) found.push(chunk[i]!);
    }
    return found;
  }

  /** Up to `limit` entries before `before`, the last first. */
  descending(before: Entry | null, limit: number): Entry[] {
    const found: Entry[] = [];
    let at = before ? Math.min(this.#chunkOf(before), this.#chunks.length - 1) : this.#chunks.length - 1;
    let from = at < 0 ? -1 : (before ? firstIndexFrom(this.#chunks[at]!, before, false) : this.#chunks[at]!.length) - 1;
    while (at >= 0 && found.length < limit) {
      const chunk = this.#chunks[at]!;
      for (let i = from; i >= 0 && found.length < limit; i--) found.push(chunk[i]!);
      at -= 1;
      from = (this.#chunks[at]?.length ?? 0) - 1;
    }
    return found;
  }

  /** Up to `limit` entries whose score is at most `max`, in order. */
  upTo(max: number, limit: number): Entry[] {
    const found: Entry[] = [];
    for (const chunk of this.#chunks) {
      for (const entry of chunk) {
        if (entry.score > max || found.length >= limit) return found;
        found.push(entry);
      }
    }
    return found;
  }

  /** How many entries stand before `place`; it need not be in the set itself. */
  countBefore(place: Entry): number {
    const at = this.#chunkOf(place);
    let count = 0;
    for (let i = 0; i < at; i++) count += this.#chunks[i]!.length;
    return count + firstIndexFrom(this.#chunks[at] ?? [], place, false);
  }

  #putIn(entry: Entry): void {
    const at = this.#chunkOf(entry);
    const chunk = this.#chunks[at];
    if (!chunk) {
      this.#append(entry);
      return;
    }
    chunk.splice(firstIndexFrom(chunk, entry, false), 0, entry);
    if (chunk.length > CHUNK_MAX) this.#chunks.splice(at + 1, 0, chunk.splice(CHUNK_MAX >> 1));
  }

  /** Entries mostly come in order: a full last chunk stays full, and a new one begins. */
  #append(entry: Entry): void {
    const last = this.#chunks[this.#chunks.length - 1];
    if (last && last.length < CHUNK_MAX) last.push(entry);
    else this.#chunks.push([entry]);
  }

  #takeOut(entry: Entry): void {
    const at = this.#chunkOf(entry);
    const chunk = this.#chunks[at]!;
    chunk.splice(firstIndexFrom(chunk, entry, false), 1);
    if (chunk.length === 0) this.#chunks.splice(at, 1);
  }

  /** Index of the first chunk that does not end before `place`. */
  #chunkOf(place: Entry): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const chunk = this.#chunks[middle]!;
      if (isBefore(chunk[chunk.length - 1]!, place)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export function isBefore(a: Entry, b: Entry): boolean {
  return a.score < b.score || (a.score === b.score && a.member < b.member);
}

/** Index of the first entry at `place` or behind it; with `behind`, only behind it. */
function firstIndexFrom(chunk: readonly Entry[], place: Entry, behind: boolean): number {
  let low = 0;
  let high = chunk.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const entry = chunk[middle]!;
    if (behind ? !isBefore(place, entry) : isBefore(entry, place)) low = middle + 1;
    else high = middle;
  }
  return low;
}
