/*
 * The lock of a shard, by redlock on the one server that holds the shard. Redlock answers every failure with the same
 * error and only tells listeners why; here "another holds it" becomes null, and a lost connection is thrown, for then it
 * is unknown who holds it. No attempt is repeated: whoever elects comes again by itself.
 */
import Redlock, { ExecutionError, Lock, ResourceLockedError } from 'redlock';
import type { Runtime } from '../../runtime/runtime.ts';
import type { HeldLock, LockPort } from '../store.ts';
import type { Argument, Commands } from './connect.ts';

/** Redlock's allowance for clocks that run at different speeds, and for the precision of expiry. */
const DRIFT_FACTOR = 0.01;
const DRIFT_MS = 2;

export interface LockOptions {
  connection: Commands;
  runtime: Runtime;
}

export class RedisLocks {
  readonly #redlock: Redlock;
  readonly #runtime: Runtime;

  constructor({ connection, runtime }: LockOptions) {
    this.#runtime = runtime;
    const client = {
      evalsha: (sha: string, keys: number, args: Argument[]) =>
        connection.call('evalsha', [sha, keys, ...args], tagIn(args)),
      eval: (text: string, keys: number, args: Argument[]) =>
        connection.call('eval', [text, keys, ...args], tagIn(args)),
    };
    // A Redis without memory must still be owned by somebody, or nothing drains it.
    const always = (script: string) => `#!lua flags=allow-oom\n${script}`;
    const scripts = { acquireScript: always, extendScript: always, releaseScript: always };
    this.#redlock = new Redlock([client], { retryCount: 0, driftFactor: DRIFT_FACTOR }, scripts);
  }

  port(key: string): LockPort {
    return {
      acquire: (ttlMs) => this.#hold(ttlMs, () => this.#redlock.acquire([key], ttlMs)),
      extend: (held, ttlMs) => this.#hold(ttlMs, () => this.#redlock.extend(this.#lockOf(key, held), ttlMs)),
      release: async (held) => {
        await orNull(() => this.#redlock.release(this.#lockOf(key, held)));
      },
    };
  }

  /** The time counts from before the request, so a slow answer cannot make the lock longer than the server keeps it. */
  async #hold(ttlMs: number, request: () => Promise<Lock>): Promise<HeldLock | null> {
    const started = this.#runtime.now();
    const lock = await orNull(request);
    return lock && { value: lock.value, expiresAt: started + ttlMs - Math.round(DRIFT_FACTOR * ttlMs) - DRIFT_MS };
  }

  /** Whether it has run out is for the server to say: it knows the value it keeps. */
  #lockOf(key: string, held: HeldLock): Lock {
    return new Lock(this.#redlock, [key], held.value, [], Number.POSITIVE_INFINITY);
  }
}

/** The lock's key, by which the command goes. */
function tagIn([key]: Argument[]): string {
  return String(key);
}

async function orNull<T>(request: () => Promise<T>): Promise<T | null> {
  try {
    return await request();
  } catch (error) {
    if (!(error instanceof ExecutionError)) throw error;
    for (const attempt of error.attempts) {
      for (const reason of (await attempt).votesAgainst.values()) {
        if (!(reason instanceof ResourceLockedError)) throw reason;
      }
    }
    return null;
  }
}
