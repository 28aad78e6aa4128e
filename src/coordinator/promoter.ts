import { scoreOf } from '../scheduling/order.ts';
import { UNITS_MAX } from '../store/store.ts';
import { changeTasks } from './change-tasks.ts';
import { dropEntries } from './drop-entries.ts';
import type { OwnerContext } from './owner-context.ts';

const BATCHES_PER_TICK = 20;

/** Queues the scheduled tasks that have become due: delayed ones, and those that waited for their next attempt. */
export async function promote(context: OwnerContext): Promise<void> {
  const { store, clock, shard, policy } = context;
  for (let batch = 0; batch < BATCHES_PER_TICK; batch++) {
    const { entries } = await store.range(shard, 'due', clock.now(), UNITS_MAX);
    if (entries.length === 0) return;
    const ids = entries.map(([id]) => id);
    const { left } = await changeTasks(context, ids, (task, now) => {
      if (task.state !== 'scheduled' || (task.trail.dueAt ?? 0) > now) return null;
      return {
        type: 'promote',
        score: scoreOf({ priority: task.spec.priority, queuedAt: now }, policy.priorityAgeing),
      };
    });
    await dropEntries(context, 'due', left, (task) => task.state === 'scheduled');
    if (entries.length < UNITS_MAX) return;
  }
}
