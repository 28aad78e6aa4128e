/**
 * A ring whose generations are replaced while the process runs.
 *
 * A new root reaches the processes at different times, and whoever does not have it yet refuses what is signed with it.
 * So a generation that was added verifies at once but signs only after a delay, in which every process is to have read
 * it; until then the newest of those known for so long signs. A generation that is no longer in the list, retired or
 * revoked, neither signs nor verifies from that moment on; when that leaves only new ones, the newest of them signs at
 * once, for there is nothing better. Nobody coordinates this: the delay, and older ones verifying all the while, is all
 * that keeps two processes understanding each other.
 */
import type { Runtime } from '../runtime/runtime.ts';
import {
  type HeldGeneration,
  type Key,
  type KeyGeneration,
  type KeyRing,
  type KeyUse,
  keyNotHeld,
  rootGenerations,
} from './keys.ts';
import { workerGenerations } from './worker-key.ts';

/** What a process was given to sign and verify with: plain data, so that it can be handed to a thread. */
export interface KeySet {
  /** Newest first. */
  readonly generations: readonly KeyGeneration[];
  /** Null: the secrets are roots. Else each is the four keys of this worker. */
  readonly worker: string | null;
}

export function heldGenerations({ generations, worker }: KeySet): HeldGeneration[] {
  return worker === null ? rootGenerations(generations) : workerGenerations({ workerId: worker, generations });
}

export interface RotatingKeyRingOptions {
  runtime: Pick<Runtime, 'now'>;
  /** How long a generation only verifies before it signs. */
  signsAfterMs: number;
  /** Local time since when the newest one is known to others too; it signs once the delay has passed. Default: long ago. */
  newestSince?: number;
}

interface Known {
  generation: HeldGeneration;
  /** Local time since when it has been here. */
  since: number;
}

const LONG_AGO = Number.NEGATIVE_INFINITY;

export class RotatingKeyRing implements KeyRing {
  readonly #runtime: Pick<Runtime, 'now'>;
  readonly #signsAfterMs: number;
  /** Newest first. */
  #known: Known[];
  #byName: Map<string, HeldGeneration>;
  #signing: HeldGeneration;
  /** Local time from which a newer generation signs; infinite while the newest does. */
  #nextAt = Number.POSITIVE_INFINITY;

  constructor(keys: KeySet, { runtime, signsAfterMs, newestSince = LONG_AGO }: RotatingKeyRingOptions) {
    this.#runtime = runtime;
    this.#signsAfterMs = signsAfterMs;
    const held = heldGenerations(keys);
    this.#known = held.map((generation, at) => ({ generation, since: at === 0 ? newestSince : LONG_AGO }));
    this.#byName = byName(held);
    this.#signing = this.#choose();
  }

  /** Name of the generation that signs now. */
  get signs(): string {
    return this.#signer().kid;
  }

  /** Names of all generations, newest first. */
  get verifies(): string[] {
    return this.#known.map(({ generation }) => generation.kid);
  }

  signingKey(use: KeyUse): Key {
    const key = this.#signer().keyFor(use);
    if (key === undefined) throw keyNotHeld(use);
    return key;
  }

  verifyingKey(generation: string, use: KeyUse): Key | undefined {
    return this.#byName.get(generation)?.keyFor(use);
  }

  /** Answers false when nothing changed. Throws as `keyRing` does, and then keeps what it has. */
  replace(keys: KeySet): boolean {
    const before = new Map(this.#known.map((known) => [known.generation.fingerprint, known]));
    const now = this.#runtime.now();
    // A generation that stays keeps the keys that were derived from it.
    const known = heldGenerations(keys).map(
      (generation) => before.get(generation.fingerprint) ?? { generation, since: now },
    );
    const same = known.length === this.#known.length && known.every((one, at) => one === this.#known[at]);
    if (same) return false;
    this.#known = known;
    this.#byName = byName(known.map(({ generation }) => generation));
    this.#signing = this.#choose();
    return true;
  }

  #signer(): HeldGeneration {
    if (this.#nextAt < Number.POSITIVE_INFINITY && this.#runtime.now() >= this.#nextAt) this.#signing = this.#choose();
    return this.#signing;
  }

  #choose(): HeldGeneration {
    const now = this.#runtime.now();
    const settled = this.#known.findIndex(({ since }) => now - since >= this.#signsAfterMs);
    const at = Math.max(0, settled);
    this.#nextAt = Math.min(
      Number.POSITIVE_INFINITY,
      ...this.#known.slice(0, at).map(({ since }) => since + this.#signsAfterMs),
    );
    return this.#known[at]!.generation;
  }
}

function byName(generations: readonly HeldGeneration[]): Map<string, HeldGeneration> {
  return new Map(generations.map((generation) => [generation.kid, generation]));
}
