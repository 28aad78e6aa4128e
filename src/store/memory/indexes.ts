import type { IndexChange, IndexName } from '../store.ts';
import { SortedSet } from './sorted-set.ts';

type NamedChange = Extract<IndexChange, { index: IndexName }>;

const HELD = 'held:';

/** The named indexes of one shard. Which of them exist is nobody's business: an empty one reads like none. */
export class Indexes {
  readonly #sets = new Map<IndexName, SortedSet>();
  readonly #holders = new Set<string>();

  get(index: IndexName): SortedSet | undefined {
    return this.#sets.get(index);
  }

  /** Answers whether anything changed. */
  apply(change: NamedChange): boolean {
    const { index, member, score } = change;
    if (change.do === 'remove') return this.#sets.get(index)?.delete(member) ?? false;
    if (change.do === 'min' && (this.#sets.get(index)?.score(member) ?? Number.POSITIVE_INFINITY) <= score)
      return false;
    return this.#forWriting(index).set(member, score);
  }

  has(index: IndexName, member: string): boolean {
    return this.#sets.get(index)?.has(member) ?? false;
  }

  names(): IndexName[] {
    return [...this.#sets.keys()];
  }

  knowHolder(holder: string): void {
    this.#holders.add(holder);
  }

  holders(): string[] {
    return [...this.#holders].sort();
  }

  holdsSomething(holder: string): boolean {
    return (this.#sets.get(`${HELD}${holder}`)?.size ?? 0) > 0;
  }

  forgetHolder(holder: string): void {
    this.#holders.delete(holder);
    this.#sets.delete(`${HELD}${holder}`);
  }

  #forWriting(index: IndexName): SortedSet {
    const found = this.#sets.get(index);
    if (found) return found;
    const set = new SortedSet();
    this.#sets.set(index, set);
    if (index.startsWith(HELD)) this.#holders.add(index.slice(HELD.length));
    return set;
  }
}
