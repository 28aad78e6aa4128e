import { capsOf } from '../scheduling/caps.ts';
import { laneOf } from '../scheduling/lane.ts';
import { blockOf } from '../task/id.ts';
import { totalEndsAt, waitEndsAt } from '../task/limits.ts';
import { attemptOf, isActive, isTerminal, type TaskRecord } from '../task/task.ts';
import { heldName, holderOf, type IndexChange } from './store.ts';

/** What of the configuration decides where a record stands in the indexes. All in milliseconds. */
export interface IndexPolicy {
  /** Given to a worker beyond the run timeout before the owner ends the attempt itself. */
  timeoutGraceMs: number;
  /** Completed and cancelled tasks are kept so long after their end. */
  retentionCompletedMs: number;
  retentionFailedMs: number;
  /** Attempts of one tenant at once, in all; null = no limit. */
  tenantConcurrency: number | null;
}

/**
 * Every index entry that `task` must have, and no other. A pure function of the record: commits write the difference
 * between two of its answers, and the reconciler rebuilds any index from it.
 */
export function indexesOf(task: TaskRecord, policy: IndexPolicy): IndexChange[] {
  switch (task.state) {
    case 'scheduled':
      return [
        { do: 'add', index: 'due', member: task.id, score: task.trail.dueAt ?? 0 },
        ...deadlineIndex(task, policy),
      ];
    case 'queued':
      return [{ do: 'add', lane: laneOf(task.spec), score: task.trail.score ?? 0 }, ...deadlineIndex(task, policy)];
    case 'assigned':
    case 'running':
      return activeIndexes(task, policy);
    case 'waiting':
      return deadlineIndex(task, policy);
    default:
      return [{ do: 'min', index: 'expiry', member: blockOf(task.id), score: expiresAt(task, policy) }];
  }
}

function activeIndexes(task: TaskRecord, policy: IndexPolicy): IndexChange[] {
  const attempt = attemptOf(task);
  const member = heldName(task.id, attempt.id);
  return [
    ...deadlineIndex(task, policy),
    { do: 'add', index: `held:${holderOf(attempt.worker, attempt.incarnation)}`, member, score: attempt.assignedAt },
    ...capsOf(task.spec, policy.tenantConcurrency !== null).map((cap): IndexChange => {
      return { do: 'add', index: `cap:${cap}`, member: task.id, score: 0 };
    }),
  ];
}

function deadlineIndex(task: TaskRecord, policy: IndexPolicy): IndexChange[] {
  const score = deadlineOf(task, policy);
  return score === undefined ? [] : [{ do: 'add', index: 'deadline', member: task.id, score }];
}

/**
 * When the owner ends the attempt if the worker has not: from its start, or from its assignment until a start was seen,
 * and no later than the task's own end. A task without an attempt ends when it has waited or lived long enough;
 * undefined = never.
 */
export function deadlineOf(task: TaskRecord, policy: IndexPolicy): number | undefined {
  if (!isActive(task.state)) return isTerminal(task.state) ? undefined : waitEndsAt(task);
  const { attempt } = task.trail;
  const runEndsAt = (attempt?.startedAt ?? attempt?.assignedAt ?? 0) + task.spec.timeoutMs;
  return Math.min(runEndsAt, totalEndsAt(task) ?? runEndsAt) + policy.timeoutGraceMs;
}

export function expiresAt(task: TaskRecord, policy: IndexPolicy): number {
  const kept = task.state === 'failed' ? policy.retentionFailedMs : policy.retentionCompletedMs;
  return (task.trail.endedAt ?? task.spec.createdAt) + kept;
}
