/*
 * Owns shards one lock each. The lock (redlock on the store's server) only decides who tries; what protects the data is
 * the epoch that the store hands to the holder of the lock and that every owner's commit names. So a holder that was
 * stopped and goes on later does no harm: its first commit is refused, and it lets go.
 *
 * The lock is extended at a third of its life. Its end is counted in local time from before the request, so a slow answer
 * cannot make it longer; past that end the owner stops by itself, whether or not the store can be reached.
 */
import { StoreUnavailableError } from '../errors.ts';
import type { Observe } from '../runtime/observer.ts';
import { pause, type Runtime } from '../runtime/runtime.ts';
import type { HeldLock, LockPort, Store } from '../store/store.ts';

const LOOK_MAX_MS = 400;

export interface ElectorOptions {
  store: Store;
  runtime: Runtime;
  observe: Observe;
  shard: number;
  instance: string;
  leaderTtlMs: number;
  /** Runs the shard's duties until the signal aborts; `lost` is called by whoever learns that the epoch is another's. */
  own: (epoch: string, signal: AbortSignal, lost: () => void) => Promise<void>;
}

export class Elector {
  readonly #options: ElectorOptions;
  readonly #lock: LockPort;
  readonly #stop = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #stepDown: ((why: string) => void) | null = null;
  epoch: string | null = null;
  /** Local time until which the lock is ours; null = it is not. */
  until: number | null = null;

  constructor(options: ElectorOptions) {
    this.#options = options;
    this.#lock = options.store.lock(options.shard);
  }

  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  /** Gives the shard up; another coordinator, or this one again, takes it. */
  stepDown(): void {
    this.#stepDown?.('stepped down');
  }

  async #run(): Promise<void> {
    const { runtime, leaderTtlMs, observe, shard } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const held = await this.#lock.acquire(leaderTtlMs);
        if (held) await this.#lead(held);
      } catch (error) {
        if (!(error instanceof StoreUnavailableError))
          observe({ type: 'fault', where: `elector of shard ${shard}`, error });
      }
      const look = Math.min(LOOK_MAX_MS, leaderTtlMs / 4);
      await pause(runtime, look * (0.75 + runtime.random() / 2), signal);
    }
  }

  async #lead(held: HeldLock): Promise<void> {
    const { store, shard, instance, observe } = this.#options;
    const epoch = await store.claimEpoch(shard, held.value, instance);
    if (epoch === null) return;
    const over = new AbortController();
    let why = 'stopped';
    this.#stepDown = (reason) => {
      why = reason;
      over.abort();
    };
    const signal = AbortSignal.any([over.signal, this.#stop.signal]);
    this.epoch = epoch;
    this.until = held.expiresAt;
    observe({ type: 'leader.became', shard, epoch });
    const duties = this.#options.own(epoch, signal, () => this.#stepDown?.('another owner has the epoch'));
    const last = await this.#keep(held, signal);
    if (!signal.aborted) this.#stepDown('the lock could not be extended');
    await duties;
    this.epoch = null;
    this.until = null;
    this.#stepDown = null;
    observe({ type: 'leader.lost', shard, epoch, why });
    await this.#lock.release(last).catch(() => undefined);
  }

  /** Extends the lock until the signal aborts or its time is over; answers the lock as it was last held. */
  async #keep(first: HeldLock, signal: AbortSignal): Promise<HeldLock> {
    const { runtime, leaderTtlMs } = this.#options;
    let held = first;
    while (!signal.aborted) {
      await pause(runtime, leaderTtlMs / 3, signal);
      if (signal.aborted) break;
      const next = await this.#extend(held);
      if (next === null) break;
      held = next;
      this.until = held.expiresAt;
    }
    return held;
  }

  /** Null: the lock is lost. While the store does not answer it is asked again, until the lock's time is over. */
  async #extend(held: HeldLock): Promise<HeldLock | null> {
    const { runtime, leaderTtlMs } = this.#options;
    for (;;) {
      try {
        return await this.#lock.extend(held, leaderTtlMs);
      } catch (error) {
        if (!(error instanceof StoreUnavailableError)) throw error;
      }
      if (runtime.now() + 100 >= held.expiresAt) return null;
      await pause(runtime, 100, this.#stop.signal);
      if (this.#stop.signal.aborted) return held;
    }
  }
}
