import type { KeyRing } from '../message/keys.ts';
import { checkSeal, digestOf } from '../message/seal.ts';
import { isRef, parseRef } from '../task/payload.ts';
import type { TaskRecord } from '../task/task.ts';

export type TaskVerdict =
  | { verdict: 'ok' }
  /** Sealed under a root that this process does not hold (yet): nobody here can say whether it is genuine, so it waits. */
  | { verdict: 'unknown_key'; detail: string }
  /** Not what a coordinator accepted: it must never run. */
  | { verdict: 'wrong'; detail: string };

/**
 * Whether the record is the task that was submitted: its specification as a coordinator sealed it, under the right id,
 * and the input that it names. Whoever signs an assignment asks first; `task` must have been read with its input, or with
 * the reference to it, by which the worker then judges the text itself.
 */
export function verifyTask(task: TaskRecord, keys: KeyRing): TaskVerdict {
  const seal = checkSeal(task.sealed.text, task.sealed.seal, keys);
  if (seal === 'unknown_key') {
    return { verdict: 'unknown_key', detail: 'the seal of its specification is of an unknown key' };
  }
  if (seal === 'wrong') return wrong('the seal of its specification is wrong');
  if (task.spec.id !== task.id) return wrong(`its specification belongs to task ${task.spec.id}`);
  if (inputDigestOf(task) !== task.spec.inputDigest) {
    return wrong('its input is not the one that was submitted');
  }
  return { verdict: 'ok' };
}

function inputDigestOf({ input = 'null' }: TaskRecord): string | undefined {
  return isRef(input) ? parseRef(input)?.digest : digestOf(input);
}

function wrong(detail: string): TaskVerdict {
  return { verdict: 'wrong', detail };
}
