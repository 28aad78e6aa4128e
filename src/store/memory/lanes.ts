import { isUrgentLane } from '../../scheduling/lane.ts';
import type { QueueDepth } from '../store.ts';
import { type Entry, SortedSet } from './sorted-set.ts';

/**
 * The waiting tasks of one shard. `heads` holds every lane with tasks under the place of its first one and gives order
 * across lanes; the lanes of a paused agent stand in `parked` instead, where `take` does not look.
 */
export class Lanes {
  readonly #lanes = new Map<string, SortedSet>();
  readonly #heads = new SortedSet();
  readonly #parked = new SortedSet();
  readonly #paused = new Set<string>();

  has(lane: string, id: string): boolean {
    return this.#lanes.get(lane)?.has(id) ?? false;
  }

  /** False when the task stood at this score already. */
  add(lane: string, id: string, score: number): boolean {
    const tasks = this.#lanes.get(lane) ?? new SortedSet();
    this.#lanes.set(lane, tasks);
    const changed = tasks.set(id, score);
    if (changed) this.settle(lane);
    return changed;
  }

  remove(lane: string, id: string): boolean {
    const removed = this.#lanes.get(lane)?.delete(id) ?? false;
    if (removed) this.settle(lane);
    return removed;
  }

  /** The tasks of a lane in order. Whoever takes some out calls `settle` when done. */
  tasks(lane: string): SortedSet | undefined {
    return this.#lanes.get(lane);
  }

  /** Puts the lane where its first task belongs now; a lane without tasks vanishes. */
  settle(lane: string): void {
    const first = this.#lanes.get(lane)?.first();
    const [here, other] = this.#paused.has(agentOfLane(lane))
      ? [this.#parked, this.#heads]
      : [this.#heads, this.#parked];
    other.delete(lane);
    if (first) here.set(lane, first.score);
    else {
      here.delete(lane);
      this.#lanes.delete(lane);
    }
  }

  heads(after: Entry | null, limit: number): Entry[] {
    return this.#heads.ascending(after, limit);
  }

  setPaused(agent: string, paused: boolean): void {
    if (paused) this.#paused.add(agent);
    else this.#paused.delete(agent);
    for (const lane of this.#lanes.keys()) if (agentOfLane(lane) === agent) this.settle(lane);
  }

  paused(): string[] {
    return [...this.#paused].sort();
  }

  /** Lanes with tasks, best head first, those of paused agents last. */
  depths(limit: number): QueueDepth[] {
    const open = this.#heads.ascending(null, limit);
    const parked = this.#parked.ascending(null, limit - open.length);
    return [...open.map((head) => this.#depth(head, false)), ...parked.map((head) => this.#depth(head, true))];
  }

  #depth(head: Entry, paused: boolean): QueueDepth {
    return { lane: head.member, length: this.#lanes.get(head.member)!.size, score: head.score, paused };
  }
}

/** The text between the mark of urgent lanes and the first `|`. */
export function agentOfLane(lane: string): string {
  const start = isUrgentLane(lane) ? 1 : 0;
  const end = lane.indexOf('|', start);
  return end < 0 ? lane.slice(start) : lane.slice(start, end);
}
