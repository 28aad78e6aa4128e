import { deadlineOf } from '../store/indexes.ts';
import { UNITS_MAX } from '../store/store.ts';
import { totalEndsAt, whyExpired } from '../task/limits.ts';
import { isActive, isTerminal, type TaskRecord } from '../task/task.ts';
import type { Command } from '../task/transition.ts';
import { changeTasks } from './change-tasks.ts';
import { dropEntries } from './drop-entries.ts';
import type { OwnerContext } from './owner-context.ts';
import type { ReportReader } from './report-reader.ts';

const REPORTS_WAIT_MS = 10_000;
const BATCHES_PER_TICK = 20;

/**
 * Ends what has run out of time: attempts whose run timeout is over and whose worker has not said so itself, and tasks
 * that waited or lived longer than they may. Before that, every report that lay in the stream when the deadline was seen
 * has been applied: a result that came in time counts. A task that a distributor has taken and not yet assigned expires
 * too; whichever commit comes first wins by version.
 */
export async function endOverdue(context: OwnerContext, reports: ReportReader): Promise<void> {
  const { store, clock, shard } = context;
  for (let batch = 0; batch < BATCHES_PER_TICK; batch++) {
    const { entries } = await store.range(shard, 'deadline', clock.now(), UNITS_MAX);
    if (entries.length === 0) return;
    const tail = await store.lastEntry(shard, 'reports');
    if (!(await reports.passed(tail.id, REPORTS_WAIT_MS))) return;
    const ids = entries.map(([id]) => id);
    const { left, done } = await changeTasks(context, ids, (task, now) => endOf(task, now, context));
    await dropEntries(context, 'deadline', left, (task) => deadlineOf(task, context.policy) !== undefined);
    if (entries.length < UNITS_MAX || done.length === 0) return;
  }
}

/** Null: its time is not over. */
function endOf(task: TaskRecord, now: number, { policy, runtime }: OwnerContext): Command | null {
  const { attempt } = task.trail;
  if (!attempt || !isActive(task.state)) return expiryOf(task, now);
  if ((deadlineOf(task, policy) ?? 0) > now) return null;
  const timeOut: Command = { type: 'time-out', attemptId: attempt.id, jitter: runtime.random() };
  return (totalEndsAt(task) ?? Number.POSITIVE_INFINITY) <= now ? { ...timeOut, final: true } : timeOut;
}

function expiryOf(task: TaskRecord, now: number): Command | null {
  const message = isTerminal(task.state) ? null : whyExpired(task, now);
  return message === null ? null : { type: 'expire', message };
}
