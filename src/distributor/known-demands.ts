import type { TaskKind } from '../scheduling/placement.ts';
import { kindOfDemand } from '../scheduling/plan.ts';

/** Each is asked about in every take, so they are few; no fewer than the lanes of one take, all of which may differ. */
export const DEMANDS_MAX = 1_000;
/** Longer than tasks of one demand are apart while there are any, and short enough that old ones do not add up. */
export const FORGOTTEN_AFTER_MS = 180_000;

/**
 * What lanes were found to require of workers, so that the next take can say how many tasks of each have room now. The
 * store understands none of it. Those met longest ago go first.
 */
export class KnownDemands {
  /** In the order in which they were last met. */
  readonly #known = new Map<string, { kind: TaskKind; metAt: number }>();

  get size(): number {
    return this.#known.size;
  }

  meet(demand: string, now: number): TaskKind {
    const kind = this.#known.get(demand)?.kind ?? kindOfDemand(demand);
    this.#known.delete(demand);
    this.#known.set(demand, { kind, metAt: now });
    this.#forget(now);
    return kind;
  }

  entries(now: number): [string, TaskKind][] {
    this.#forget(now);
    return [...this.#known].map(([demand, { kind }]) => [demand, kind]);
  }

  #forget(now: number): void {
    for (const [demand, { metAt }] of this.#known) {
      if (this.#known.size <= DEMANDS_MAX && now - metAt <= FORGOTTEN_AFTER_MS) return;
      this.#known.delete(demand);
    }
  }
}
