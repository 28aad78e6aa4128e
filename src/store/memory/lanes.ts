import { isUrgentLane } from '../../scheduling/lane.ts';
import type { LaneRank, QueueDepth } from '../store.ts';
import { type Entry, SortedSet } from './sorted-set.ts';

/**
 * The waiting tasks of one shard. `heads` holds every lane with tasks under the place of its first one and gives order
 * across lanes. Where `take` does not look, stand in their stead: in `parked` the lanes of a paused agent, in `capped`
 * those that wait for a place in a cap that is full.
 */
export class Lanes {
  readonly #lanes = new Map<string, SortedSet>();
  readonly #heads = new SortedSet();
  readonly #parked = new SortedSet();
  readonly #capped = new SortedSet();
  readonly #paused = new Set<string>();
  /** Which cap a lane waits for, and the lanes of each such cap by their heads. */
  readonly #waitsAt = new Map<string, string>();
  readonly #waiting = new Map<string, SortedSet>();
  /** Lanes that lost their last task while they were waiting: they may have a new one before the call is over. */
  readonly #emptied = new Set<string>();

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

  names(): string[] {
    return [...this.#lanes.keys()];
  }

  /** The tasks of a lane in order. Whoever takes some out calls `settle` when done. */
  tasks(lane: string): SortedSet | undefined {
    return this.#lanes.get(lane);
  }

  /** Puts the lane where its first task belongs now; a lane without tasks vanishes. */
  settle(lane: string): void {
    const first = this.#lanes.get(lane)?.first();
    const place = this.#placeOf(lane);
    const cap = this.#waitsAt.get(lane);
    for (const other of [this.#heads, this.#parked, this.#capped]) if (other !== place || !first) other.delete(lane);
    if (cap !== undefined && (place !== this.#capped || !first)) this.#leaveQueue(lane, cap);
    if (first) {
      place.set(lane, first.score);
      if (place === this.#capped) this.#queueOf(cap!).set(lane, first.score);
      else this.#waitsAt.delete(lane);
      return;
    }
    this.#lanes.delete(lane);
    if (cap !== undefined) this.#emptied.add(lane);
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

  /** Null: the task does not stand in this lane. */
  place(lane: string, id: string, others: string[]): LaneRank | null {
    const tasks = this.#lanes.get(lane);
    const score = tasks?.score(id);
    if (!tasks || score === undefined) return null;
    const before = others.map((other) => this.#lanes.get(other)?.countBefore({ member: '', score }) ?? 0);
    return { rank: tasks.countBefore({ member: id, score }), length: tasks.size, before };
  }

  // Lanes that wait at caps

  /** Takes the lane out of sight until a place of this cap is free. */
  letWait(lane: string, cap: string): void {
    this.#waitsAt.set(lane, cap);
    this.settle(lane);
    this.forgetEmptied();
  }

  waitsAt(lane: string): string | undefined {
    return this.#waitsAt.get(lane);
  }

  /** How many lanes wait at this cap. */
  waitingAt(cap: string): number {
    return this.#waiting.get(cap)?.size ?? 0;
  }

  /** Lanes that wait at any cap, best head first. */
  waiting(limit: number): string[] {
    return this.#capped.ascending(null, limit).map(({ member }) => member);
  }

  capsWaitedAt(): string[] {
    return [...this.#waiting.keys()];
  }

  /** The best lanes that wait at this cap are looked at again. */
  putBack(cap: string, count: number): void {
    if (count <= 0) return;
    for (const { member: lane } of this.#waiting.get(cap)?.ascending(null, count) ?? []) {
      this.#leaveQueue(lane, cap);
      this.#waitsAt.delete(lane);
      this.settle(lane);
    }
  }

  /** To be called at the end of a call that changed lanes. */
  forgetEmptied(): void {
    for (const lane of this.#emptied) if (!this.#lanes.has(lane)) this.#waitsAt.delete(lane);
    this.#emptied.clear();
  }

  /** Lanes with tasks, best head first; then those that wait at caps, those of paused agents last. */
  depths(limit: number): QueueDepth[] {
    const found: Entry[] = [];
    for (const place of [this.#heads, this.#capped, this.#parked]) {
      found.push(...place.ascending(null, limit - found.length));
    }
    return found.map((head) => this.#depth(head));
  }

  #depth({ member: lane, score }: Entry): QueueDepth {
    const length = this.#lanes.get(lane)!.size;
    const depth: QueueDepth = { lane, length, score, paused: this.#paused.has(agentOfLane(lane)) };
    const cap = this.#waitsAt.get(lane);
    if (cap !== undefined) depth.capped = cap;
    return depth;
  }

  #placeOf(lane: string): SortedSet {
    if (this.#paused.has(agentOfLane(lane))) return this.#parked;
    return this.#waitsAt.has(lane) ? this.#capped : this.#heads;
  }

  #queueOf(cap: string): SortedSet {
    const queue = this.#waiting.get(cap) ?? new SortedSet();
    this.#waiting.set(cap, queue);
    return queue;
  }

  #leaveQueue(lane: string, cap: string): void {
    const queue = this.#waiting.get(cap);
    queue?.delete(lane);
    if (queue?.size === 0) this.#waiting.delete(cap);
  }
}

/** The text between the mark of urgent lanes and the first `|`. */
export function agentOfLane(lane: string): string {
  const start = isUrgentLane(lane) ? 1 : 0;
  const end = lane.indexOf('|', start);
  return end < 0 ? lane.slice(start) : lane.slice(start, end);
}
