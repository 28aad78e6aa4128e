import type { Runtime } from '../runtime/runtime.ts';

/** Readings are trusted for this long, so that a drifting local clock is followed. */
const READING_MS = 60_000;
/** Both clocks are read in whole milliseconds. */
const COARSE_MS = 2;

/**
 * The store's time as this process knows it: the local clock plus the offset learnt from replies. Everything that other
 * processes compare (scores, deadlines, `iat`) is in this time, so a host clock that is wrong harms nothing.
 */
export class StoreClock {
  readonly #runtime: Runtime;
  #offset = 0;
  #roundTrip = Number.POSITIVE_INFINITY;
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  now(): number {
    return Math.round(this.#runtime.now() + this.#offset);
  }

  /** Calls the store and learns from the `now` of its reply; the quickest recent round trip is the best reading. */
  async learn<T extends { now: number }>(call: () => Promise<T>): Promise<T> {
    const sent = this.#runtime.now();
    const reply = await call();
    this.read(reply.now, sent);
    return reply;
  }

  /** @param sent local time at which the request left */
  read(storeNow: number, sent: number): void {
    const local = this.#runtime.now();
    // The local clock was set back during the call: this reading says nothing.
    if (local < sent) return;
    const roundTrip = local - sent;
    const offset = storeNow - (sent + local) / 2;
    if (roundTrip > this.#roundTrip && this.#isRecent(local) && this.#agrees(offset, roundTrip)) return;
    this.#roundTrip = roundTrip;
    this.#readAt = local;
    this.#offset = offset;
  }

  #isRecent(local: number): boolean {
    return Math.abs(local - this.#readAt) < READING_MS;
  }

  /** A reading is wrong by half its round trip at most: two that differ by more mean that a clock was set. */
  #agrees(offset: number, roundTrip: number): boolean {
    return Math.abs(offset - this.#offset) <= (roundTrip + this.#roundTrip) / 2 + COARSE_MS;
  }
}
