import type { Assignment, Cancel } from '../message/bodies.ts';
import { signEnvelope } from '../message/envelope.ts';
import type { KeyRing } from '../message/keys.ts';
import { type Principal, workerAddress } from '../message/principals.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { type Post, parseHolder, streamPlace } from '../store/store.ts';
import type { StoreClock } from '../store/store-clock.ts';
import { attemptOf, type TaskRecord } from '../task/task.ts';

export interface Sender {
  principal: Principal;
  keys: KeyRing;
  clock: StoreClock;
  runtime: Runtime;
  deployment: string;
  shard: number;
}

/** What goes to one holder (`worker@incarnation`) in one envelope, with the units it stands for. */
export interface Letter<Entry> {
  holder: string;
  entries: Entry[];
  units: number[];
}

export function assignPost(sender: Sender, letter: Letter<Assignment>): Post {
  const envelope = sign(sender, letter.holder, 'task.assign', { assignments: letter.entries });
  return { holder: letter.holder, envelope, units: letter.units };
}

export function cancelPost(sender: Sender, letter: Letter<Cancel>): Post {
  const envelope = sign(sender, letter.holder, 'task.cancel', { cancels: letter.entries });
  return { holder: letter.holder, envelope, units: letter.units };
}

function sign(
  { principal, keys, clock, runtime, deployment, shard }: Sender,
  holder: string,
  ...[type, body]: ['task.assign', { assignments: Assignment[] }] | ['task.cancel', { cancels: Cancel[] }]
): string {
  const { worker, incarnation } = parseHolder(holder);
  const head = {
    jti: runtime.id(16),
    from: principal,
    to: workerAddress(worker, incarnation),
    stream: streamPlace(shard, `mail:${holder}`),
    deployment,
    now: clock.now(),
  };
  return type === 'task.assign'
    ? signEnvelope({ ...head, type, body }, keys)
    : signEnvelope({ ...head, type, body }, keys);
}

/** What the worker is told about the attempt that `task` holds; the record must have been read with its input. */
export function assignmentOf(task: TaskRecord): Assignment {
  const attempt = attemptOf(task);
  return {
    task: task.id,
    attemptId: attempt.id,
    fence: task.trail.fence,
    attempt: task.trail.attemptNumber,
    timeoutMs: task.spec.timeoutMs,
    spec: task.sealed.text,
    seal: task.sealed.seal,
    input: task.input ?? 'null',
    distributor: attempt.distributor,
  };
}

/** Gathers entries for the same holder into one letter each. */
export class Letters<Entry> {
  readonly #byName = new Map<string, Letter<Entry>>();

  /** @param alone set for what must not share an envelope: the name of the letter of its own */
  add(holder: string, entry: Entry, unit?: number, alone?: string): void {
    const name = alone ?? holder;
    const letter = this.#byName.get(name) ?? { holder, entries: [], units: [] };
    this.#byName.set(name, letter);
    letter.entries.push(entry);
    if (unit !== undefined) letter.units.push(unit);
  }

  all(): Letter<Entry>[] {
    return [...this.#byName.values()];
  }
}
