import { removalOf } from '../store/commit.ts';
import { expiresAt } from '../store/indexes.ts';
import type { IndexChange, Unit } from '../store/store.ts';
import { isTerminal, type TaskRecord } from '../task/task.ts';
import { decodeReadable } from './decode-readable.ts';
import { commitOwned, type OwnerContext } from './owner-context.ts';

const BLOCKS_PER_TICK = 50;
/** On their way together: one after another they would fall behind what a busy store is given. */
export const BLOCKS_AT_ONCE = 10;

/** Deletes ended tasks by age. Walks blocks by the earliest time something in them expires; answers how many tasks went. */
export async function prune(context: OwnerContext): Promise<number> {
  const { store, shard, clock } = context;
  const { entries } = await store.range(shard, 'expiry', clock.now(), BLOCKS_PER_TICK);
  const hasExpired = (task: TaskRecord, now: number) => expiresAt(task, context.policy) <= now;
  let pruned = 0;
  for (let from = 0; from < entries.length; from += BLOCKS_AT_ONCE) {
    const some = entries.slice(from, from + BLOCKS_AT_ONCE);
    const counts = await Promise.all(some.map(([block]) => pruneBlock(context, block, hasExpired)));
    pruned += counts.reduce((sum, count) => sum + count, 0);
  }
  if (pruned > 0) context.observe({ type: 'records.pruned', shard, tasks: pruned });
  return pruned;
}

/** Takes the ended tasks of a block that are to go out of the store, and answers how many went. */
export async function pruneBlock(
  context: OwnerContext,
  block: string,
  isToGo: (ended: TaskRecord, now: number) => boolean,
): Promise<number> {
  const { store, shard, clock, policy } = context;
  const tasks = (await store.readBlock(shard, block)).flatMap((stored) => decodeReadable(context, stored) ?? []);
  const now = clock.now();
  const ended = tasks.filter((task) => isTerminal(task.state));
  const going = ended.filter((task) => isToGo(task, now));
  const kept = ended.filter((task) => !isToGo(task, now));
  const entry = nextExpiry(block, kept, context);
  // The entry moves first, under a record that stays or goes with it; a task that ends meanwhile lowers it again.
  const units = [...entryUnits(block, tasks, entry), ...going.map((task) => removalOf(task, policy))];
  const reply = await commitOwned(context, { units });
  return reply.units.slice(units.length - going.length).filter((outcome) => outcome.ok).length;
}

function nextExpiry(block: string, kept: TaskRecord[], { policy }: OwnerContext): IndexChange[] {
  const changes: IndexChange[] = [{ do: 'remove', index: 'expiry', member: block, score: 0 }];
  if (kept.length === 0) return changes;
  const score = Math.min(...kept.map((task) => expiresAt(task, policy)));
  return [...changes, { do: 'min', index: 'expiry', member: block, score }];
}

function entryUnits(block: string, tasks: TaskRecord[], indexes: IndexChange[]): Unit[] {
  const [task] = tasks;
  if (task) return [{ id: task.id, expect: task.version, state: task.state, repair: true, indexes }];
  return [{ id: `${block}0000000000`, expect: 0, state: 'queued', repair: true, indexes }];
}
