import { createHash } from 'node:crypto';
import { normalizeIP } from '@fastify/rate-limit';
import { AgentSystemError } from '../errors.ts';

/** Different wrong keys that may come from one address within the time. */
const GUESSES_MAX = 20;
const WITHIN_MS = 60_000;
/** Addresses that are remembered; the oldest is forgotten for a new one. */
const ADDRESSES_MAX = 10_000;

interface Guesser {
  since: number;
  /** Digests of the wrong keys. */
  tried: Set<string>;
}

/**
 * Keeps keys and tokens from being guessed: an address that showed too many wrong ones is not listened to for the rest of
 * the time, not even with a right one, for that would tell which guess was right. Only different ones count. A program
 * that keeps repeating its one outdated key guesses nothing, and must not lock out others behind the same address.
 */
export class Guesses {
  readonly #now: () => number;
  readonly #guessers = new Map<string, Guesser>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** @throws RATE_LIMITED */
  refuseGuesser(address: string): void {
    const place = normalizeIP(address);
    const guesser = this.#guessers.get(place);
    if (!guesser) return;
    const leftMs = guesser.since + WITHIN_MS - this.#now();
    if (leftMs <= 0) this.#guessers.delete(place);
    else if (guesser.tried.size >= GUESSES_MAX) throw tooMany(leftMs);
  }

  wrong(address: string, credential: string): void {
    const place = normalizeIP(address);
    const guesser = this.#guessers.get(place) ?? { since: this.#now(), tried: new Set() };
    guesser.tried.add(createHash('sha256').update(credential).digest('base64'));
    this.#guessers.set(place, guesser);
    if (this.#guessers.size > ADDRESSES_MAX) this.#guessers.delete(this.#guessers.keys().next().value!);
  }
}

function tooMany(leftMs: number): AgentSystemError {
  const message = `too many different wrong keys came from this address (${GUESSES_MAX}), wait before the next one`;
  return new AgentSystemError('RATE_LIMITED', message, {
    retryable: true,
    details: { retryAfterMs: leftMs },
  });
}
