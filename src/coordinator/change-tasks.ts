import { addAssignment, assignPost, cancelPost, Letters, type SignedPost, tellSent } from '../fleet/mail.ts';
import type { Assignment, Cancel } from '../message/bodies.ts';
import { unitOf } from '../store/commit.ts';
import { durabilityFor } from '../store/durability.ts';
import { patiently } from '../store/patience.ts';
import { holderOf, UNITS_MAX, type Unit } from '../store/store.ts';
import type { StoredTask } from '../task/codec.ts';
import type { TaskEvent } from '../task/events.ts';
import { isTerminal, type TaskRecord } from '../task/task.ts';
import { type Command, type TaskMessage, transition } from '../task/transition.ts';
import { decodeReadable } from './decode-readable.ts';
import { commitOwned, type OwnerContext } from './owner-context.ts';

const ROUNDS_MAX = 3;

export interface Changed {
  /** Records that the command was accepted for, as they stand now. */
  done: TaskRecord[];
  /** Ids it did not apply to. */
  left: LeftTask[];
}

/** A task that a command did not apply to: the record is gone, unreadable or another, or refused the command. */
export interface LeftTask {
  id: string;
  stored: StoredTask | null;
  /** Null when there is none, or none that can be read. */
  record: TaskRecord | null;
}

/**
 * Gives the owner's command to each of these tasks: read, decide, commit, and again for those that changed in between.
 * What is still in conflict after that is left to the next tick.
 *
 * @param commandFor null = leave this task as it is
 */
export async function changeTasks(
  context: OwnerContext,
  ids: readonly string[],
  commandFor: (task: TaskRecord, now: number) => Command | null,
): Promise<Changed> {
  const changed: Changed = { done: [], left: [] };
  for (let from = 0; from < ids.length; from += UNITS_MAX) {
    let rest = ids.slice(from, from + UNITS_MAX);
    for (let round = 0; rest.length > 0 && round < ROUNDS_MAX; round++) {
      rest = await changeOnce(context, rest, commandFor, changed);
    }
  }
  return changed;
}

interface Step {
  before: TaskRecord;
  after: TaskRecord;
  events: TaskEvent[];
}

/** Answers the ids that lost their commit. */
async function changeOnce(
  context: OwnerContext,
  ids: string[],
  commandFor: (task: TaskRecord, now: number) => Command | null,
  changed: Changed,
): Promise<string[]> {
  const { policy, observe } = context;
  const { found, now } = await readAll(context, ids);
  const steps: Step[] = [];
  const units: Unit[] = [];
  const post = new Outbox();
  for (const [i, id] of ids.entries()) {
    const stored = found[i] ?? null;
    const before = stored && decodeReadable(context, stored);
    const command = before && commandFor(before, now);
    const decided = command ? transition(before, command, now) : null;
    if (!before || !decided?.ok) {
      changed.left.push({ id, stored, record: before });
      continue;
    }
    for (const message of decided.messages) post.add(message, decided.next, units.length);
    units.push(unitOf(before, decided.next, policy));
    steps.push({ before, after: decided.next, events: decided.events });
  }
  if (units.length === 0) return [];
  const sealed = post.seal(context);
  const ended = steps.map(({ after }) => after).filter(({ state }) => isTerminal(state));
  const reply = await commitOwned(context, { units, post: sealed, ...durabilityFor(ended) });
  tellSent(observe, sealed, reply);
  const lost: string[] = [];
  steps.forEach(({ before, after, events }, i) => {
    if (reply.units[i]?.ok) {
      changed.done.push(after);
      context.onCommitted(after, events);
    } else {
      lost.push(before.id);
      observe({ type: 'state.conflict', id: before.id, where: 'owner' });
    }
  });
  return lost;
}

/** With inputs: an assignment that is sent again carries the input, or the reference to it. */
async function readAll(context: OwnerContext, ids: string[]) {
  const { store, clock, shard, runtime, signal, onAway } = context;
  const read = () => clock.learn(() => store.read(shard, ids, { input: 'ref' }));
  const { tasks, now } = await patiently(read, { runtime, tries: 5, signal, onAway });
  return { found: tasks, now };
}

/** The messages of one commit, one envelope per worker and type. */
class Outbox {
  readonly #assigns = new Letters<Assignment>();
  readonly #cancels = new Letters<Cancel>();

  add(message: TaskMessage, task: TaskRecord, unit: number): void {
    const holder = holderOf(message.worker, message.incarnation);
    if (message.type === 'task.assign') return addAssignment(this.#assigns, holder, task, unit);
    const { attemptId, code, reason } = message;
    this.#cancels.add(holder, { task: task.id, attemptId, code, reason }, { unit });
  }

  seal(context: OwnerContext): SignedPost[] {
    const sender = { ...context, principal: 'coordinators' as const };
    const cancels = this.#cancels.all().map((letter) => cancelPost(sender, letter));
    return [...cancels, ...this.#assigns.all().map((letter) => assignPost(sender, letter))];
  }
}
