import { ATTEMPTS_PER_HEARTBEAT_MAX } from '../message/bodies.ts';
import type { HeldChange } from './heart.ts';

export interface HeldLists {
  unstarted: string[];
  started: string[];
  done: string[];
}

/** The attempts that a heart vouches for, by shard. */
export class HeldAttempts {
  readonly #shards: Map<string, { stage: keyof HeldLists; endsAt: number }>[];

  constructor(shards: number) {
    this.#shards = Array.from({ length: shards }, () => new Map());
  }

  apply(changes: readonly HeldChange[]): void {
    for (const [shard, held, stage, endsAt = Number.POSITIVE_INFINITY] of changes) {
      if (stage === 'gone') this.#shards[shard]?.delete(held);
      else this.#shards[shard]?.set(held, { stage, endsAt });
    }
  }

  /** A handler that never ends, or that blocks the loop, keeps its attempt no longer than its time and the grace. */
  lists(shard: number, now: number): HeldLists {
    const lists: HeldLists = { unstarted: [], started: [], done: [] };
    for (const [held, { stage, endsAt }] of this.#shards[shard] ?? []) {
      if (stage === 'started' && now >= endsAt) continue;
      if (lists[stage].length < ATTEMPTS_PER_HEARTBEAT_MAX) lists[stage].push(held);
    }
    return lists;
  }

  /**
   * Slots taken by handlers that did not end in their time, on all shards. Nobody lists those attempts any more, so they
   * are told as slots that are missing: else whoever assigns counts on them, and gets everything back, without end.
   */
  overdue(now: number): number {
    let count = 0;
    for (const shard of this.#shards) {
      for (const { stage, endsAt } of shard.values()) if (stage === 'started' && now >= endsAt) count += 1;
    }
    return count;
  }
}
