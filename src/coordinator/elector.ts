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
const EXTEND_AGAIN_MS = 100;

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
  /** Tries in a row that did not get the lock, and for which of the two causes. */
  #vain: { reason: boolean; since: number; tried: number; told: boolean } | null = null;
  /** Local time. */
  #standsFrom = Number.NEGATIVE_INFINITY;
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

  /** Gives the shard up, and stands for it again after `restMs`: by then another coordinator has it, if there is one. */
  stepDown(restMs = 0): void {
    this.#standsFrom = this.#options.runtime.now() + restMs;
    this.#stepDown?.('stepped down');
  }

  async #run(): Promise<void> {
    const { runtime, leaderTtlMs, observe, shard } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await pause(runtime, Math.max(0, this.#standsFrom - runtime.now()), signal);
      if (signal.aborted) return;
      try {
        const held = await this.#lock.acquire(leaderTtlMs);
        if (held) await this.#lead(held);
        else this.#inVain(null);
      } catch (error) {
        if (error instanceof StoreUnavailableError) this.#inVain(error.message);
        else observe({ type: 'fault', where: `elector of shard ${shard}`, error });
      }
      const look = Math.min(LOOK_MAX_MS, leaderTtlMs / 4);
      await pause(runtime, look * (0.75 + runtime.random() / 2), signal);
    }
  }

  /**
   * Tells of a try that did not get the lock. That another one holds it is due once, when it has outlasted a whole lease;
   * that the store does not answer is due at once.
   *
   * @param reason null = another holds it
   */
  #inVain(reason: string | null): void {
    const { observe, runtime, shard, leaderTtlMs } = this.#options;
    const isSameRow = this.#vain !== null && this.#vain.reason === (reason !== null);
    if (!isSameRow) this.#vain = { reason: reason !== null, since: runtime.now(), tried: 0, told: false };
    const vain = this.#vain!;
    vain.tried += 1;
    const waitedMs = runtime.now() - vain.since;
    const due = !vain.told && (reason !== null || waitedMs >= leaderTtlMs);
    vain.told ||= due;
    const why = reason === null ? {} : { reason };
    observe({ type: 'leader.waiting', shard, tried: vain.tried, waitedMs, due, ...why });
  }

  /** Whatever happens in here, the lock is given back: until it ends by itself nobody else could take the shard. */
  async #lead(held: HeldLock): Promise<void> {
    const { store, shard, instance } = this.#options;
    this.#vain = null;
    try {
      const epoch = await store.claimEpoch(shard, held.value, instance);
      if (epoch !== null) await this.#serve(epoch, held);
    } finally {
      await this.#lock.release(held).catch(() => undefined);
    }
  }

  /** Runs the duties as long as the lock is ours; returns when they have ended. */
  async #serve(epoch: string, held: HeldLock): Promise<void> {
    const { shard, observe, own } = this.#options;
    const over = new AbortController();
    let why = 'stopped';
    const stepDown = (reason: string) => {
      if (over.signal.aborted) return;
      why = reason;
      over.abort();
    };
    const signal = AbortSignal.any([over.signal, this.#stop.signal]);
    this.#stepDown = stepDown;
    this.epoch = epoch;
    this.until = held.expiresAt;
    observe({ type: 'leader.became', shard, epoch });
    const duties = own(epoch, signal, () => stepDown('another owner has the epoch')).finally(() => this.#forget());
    try {
      await this.#keep(held, signal, stepDown);
    } finally {
      if (!signal.aborted) stepDown('the lock could not be extended');
      await duties;
      observe({ type: 'leader.lost', shard, epoch, why });
    }
  }

  #forget(): void {
    this.epoch = null;
    this.until = null;
    this.#stepDown = null;
  }

  /** Extends the lock until the signal aborts, it is lost, or its time is over, also while an answer is awaited. */
  async #keep(first: HeldLock, signal: AbortSignal, stepDown: (why: string) => void): Promise<void> {
    const { runtime, leaderTtlMs, observe, shard } = this.#options;
    for (let held: HeldLock | null = first; held !== null && !signal.aborted; ) {
      const left = held.expiresAt - runtime.now();
      const cancel = runtime.after(left, () => stepDown('the time of its lock ran out'));
      this.until = held.expiresAt;
      try {
        await pause(runtime, leaderTtlMs / 3, signal);
        held = signal.aborted ? null : await this.#extend(held, signal);
        if (held) observe({ type: 'leader.renewed', shard, forMs: held.expiresAt - runtime.now() });
      } finally {
        cancel();
      }
    }
  }

  /** Null: the lock is lost. While the store does not answer it is asked again, until the lock's time is over. */
  async #extend(held: HeldLock, signal: AbortSignal): Promise<HeldLock | null> {
    const { runtime, leaderTtlMs } = this.#options;
    for (let tried = 1; !signal.aborted; tried++) {
      try {
        return await this.#lock.extend(held, leaderTtlMs);
      } catch (error) {
        if (!(error instanceof StoreUnavailableError)) throw error;
        error.onRetry?.(tried, EXTEND_AGAIN_MS);
      }
      await pause(runtime, EXTEND_AGAIN_MS, signal);
    }
    return null;
  }
}
