/*
 * Retention by bytes: what ended longest ago goes when ended tasks take more memory than they may, whatever their age.
 *
 * The store is asked for the size of whole blocks, newest first, until the bound is reached; from all older blocks the
 * ended tasks are pruned, and live ones never. Only blocks with something ended in them count (they are those with an
 * entry in `expiry`): a long queue of waiting tasks must not drive out every result. A block that holds both counts whole.
 *
 * A block changes little once its tasks have ended, so its size is remembered until a task of it is committed here; what
 * other coordinators may do to it (a cancel) changes its size by next to nothing. Without change a walk over a million
 * small tasks (10,000 blocks, 1.2 GB) is 40 reads of names, about 60 ms in all, and no measuring. The first one after
 * the shard changed hands measures them: 100 calls of 3 to 5 ms each.
 */
import { blockCreatedAt, blockOf } from '../task/id.ts';
import { isTerminal, type TaskRecord } from '../task/task.ts';
import type { OwnerContext } from './owner-context.ts';
import { BLOCKS_AT_ONCE, pruneBlock } from './pruner.ts';

const BLOCKS_PER_PAGE = 500;
const BLOCKS_PER_QUESTION = 100;
/** Two million tasks; the rest goes at the next cleanup. */
const BLOCKS_PER_TICK = 20_000;
/** Whoever waits for a task hears of its end and then reads it: that is left time for. */
const SPARED_MS = 5_000;
/** Younger blocks may still be filled by other coordinators. */
const YOUNG_MS = 60_000;

export class ByteRetention {
  readonly #context: OwnerContext;
  /** Bytes of blocks that have not changed since they were measured. */
  readonly #sizes = new Map<string, number>();
  /** Blocks whose size is being asked for, as long as nothing of them was committed meanwhile. */
  readonly #asked = new Set<string>();

  constructor(context: OwnerContext) {
    this.#context = context;
  }

  /** A task was committed here: its block has another size now. */
  touched(id: string): void {
    const block = blockOf(id);
    this.#sizes.delete(block);
    this.#asked.delete(block);
  }

  /** Answers how many tasks went. */
  async tick(): Promise<number> {
    const { policy, shard, observe } = this.#context;
    if (policy.retentionBytes === 'off') return 0;
    const beyond = await this.#beyond(policy.retentionBytes / policy.shards);
    let pruned = 0;
    // The oldest are last.
    for (let to = beyond.length; to > 0; to -= BLOCKS_AT_ONCE) {
      const some = beyond.slice(Math.max(0, to - BLOCKS_AT_ONCE), to);
      const counts = await Promise.all(some.map((block) => pruneBlock(this.#context, block, hasRested)));
      pruned += counts.reduce((sum, count) => sum + count, 0);
    }
    if (pruned > 0) observe({ type: 'records.pruned', shard, tasks: pruned });
    return pruned;
  }

  /** Blocks with ended tasks that lie beyond the bound, newest first. The newest of all is kept, however large. */
  async #beyond(bound: number): Promise<string[]> {
    const beyond: string[] = [];
    const kept = new Set<string>();
    let total = 0;
    for await (const blocks of this.#pages()) {
      const sizes = total > bound ? [] : await this.#measure(blocks);
      for (const [i, block] of blocks.entries()) {
        total += total > bound ? 0 : (sizes[i] ?? 0);
        if (total <= bound || kept.size === 0) kept.add(block);
        else beyond.push(block);
      }
      if (beyond.length >= BLOCKS_PER_TICK) break;
    }
    for (const block of this.#sizes.keys()) if (!kept.has(block)) this.#sizes.delete(block);
    return beyond;
  }

  /** All blocks with something ended in them, newest first. */
  async *#pages(): AsyncGenerator<string[]> {
    const { store, shard } = this.#context;
    let before: string | null = null;
    for (;;) {
      const blocks: string[] = await store.blocks(shard, before, BLOCKS_PER_PAGE);
      before = blocks.at(-1) ?? null;
      if (before === null) return;
      const ended = await store.contains(shard, 'expiry', blocks);
      yield blocks.filter((_, i) => ended[i]);
    }
  }

  async #measure(blocks: readonly string[]): Promise<number[]> {
    const { store, shard, clock } = this.#context;
    const unknown = blocks.filter((block) => !this.#sizes.has(block));
    const found = new Map<string, number>();
    for (let from = 0; from < unknown.length; from += BLOCKS_PER_QUESTION) {
      const some = unknown.slice(from, from + BLOCKS_PER_QUESTION);
      for (const block of some) if (clock.now() - blockCreatedAt(block) >= YOUNG_MS) this.#asked.add(block);
      const sizes = await store.blockSizes(shard, some);
      for (const [i, block] of some.entries()) {
        found.set(block, sizes[i] ?? 0);
        if (this.#asked.delete(block)) this.#sizes.set(block, sizes[i] ?? 0);
      }
    }
    return blocks.map((block) => found.get(block) ?? this.#sizes.get(block) ?? 0);
  }
}

function hasRested(task: TaskRecord, now: number): boolean {
  return isTerminal(task.state) && (task.trail.endedAt ?? 0) + SPARED_MS <= now;
}
