import type { SubmitBody } from '../message/bodies.ts';
import type { QuarantineEntry, Unit } from '../store/store.ts';
import type { TaskEvent } from '../task/events.ts';
import { isTaskId, shardOf } from '../task/id.ts';
import type { TaskRecord } from '../task/task.ts';
import type { OwnerContext } from './owner-context.ts';

/** A verified `task.submit` of a worker or a distributor. */
export interface SubmitEntry {
  id: string;
  submit: SubmitBody;
  text: string;
}

export interface AdmittedSubmits {
  units: Unit[];
  tasks: { task: TaskRecord; events: TaskEvent[] }[];
  /** Which unit of this commit carries which entry, counted from `firstUnit`; none for what was there or is refused. */
  entries: { id: string; units: number[] }[];
  quarantine: QuarantineEntry[];
}

/**
 * The units that create what was sent. A task that exists already was created by the same entry in an earlier round, or
 * by an owner before us, so the entry passes without a unit; a unit that could only lose would hold up the cursor.
 */
export async function admitSubmits(
  context: OwnerContext,
  batch: readonly SubmitEntry[],
  known: ReadonlySet<string>,
  firstUnit: number,
): Promise<AdmittedSubmits> {
  const admitted: AdmittedSubmits = { units: [], tasks: [], entries: [], quarantine: [] };
  const seen = new Set(known);
  for (const { id, submit, text } of batch) {
    const units: number[] = [];
    admitted.entries.push({ id, units });
    if (seen.has(submit.task)) continue;
    seen.add(submit.task);
    const made = await admit(context, submit);
    if ('refused' in made) {
      context.observe({
        type: 'message.rejected',
        reason: 'submit',
        detail: made.refused,
        stream: 'reports',
        entry: id,
      });
      admitted.quarantine.push({ stream: 'reports', entry: id, reason: `submit: ${made.refused}`.slice(0, 200), text });
      continue;
    }
    units.push(firstUnit + admitted.units.length);
    admitted.units.push(made.unit);
    admitted.tasks.push({ task: made.task, events: made.events });
  }
  return admitted;
}

async function admit(context: OwnerContext, submit: SubmitBody) {
  if (!context.admit) return { refused: 'this coordinator takes no tasks from others' };
  if (!isTaskId(submit.task) || shardOf(submit.task) !== context.shard) {
    return { refused: `${submit.task.slice(0, 80)} is no id of a task of this shard` };
  }
  return context.admit(submit);
}
