/**
 * Remembers what was computed for the most recently used keys, in bounded memory. Two maps instead of a list: when the
 * younger one is full it becomes the older and the oldest entries are dropped together, so a hit costs one look-up.
 */
export class RecentCache<K, V> {
  /** The cache holds at least this many entries before it forgets one, and never more than twice as many. */
  readonly sizeMax: number;
  #young = new Map<K, V>();
  #old = new Map<K, V>();

  constructor(sizeMax: number) {
    this.sizeMax = sizeMax;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(key: K): V | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: K, value: V): V {
    if (this.#young.size >= this.sizeMax) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
    return value;
  }
}
