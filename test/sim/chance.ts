import { seededRandom } from '../../src/runtime/virtual-runtime.ts';

/** Decisions of a simulation: the same seed and purpose decide alike in every run, whatever other purposes draw. */
export class Chance {
  readonly #random: () => number;

  constructor(seed: number, purpose: string) {
    let mixed = seed >>> 0;
    for (const char of purpose) mixed = (Math.imul(mixed, 31) + char.charCodeAt(0)) >>> 0;
    this.#random = seededRandom(mixed);
  }

  happens(probability: number): boolean {
    return this.#random() < probability;
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.#random() * (high - low + 1));
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)]!;
  }

  /** One of the names, each as likely as its weight. */
  weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name {
    const entries = Object.entries(weights) as [Name, number][];
    let left = this.#random() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [name, weight] of entries) {
      left -= weight;
      if (left < 0) return name;
    }
    return entries.at(-1)![0];
  }
}
