import { repairOf, resealOf } from '../store/commit.ts';
import { expiresAt } from '../store/indexes.ts';
import type { Unit } from '../store/store.ts';
import { isTerminal, type TaskRecord } from '../task/task.ts';
import { decodeReadable } from './decode-readable.ts';
import { commitOwned, type OwnerContext } from './owner-context.ts';
import { Resealer } from './resealer.ts';

const BLOCKS_PER_TICK = 10;
const SCANS_PER_TICK = 10;
/** Rest between two walks over everything. */
const REST_MS = 5_000;

/**
 * Walks all records, a slice per tick, and puts back the index entries that are missing. Records are the truth: whatever
 * index was lost is rebuilt from them. It needs no index itself, and takes nothing away; entries without a record are
 * dropped by the duty that meets them. On the way old seals are renewed, which is the resealer's business.
 */
export class Reconciler {
  readonly #context: OwnerContext;
  readonly #resealer: Resealer;
  #cursor: string | null = null;
  #found: string[] = [];
  #restUntil = 0;
  /** The scan is over; what it found is still being worked off. */
  #walked = false;

  constructor(context: OwnerContext) {
    this.#context = context;
    this.#resealer = new Resealer(context);
  }

  /** Answers how many entries were put back. */
  async tick(): Promise<number> {
    const { runtime, shard } = this.#context;
    if (runtime.now() < this.#restUntil) return 0;
    if (!this.#walked) await this.#scan();
    let repaired = 0;
    try {
      for (const block of this.#found.splice(0, BLOCKS_PER_TICK)) repaired += await this.#repair(block);
    } catch (error) {
      this.#resealer.breakWalk();
      throw error;
    }
    if (this.#walked && this.#found.length === 0) {
      this.#walked = false;
      this.#resealer.endWalk();
      this.#restUntil = runtime.now() + REST_MS;
    }
    if (repaired > 0) this.#context.observe({ type: 'records.repaired', shard, entries: repaired });
    return repaired;
  }

  async #scan(): Promise<void> {
    const { store, shard } = this.#context;
    if (this.#cursor === null && this.#found.length === 0) this.#resealer.beginWalk();
    for (let scans = 0; this.#found.length < BLOCKS_PER_TICK && scans < SCANS_PER_TICK && !this.#walked; scans++) {
      const { next, blocks } = await store.scanBlocks(shard, this.#cursor);
      this.#found.push(...blocks);
      this.#cursor = next;
      this.#walked = next === null;
    }
  }

  async #repair(block: string): Promise<number> {
    const { store, shard, policy } = this.#context;
    const stored = await store.readBlock(shard, block);
    const tasks = stored.flatMap((one) => decodeReadable(this.#context, one) ?? []);
    const units = tasks.filter((task) => !isTerminal(task.state)).map((task) => repairOf(task, policy));
    // The ended tasks of a block share one entry, under the one that expires first.
    const ended = tasks.filter((task) => isTerminal(task.state));
    ended.sort((a, b) => expiresAt(a, policy) - expiresAt(b, policy));
    if (ended[0]) units.push(repairOf(ended[0], policy));
    units.push(...this.#reseals(tasks));
    if (units.length === 0) return 0;
    const reply = await commitOwned(this.#context, { units });
    const isRenewed = (unit: Unit, at: number) => unit.reseal !== undefined && reply.units[at]?.ok;
    this.#resealer.renewed(units.filter(isRenewed).length);
    return reply.units.reduce((sum, outcome) => sum + (outcome.ok ? (outcome.repaired ?? 0) : 0), 0);
  }

  #reseals(tasks: TaskRecord[]): Unit[] {
    return tasks.flatMap((task) => {
      const reseal = this.#resealer.renew(task);
      return reseal === undefined ? [] : [resealOf(task, reseal)];
    });
  }
}
