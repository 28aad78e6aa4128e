import type { Assignment, Cancel } from '../message/bodies.ts';
import { signEnvelope } from '../message/envelope.ts';
import { type Principal, workerAddress } from '../message/principals.ts';
import { type Post, parseHolder, streamPlace } from '../store/store.ts';
import { attemptOf, type TaskRecord } from '../task/task.ts';
import type { Ports } from './ports.ts';

export interface Sender extends Pick<Ports, 'keys' | 'clock' | 'runtime' | 'policy'> {
  principal: Principal;
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
  { principal, keys, clock, runtime, policy, shard }: Sender,
  holder: string,
  ...[type, body]: ['task.assign', { assignments: Assignment[] }] | ['task.cancel', { cancels: Cancel[] }]
): string {
  const { worker, incarnation } = parseHolder(holder);
  const head = {
    jti: runtime.id(16),
    from: principal,
    to: workerAddress(worker, incarnation),
    stream: streamPlace(shard, `mail:${holder}`),
    deployment: policy.deployment,
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

/** Characters of entries in one letter, far below what an envelope may have: large inputs travel in several. */
const LETTER_LENGTH_MAX = 4 * 1024 * 1024;

/** Gathers entries for the same holder into one letter each, or more where they are large. */
export class Letters<Entry> {
  readonly #letters: Letter<Entry>[] = [];
  readonly #open = new Map<string, { letter: Letter<Entry>; length: number }>();

  /**
   * @param o.unit of the commit that the entry stands for; none = it goes out in any case
   * @param o.alone it must not share an envelope with others
   * @param o.length of the entry in characters, where that may matter
   */
  add(holder: string, entry: Entry, o: { unit?: number; alone?: boolean; length?: number } = {}): void {
    const letter = o.alone ? this.#begin(holder) : this.#letterFor(holder, o.length ?? 0);
    letter.entries.push(entry);
    if (o.unit !== undefined) letter.units.push(o.unit);
  }

  all(): Letter<Entry>[] {
    return this.#letters;
  }

  #letterFor(holder: string, length: number): Letter<Entry> {
    const open = this.#open.get(holder);
    if (open && open.length + length <= LETTER_LENGTH_MAX) {
      open.length += length;
      return open.letter;
    }
    const letter = this.#begin(holder);
    this.#open.set(holder, { letter, length });
    return letter;
  }

  #begin(holder: string): Letter<Entry> {
    const letter: Letter<Entry> = { holder, entries: [], units: [] };
    this.#letters.push(letter);
    return letter;
  }
}

/**
 * Puts the assignment that `task` holds into the post. What may run only once travels alone: beside others it could be
 * revived by showing its envelope again with other winners.
 */
export function addAssignment(letters: Letters<Assignment>, holder: string, task: TaskRecord, unit: number): void {
  const assignment = assignmentOf(task);
  const length = assignment.spec.length + assignment.input.length;
  letters.add(holder, assignment, { unit, length, alone: task.spec.delivery === 'at-most-once' });
}
