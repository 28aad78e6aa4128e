import type { Runtime } from '../../runtime/runtime.ts';
import type { HeldLock, LockPort, Owner } from '../store.ts';
import type { Tell } from './instances.ts';
import type { RisingClock } from './rising-clock.ts';

const VALUE_LENGTH = 26;
const EPOCH_LENGTH = 12;

/**
 * The lock and the epoch of one shard. The lock decides who may try to own it and ends by time; the epoch decides whose
 * commits count and ends only when the next one is claimed, so it protects data even after the lock has run out.
 */
export class Ownership implements LockPort {
  readonly #clock: RisingClock;
  readonly #runtime: Runtime;
  readonly #tell: Tell;
  #lock: { value: string; until: number } | null = null;
  #number = 0;
  #owner: { instance: string; epoch: string } | null = null;

  constructor(clock: RisingClock, runtime: Runtime, tell: Tell) {
    this.#clock = clock;
    this.#tell = tell;
    this.#runtime = runtime;
  }

  isEpoch(epoch: string): boolean {
    return this.#owner?.epoch === epoch;
  }

  /** The lock has to be held: an owner that was stopped for long must not take a shard back from its successor. */
  claim(lockValue: string, instance: string): string | null {
    if (this.#live()?.value !== lockValue) return null;
    this.#number += 1;
    this.#owner = { instance, epoch: `${this.#number}.${this.#runtime.id(EPOCH_LENGTH)}` };
    this.#tell('leader.changed', this.#owner.epoch, instance);
    return this.#owner.epoch;
  }

  /** Of the last epoch. */
  get number(): number {
    return this.#number;
  }

  /** Epochs before were claimed by processes that are gone. */
  countFrom(number: number): void {
    this.#number = number;
  }

  owner(): Owner | null {
    return this.#owner && { ...this.#owner, until: this.#live()?.until ?? null };
  }

  async acquire(ttlMs: number): Promise<HeldLock | null> {
    return this.#live() ? null : this.#hold(this.#runtime.id(VALUE_LENGTH), ttlMs);
  }

  async extend(held: HeldLock, ttlMs: number): Promise<HeldLock | null> {
    return this.#live()?.value === held.value ? this.#hold(held.value, ttlMs) : null;
  }

  async release(held: HeldLock): Promise<void> {
    if (this.#lock?.value === held.value) this.#lock = null;
  }

  #hold(value: string, ttlMs: number): HeldLock {
    this.#lock = { value, until: this.#clock.now() + ttlMs };
    return { value, expiresAt: this.#runtime.now() + ttlMs };
  }

  #live(): { value: string; until: number } | null {
    return this.#lock && this.#lock.until > this.#clock.now() ? this.#lock : null;
  }
}
