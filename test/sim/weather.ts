import type { VirtualRuntime } from '../../src/runtime/virtual-runtime.ts';
import type { Chance } from './chance.ts';

/** What becomes of one call of the store. `late`: rejected first, applied afterwards. */
export type Fate = 'served' | 'lost' | 'late' | 'reply-lost' | 'doubled' | 'slow';

export interface Climate {
  lost: number;
  late: number;
  replyLost: number;
  doubled: number;
  slow: number;
  /** Of each envelope that is written: that it vanishes, or a character of it changes. */
  deleted: number;
  tampered: number;
}

export const CALM: Climate = { lost: 0, late: 0, replyLost: 0, doubled: 0, slow: 0, deleted: 0, tampered: 0 };

/** How bad it is differs from seed to seed: a fault that always comes with all others would hide some paths. */
export function climateOf(chance: Chance): Climate {
  const storm = chance.happens(0.15) ? 3 : 1;
  const some = (most: number) => (chance.happens(0.5) ? (storm * most * chance.between(1, 10)) / 10 : 0);
  return {
    lost: some(0.04),
    late: some(0.03),
    replyLost: some(0.04),
    doubled: some(0.04),
    slow: some(0.04),
    deleted: some(0.05),
    tampered: some(0.05),
  };
}

/** The network between processes and store, as it is at the moment. */
export class Weather {
  readonly #chance: Chance;
  readonly #world: VirtualRuntime;
  readonly #partitions = new Map<string, number>();
  #awayUntil = 0;
  climate: Climate;

  constructor(world: VirtualRuntime, chance: Chance, climate: Climate) {
    this.#world = world;
    this.#chance = chance;
    this.climate = climate;
  }

  /** The whole store cannot be reached for so long. */
  takeAway(ms: number): void {
    this.#awayUntil = Math.max(this.#awayUntil, this.#world.now() + ms);
  }

  /** One process cannot reach the store for so long. */
  partition(process: string, ms: number): void {
    this.#partitions.set(process, this.#world.now() + ms);
  }

  becomeCalm(): void {
    this.climate = CALM;
    this.#awayUntil = 0;
    this.#partitions.clear();
  }

  reaches(process: string): boolean {
    const now = this.#world.now();
    return now >= this.#awayUntil && now >= (this.#partitions.get(process) ?? 0);
  }

  fate(): Fate {
    const { lost, late, replyLost, doubled, slow } = this.climate;
    const faults = lost + late + replyLost + doubled + slow;
    if (faults === 0) return 'served';
    const weights = { served: 1 - faults, lost, late, 'reply-lost': replyLost, doubled, slow };
    return this.#chance.weighted(weights);
  }

  /** One way. */
  latency(): number {
    return this.#chance.between(0, 3);
  }

  slowness(): number {
    return this.#chance.between(50, 1_500);
  }

  /** After which a caller gives up on an answer. */
  timeout(): number {
    return this.#chance.between(5, 1_200);
  }

  deletes(): boolean {
    return this.#chance.happens(this.climate.deleted);
  }

  /** The text with one character changed, or null: it stays as it is. */
  tamper(text: string): string | null {
    if (!this.#chance.happens(this.climate.tampered)) return null;
    const at = this.#chance.between(0, text.length - 1);
    return `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`;
  }
}
