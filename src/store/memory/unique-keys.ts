import { SortedSet } from './sorted-set.ts';

/** Expired keys dropped with each new one: more than one, so the expired ones cannot pile up. */
const DROPPED_PER_ADD = 4;

export interface KeyHolder {
  id: string;
  digest: string;
}

/** Keys under which one task at a time may live, each for a limited time. */
export class UniqueKeys {
  readonly #holders = new Map<string, KeyHolder>();
  readonly #expiry = new SortedSet();

  holder(key: string, now: number): KeyHolder | null {
    const expiresAt = this.#expiry.score(key);
    return expiresAt !== undefined && expiresAt > now ? this.#holders.get(key)! : null;
  }

  add(key: string, holder: KeyHolder, ttlMs: number, now: number): void {
    this.#dropExpired(now);
    this.#holders.set(key, holder);
    this.#expiry.set(key, now + ttlMs);
  }

  /** Keys by when they expire, also those that have. */
  get byExpiry(): SortedSet {
    return this.#expiry;
  }

  stored(key: string): KeyHolder | undefined {
    return this.#holders.get(key);
  }

  /** As it was read back from a journal. */
  put(key: string, holder: KeyHolder, expiresAt: number): void {
    this.#holders.set(key, holder);
    this.#expiry.set(key, expiresAt);
  }

  #dropExpired(now: number): void {
    for (let i = 0; i < DROPPED_PER_ADD; i++) {
      const first = this.#expiry.first();
      if (!first || first.score > now) return;
      this.#expiry.shift();
      this.#holders.delete(first.member);
    }
  }
}
