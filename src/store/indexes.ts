import { laneOf } from '../scheduling/lane.ts';
import { blockOf } from '../task/id.ts';
import { attemptOf, type TaskRecord } from '../task/task.ts';
import { heldName, holderOf, type IndexChange } from './store.ts';

/** What of the configuration decides where a record stands in the indexes. All in milliseconds. */
export interface IndexPolicy {
  /** Given to a worker beyond the run timeout before the owner ends the attempt itself. */
  timeoutGraceMs: number;
  /** Completed and cancelled tasks are kept so long after their end. */
  retentionCompletedMs: number;
  retentionFailedMs: number;
}

/**
 * Every index entry that `task` must have, and no other. A pure function of the record: commits write the difference
 * between two of its answers, and the reconciler rebuilds any index from it.
 */
export function indexesOf(task: TaskRecord, policy: IndexPolicy): IndexChange[] {
  switch (task.state) {
    case 'scheduled':
      return [{ do: 'add', index: 'due', member: task.id, score: task.trail.dueAt ?? 0 }];
    case 'queued':
      return [{ do: 'add', lane: laneOf(task.spec), score: task.trail.score ?? 0 }];
    case 'assigned':
    case 'running':
      return activeIndexes(task, policy);
    case 'waiting':
      return [];
    default:
      return [{ do: 'min', index: 'expiry', member: blockOf(task.id), score: expiresAt(task, policy) }];
  }
}

function activeIndexes(task: TaskRecord, policy: IndexPolicy): IndexChange[] {
  const attempt = attemptOf(task);
  const member = heldName(task.id, attempt.id);
  return [
    { do: 'add', index: 'deadline', member: task.id, score: deadlineOf(task, policy) },
    { do: 'add', index: `held:${holderOf(attempt.worker, attempt.incarnation)}`, member, score: attempt.assignedAt },
  ];
}

/** When the owner ends the attempt if the worker has not: from its start, or from its assignment until a start was seen. */
export function deadlineOf(task: TaskRecord, policy: IndexPolicy): number {
  const { attempt } = task.trail;
  return (attempt?.startedAt ?? attempt?.assignedAt ?? 0) + task.spec.timeoutMs + policy.timeoutGraceMs;
}

export function expiresAt(task: TaskRecord, policy: IndexPolicy): number {
  const kept = task.state === 'failed' ? policy.retentionFailedMs : policy.retentionCompletedMs;
  return (task.trail.endedAt ?? task.spec.createdAt) + kept;
}
