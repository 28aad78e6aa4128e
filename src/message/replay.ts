/**
 * Recognises a message that comes again where it belongs. Most messages need nothing of this: reports name an attempt,
 * a fence and a sequence that the record knows. What a worker is told by control messages is remembered here, for as
 * long as `openEnvelope` would let the same bytes pass; an incarnation that restarts has a new address and so forgets safely.
 */
import { CLOCK_SKEW_MS } from './envelope.ts';

export class SeenMessages {
  /**
   * Only a key holder can fill the set, so beyond this size the oldest are forgotten: refusing new orders would be the
   * greater harm.
   */
  readonly sizeMax: number;
  readonly #forgetAt = new Map<string, number>();

  constructor(sizeMax = 10_000) {
    this.sizeMax = sizeMax;
  }

  get size(): number {
    return this.#forgetAt.size;
  }

  /** True the first time, false for a repetition. Ask only about opened messages; `now` is the store's time in milliseconds. */
  admit(message: { readonly jti: string; readonly expiresAt: number }, now: number): boolean {
    this.#forget(now);
    if (this.#forgetAt.has(message.jti)) return false;
    this.#forgetAt.set(message.jti, message.expiresAt + CLOCK_SKEW_MS);
    return true;
  }

  /** Messages come nearly in the order in which they expire, so the ones to forget stand in front. */
  #forget(now: number): void {
    for (const [jti, forgetAt] of this.#forgetAt) {
      if (forgetAt >= now && this.#forgetAt.size < this.sizeMax) return;
      this.#forgetAt.delete(jti);
    }
  }
}
