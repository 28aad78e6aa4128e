import type { Assignment, Cancel } from '../message/bodies.ts';
import { signEnvelope } from '../message/envelope.ts';
import { type Principal, workerAddress } from '../message/principals.ts';
import type { Observe } from '../runtime/observer.ts';
import { type CommitReply, type Post, parseHolder, streamPlace } from '../store/store.ts';
import { totalEndsAt } from '../task/limits.ts';
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

/** A post, with what there is to tell of it once it was taken. */
export interface SignedPost extends Post {
  type: 'task.assign' | 'task.cancel' | 'worker.drain';
  entries: number;
}

export function assignPost(sender: Sender, letter: Letter<Assignment>): SignedPost {
  const { holder, entries, units } = letter;
  const envelope = sign(sender, holder, 'task.assign', { assignments: entries });
  return { type: 'task.assign', holder, envelope, units, entries: entries.length };
}

export function cancelPost(sender: Sender, letter: Letter<Cancel>): SignedPost {
  const { holder, entries, units } = letter;
  const envelope = sign(sender, holder, 'task.cancel', { cancels: entries });
  return { type: 'task.cancel', holder, envelope, units, entries: entries.length };
}

/** Tells a worker to take nothing more; goes out with a commit that changes nothing. */
export function drainPost(sender: Sender, { holder, reason }: { holder: string; reason: string }): SignedPost {
  const envelope = sign(sender, holder, 'worker.drain', { reason });
  return { type: 'worker.drain', holder, envelope, units: [], entries: 1 };
}

/** Tells of those that the commit put into their mailboxes; one whose units all lost was never sent. */
export function tellSent(observe: Observe, posts: readonly SignedPost[], { posted }: CommitReply): void {
  posts.forEach(({ type, envelope, entries }, i) => {
    if (posted[i]) observe({ type: 'message.sent', message: type, count: entries, envelope });
  });
}

function sign(
  { principal, keys, clock, runtime, policy, shard }: Sender,
  holder: string,
  ...[type, body]:
    | ['task.assign', { assignments: Assignment[] }]
    | ['task.cancel', { cancels: Cancel[] }]
    | ['worker.drain', { reason: string }]
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
  switch (type) {
    case 'task.assign':
      return signEnvelope({ ...head, type, body }, keys);
    case 'task.cancel':
      return signEnvelope({ ...head, type, body }, keys);
    case 'worker.drain':
      return signEnvelope({ ...head, type, body }, keys);
  }
}

/** What the worker is told about the attempt that `task` holds; the record must have been read with its input or its reference. */
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
    deadline: totalEndsAt(task),
  };
}

/** Characters of entries in one letter, far below what an envelope may have: what is more travels in several. */
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
