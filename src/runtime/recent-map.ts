export interface RecentMapOptions {
  /** Entries stay for at least so long, unless there are too many, and for twice as long at most while others come. */
  keepMs: number;
  /** Of entries; beyond it the older half is forgotten. Default: no bound but `keepMs`. */
  sizeMax?: number;
}

/**
 * Remembers entries for a while, in two generations: when the young one is old enough it becomes the old one, and what
 * was old is dropped whole. Taking the oldest entries out of one Map costs more the more there are, because a Map walks
 * over the holes at its front: 20 µs for each of 20,000 entries per second that are kept for two seconds.
 */
export class RecentMap<V> {
  readonly #keepMs: number;
  readonly #youngMax: number;
  #young = new Map<string, V>();
  #old = new Map<string, V>();
  #youngSince = Number.NEGATIVE_INFINITY;

  constructor({ keepMs, sizeMax = Number.POSITIVE_INFINITY }: RecentMapOptions) {
    this.#keepMs = keepMs;
    this.#youngMax = Math.ceil(sizeMax / 2);
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(key: string): V | undefined {
    return this.#young.get(key) ?? this.#old.get(key);
  }

  /** @param now by the same clock each time; one that was set back ends a generation, too */
  set(key: string, value: V, now: number): void {
    if (Math.abs(now - this.#youngSince) >= this.#keepMs || this.#young.size >= this.#youngMax) this.#age(now);
    this.#young.set(key, value);
  }

  #age(now: number): void {
    this.#old = this.#young;
    this.#young = new Map();
    this.#youngSince = now;
  }
}
