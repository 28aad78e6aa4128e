import { parseRef } from '../../task/payload.ts';
import type { Commit, KeptResult, Unit } from '../store.ts';
import type { RisingClock } from './rising-clock.ts';

/** Results that workers keep until a commit adopts them or their time is over. */
export class KeptResults {
  readonly #clock: RisingClock;
  /** In order of their end, because all of them are kept for the same time. */
  readonly #texts = new Map<string, { text: string; until: number }>();

  constructor(clock: RisingClock) {
    this.#clock = clock;
  }

  put(kept: KeptResult, text: string, ttlMs: number): void {
    this.#forget();
    this.#keep(nameOf(kept), text, ttlMs);
  }

  renew(kept: KeptResult, ttlMs: number): boolean {
    const text = this.#get(nameOf(kept));
    if (text !== undefined) this.#keep(nameOf(kept), text, ttlMs);
    return text !== undefined;
  }

  has(kept: KeptResult): boolean {
    return this.#get(nameOf(kept)) !== undefined;
  }

  /**
   * The commit with whole texts in place of references, as the records of this store have them. A unit that adopts what is
   * not there stays as it is, to be refused.
   */
  resolve(commit: Commit): Commit {
    if (!commit.units.some(({ large, adopt }) => large || adopt)) return commit;
    return { ...commit, units: commit.units.map((unit) => this.#whole(unit)) };
  }

  delete(kept: KeptResult): void {
    this.#texts.delete(nameOf(kept));
  }

  #whole({ large, ...unit }: Unit): Unit {
    if (unit.remove || unit.repair) return { ...unit, adopt: undefined };
    if (large) Object.assign(unit, large);
    const result = unit.adopt && this.#get(nameOf(unit.adopt));
    const wanted = parseRef(unit.result ?? '')?.bytes;
    return result !== undefined && Buffer.byteLength(result) === wanted ? { ...unit, result } : unit;
  }

  #get(name: string): string | undefined {
    const kept = this.#texts.get(name);
    return kept && kept.until > this.#clock.now() ? kept.text : undefined;
  }

  #keep(name: string, text: string, ttlMs: number): void {
    this.#texts.delete(name);
    this.#texts.set(name, { text, until: this.#clock.now() + ttlMs });
  }

  #forget(): void {
    for (const [name, { until }] of this.#texts) {
      if (until > this.#clock.now()) return;
      this.#texts.delete(name);
    }
  }
}

function nameOf({ holder, attemptId }: KeptResult): string {
  return `${holder}:${attemptId}`;
}
