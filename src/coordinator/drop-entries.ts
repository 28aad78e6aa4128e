import { type IndexName, UNITS_MAX, type Unit } from '../store/store.ts';
import type { TaskRecord } from '../task/task.ts';
import type { LeftTask } from './change-tasks.ts';
import { commitOwned, type OwnerContext } from './owner-context.ts';

/**
 * Removes index entries that their record does not stand behind: the record is gone, unreadable, or in another state. The commit
 * expects the version that was read, so an entry that became right in between stays.
 *
 * @param belongs whether the record does stand behind an entry in this index
 */
export async function dropEntries(
  context: OwnerContext,
  index: IndexName,
  entries: readonly (LeftTask & { member?: string })[],
  belongs: (record: TaskRecord) => boolean,
): Promise<void> {
  const stale = entries.filter(({ record }) => record === null || !belongs(record));
  if (stale.length === 0) return;
  const units = stale.map(({ id, stored, member }): Unit => {
    const indexes = [{ do: 'remove' as const, index, member: member ?? id, score: 0 }];
    return { id, expect: stored?.version ?? 0, state: stored?.state ?? 'queued', repair: true, indexes };
  });
  for (let from = 0; from < units.length; from += UNITS_MAX) {
    await commitOwned(context, { units: units.slice(from, from + UNITS_MAX) });
  }
  context.observe({ type: 'records.repaired', shard: context.shard, entries: units.length });
}
