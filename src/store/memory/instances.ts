import type { InstanceRecord, RegisteredInstance, Registration, RegistrationReply } from '../store.ts';
import type { RisingClock } from './rising-clock.ts';

/** Puts what happened to the system into the event stream: what, whose name, and a text about it. */
export type Tell = (what: string, name: string, text: string) => void;

interface Entry {
  /** Kept as text, so that nobody outside can change what stands here. */
  text: string;
  incarnation: string;
  seenAt: number;
}

/** The registry of instances: one entry per id, held by one incarnation as long as it renews it. */
export class Instances {
  readonly #clock: RisingClock;
  readonly #tell: Tell;
  readonly #entries = new Map<string, Entry>();
  #lastIncarnation = 0;

  constructor(clock: RisingClock, tell: Tell) {
    this.#clock = clock;
    this.#tell = tell;
  }

  register({ instance, nonce, ttlMs, takeOver }: Registration): RegistrationReply {
    const now = this.#clock.now();
    const entry = this.#entries.get(instance.id);
    if (entry?.incarnation.endsWith(`-${nonce}`)) return { ok: true, now, instance: this.#renew(entry, now) };
    if (entry && now - entry.seenAt < ttlMs && entry.incarnation !== takeOver) {
      return { ok: false, now, holder: registered(entry) };
    }
    const incarnation = this.#nextIncarnation(nonce, now);
    const text = JSON.stringify({ ...instance, incarnation, startedAt: now });
    this.#entries.set(instance.id, { text, incarnation, seenAt: now });
    this.#tell('instance.registered', instance.id, text);
    return { ok: true, now, instance: parsed(text) };
  }

  touch(id: string, incarnation: string, facts: Record<string, unknown>): { now: number; ok: boolean } {
    const now = this.#clock.now();
    const entry = this.#entries.get(id);
    if (entry?.incarnation !== incarnation) return { now, ok: false };
    entry.text = JSON.stringify({ ...parsed(entry.text), facts });
    entry.seenAt = now;
    return { now, ok: true };
  }

  deregister(id: string, incarnation: string): void {
    const entry = this.#entries.get(id);
    if (entry?.incarnation !== incarnation) return;
    this.#entries.delete(id);
    this.#tell('instance.deregistered', id, entry.text);
  }

  all(): { now: number; instances: RegisteredInstance[] } {
    const ids = [...this.#entries.keys()].sort();
    return { now: this.#clock.now(), instances: ids.map((id) => registered(this.#entries.get(id)!)) };
  }

  /** The registration is repeated because its answer was lost. */
  #renew(entry: Entry, now: number): InstanceRecord {
    entry.seenAt = now;
    return parsed(entry.text);
  }

  /** Two incarnations of the same millisecond still have an earlier and a later one. */
  #nextIncarnation(nonce: string, now: number): string {
    this.#lastIncarnation = Math.max(now, this.#lastIncarnation + 1);
    return `${this.#lastIncarnation}-${nonce}`;
  }
}

function registered(entry: Entry): RegisteredInstance {
  return { ...parsed(entry.text), seenAt: entry.seenAt };
}

function parsed(text: string): InstanceRecord {
  return JSON.parse(text) as InstanceRecord;
}
