/**
 * Renews the seals of tasks that can still run when a newer key signs, so that the old one may be taken out of use.
 *
 * The reconciler comes by every record anyway and asks here what to write. The new seal goes over the same text, and only
 * if the old one verifies; so nothing that anyone decides on changes, the record keeps its version, and no commit of
 * another is lost to it. Ended tasks are renewed too where a person may have them run again. What was sealed with a key
 * that is gone already stays as it is: nobody can tell any more whether it is genuine.
 *
 * A whole walk in which nothing older was left is told of once per key: from then on, as far as this shard goes, no task
 * needs the older ones. Another coordinator may sign with the older key a little longer; what it sealed after the walk
 * is renewed by the next, and told of again.
 */
import { checkSeal, seal } from '../message/seal.ts';
import type { TaskRecord } from '../task/task.ts';
import type { OwnerContext } from './owner-context.ts';

export class Resealer {
  readonly #context: Pick<OwnerContext, 'keys' | 'observe' | 'shard'>;
  /** The generation that signed when this walk began; null = no walk yet. */
  #walkedFor: string | null = null;
  #told: string | null = null;
  /** Since the last time it was told. */
  #renewed = 0;
  /** In this walk. */
  #older = 0;
  #unknown = 0;

  constructor(context: Pick<OwnerContext, 'keys' | 'observe' | 'shard'>) {
    this.#context = context;
  }

  beginWalk(): void {
    this.#walkedFor = this.#newest();
    this.#older = 0;
    this.#unknown = 0;
  }

  /** The specification under a new seal, as it is to be stored; undefined = it stays as it is. */
  renew({ state, sealed: { text, seal: standing } }: TaskRecord): string | undefined {
    const { keys } = this.#context;
    if (state === 'completed' || standing.startsWith(`${this.#newest()}.`)) return undefined;
    const verdict = checkSeal(text, standing, keys);
    if (verdict === 'unknown_key') this.#unknown += 1;
    if (verdict !== 'ok') return undefined;
    this.#older += 1;
    return `${seal(text, keys)} ${text}`;
  }

  /** So many of those to be renewed were. */
  renewed(count: number): void {
    this.#renewed += count;
  }

  /** Some records were not looked at: nothing can be said at the end of this walk. */
  breakWalk(): void {
    this.#walkedFor = null;
  }

  endWalk(): void {
    const generation = this.#newest();
    if (this.#older > 0) this.#told = null;
    if (this.#older > 0 || generation !== this.#walkedFor || generation === this.#told) return;
    this.#told = generation;
    const { observe, shard } = this.#context;
    observe({ type: 'seals.current', shard, generation, renewed: this.#renewed, unknown: this.#unknown });
    this.#renewed = 0;
  }

  #newest(): string {
    return this.#context.keys.signingKey('seal').generation;
  }
}
