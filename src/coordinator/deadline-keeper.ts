import { deadlineOf } from '../store/indexes.ts';
import { UNITS_MAX } from '../store/store.ts';
import { isActive } from '../task/task.ts';
import { changeTasks } from './change-tasks.ts';
import { dropEntries } from './drop-entries.ts';
import type { OwnerContext } from './owner-context.ts';
import type { ReportReader } from './report-reader.ts';

const REPORTS_WAIT_MS = 10_000;

/**
 * Ends attempts whose run timeout is over and whose worker has not said so itself. Before that, every report that lay in
 * the stream when the deadline was seen has been applied: a result that came in time counts.
 */
export async function endOverdue(context: OwnerContext, reports: ReportReader): Promise<void> {
  const { store, clock, shard, runtime, policy } = context;
  const { entries } = await store.range(shard, 'deadline', clock.now(), UNITS_MAX);
  if (entries.length === 0) return;
  const tail = await store.lastEntry(shard, 'reports');
  if (!(await reports.passed(tail.id, REPORTS_WAIT_MS))) return;
  const ids = entries.map(([id]) => id);
  const { left } = await changeTasks(context, ids, (task, now) => {
    const { attempt } = task.trail;
    if (!attempt || !isActive(task.state) || deadlineOf(task, policy) > now) return null;
    return { type: 'time-out', attemptId: attempt.id, jitter: runtime.random() };
  });
  await dropEntries(context, 'deadline', left, (task) => isActive(task.state));
}
