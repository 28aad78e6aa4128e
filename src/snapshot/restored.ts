import type { StoredTask } from '../task/codec.ts';
import { decodeTask } from '../task/codec.ts';
import { attemptOf, isActive, type TaskRecord } from '../task/task.ts';
import { type Command, transition } from '../task/transition.ts';
import type { TaskLine } from './format.ts';

/** Code of the history entry of a task that a restore took from its worker. */
const WHY = 'restored';

/**
 * What restoring makes of a task. What has no attempt comes back as it was. An attempt is over: its worker, lease and
 * mailbox are not restored, and it may have ended since. So the task stands in its lane again at its old place, no attempt
 * used and no crash counted, unless it must not run twice: then it is failed, for nobody knows what became of it. The
 * fence grows, so that nothing the old attempt still reports can fit.
 *
 * A pure function of the line and of when the snapshot was begun, so that a restore that was cut off can be repeated, and
 * a snapshot can say by its digest what a restored store holds.
 *
 * @throws RECORD_UNREADABLE
 */
export function restored(line: Omit<TaskLine, 'type' | 'shard'>, takenAt: number): TaskRecord {
  const task = decodeTask(storedOf(line));
  if (!isActive(task.state)) return task;
  const last = task.trail.history.at(-1)?.[1] ?? 0;
  const ended = transition(task, commandFor(task), Math.max(last, takenAt));
  if (!ended.ok) throw new Error(`task ${task.id} is ${task.state} and its attempt cannot be ended: ${ended.reason}`);
  const { trail } = ended.next;
  return { ...ended.next, trail: { ...trail, fence: trail.fence + 1 } };
}

function commandFor(task: TaskRecord): Command {
  const { id: attemptId, seq } = attemptOf(task);
  if (task.spec.delivery === 'at-most-once') {
    return { type: 'lose', attemptId, started: 'yes', crashesMax: Number.POSITIVE_INFINITY, why: WHY };
  }
  return { type: 'return', from: { attemptId, fence: task.trail.fence, seq: seq + 1 }, why: WHY };
}

export function storedOf({ id, version, state, seal, spec, input, trail, result }: Omit<TaskLine, 'type' | 'shard'>) {
  const stored: StoredTask = { id, version, state, op: '', spec: `${seal} ${spec}`, trail, input };
  if (result !== undefined) stored.result = result;
  return stored;
}

/** The texts that a restored store holds: the old ones, unless the attempt was taken away. */
export function restoredTrail(line: Pick<TaskLine, 'state' | 'trail'>, record: TaskRecord): string {
  return isActive(line.state) ? JSON.stringify(record.trail) : line.trail;
}
