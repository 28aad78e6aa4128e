import { AgentSystemError } from '../errors.ts';
import { cancelPost, Letters, tellSent } from '../fleet/mail.ts';
import type { Ports } from '../fleet/ports.ts';
import { taskMoved } from '../fleet/task-moved.ts';
import type { Cancel } from '../message/bodies.ts';
import { removalOf, unitOf } from '../store/commit.ts';
import { patiently } from '../store/patience.ts';
import { holderOf, UNITS_MAX, type Unit } from '../store/store.ts';
import { decodeTask } from '../task/codec.ts';
import type { TaskEvent } from '../task/events.ts';
import { shardOf } from '../task/id.ts';
import type { TaskRecord } from '../task/task.ts';
import { type Command, transition } from '../task/transition.ts';
import type { Waiters } from './waiters.ts';

const ROUNDS_MAX = 4;
const TRIES = 3;

/** What is to become of a task: a command, its removal, or nothing, for the reason that is said. */
export type Change = { command: Command } | { remove: true } | { refuse: string };

export interface ManyPorts extends Ports {
  waiters: Waiters;
}

export interface ManyChanged {
  changed: number;
  failed: { id: string; error: string }[];
}

interface Step {
  before: TaskRecord;
  /** Null = removed. */
  after: TaskRecord | null;
  events: TaskEvent[];
}

/**
 * Changes tasks a commit's worth at a time. One that changed in between is read and decided again; what is then still in
 * conflict, or refused, is told by id.
 */
export async function changeMany(
  ports: ManyPorts,
  records: readonly TaskRecord[],
  changeFor: (task: TaskRecord, now: number) => Change,
): Promise<ManyChanged> {
  const outcome: ManyChanged = { changed: 0, failed: [] };
  for (const [shard, ofShard] of byShard(records)) {
    for (let from = 0; from < ofShard.length; from += UNITS_MAX) {
      await changeBatch(ports, shard, ofShard.slice(from, from + UNITS_MAX), changeFor, outcome);
    }
  }
  return outcome;
}

async function changeBatch(
  ports: ManyPorts,
  shard: number,
  records: TaskRecord[],
  changeFor: (task: TaskRecord, now: number) => Change,
  outcome: ManyChanged,
): Promise<void> {
  let rest = records;
  for (let round = 1; rest.length > 0; round++) {
    const lost = await changeOnce(ports, shard, rest, changeFor, outcome);
    if (lost.length > 0 && round === ROUNDS_MAX) {
      for (const { id } of lost) outcome.failed.push({ id, error: 'it changed again and again in between, try again' });
      return;
    }
    rest = await readAgain(ports, shard, lost, outcome);
  }
}

/** Answers those whose commit was lost. */
async function changeOnce(
  ports: ManyPorts,
  shard: number,
  records: TaskRecord[],
  changeFor: (task: TaskRecord, now: number) => Change,
  outcome: ManyChanged,
): Promise<TaskRecord[]> {
  const { store, clock, runtime, policy } = ports;
  const now = clock.now();
  const units: Unit[] = [];
  const steps: Step[] = [];
  const cancels = new Letters<Cancel>();
  for (const before of records) {
    const decided = decide(before, changeFor(before, now), now);
    if (typeof decided === 'string') {
      outcome.failed.push({ id: before.id, error: decided });
      continue;
    }
    const { after, events, messages } = decided;
    for (const message of messages) {
      if (message.type !== 'task.cancel') throw new Error(`a change of many tasks sends no ${message.type}`);
      const { worker, incarnation, attemptId, code, reason } = message;
      const entry = { task: before.id, attemptId, code, reason };
      cancels.add(holderOf(worker, incarnation), entry, { unit: units.length });
    }
    units.push(after ? unitOf(before, after, policy) : removalOf(before, policy));
    steps.push({ before, after, events });
  }
  if (units.length === 0) return [];
  const sender = { ...ports, principal: 'coordinators' as const, shard };
  const post = cancels.all().map((letter) => cancelPost(sender, letter));
  const commit = { op: runtime.id(12), units, post };
  const reply = await patiently(() => clock.learn(() => store.commit(shard, commit)), { runtime, tries: TRIES });
  tellSent(ports.observe, post, reply);
  const lost: TaskRecord[] = [];
  steps.forEach((step, i) => {
    if (!reply.units[i]?.ok) {
      lost.push(step.before);
      return;
    }
    outcome.changed += 1;
    tell(ports, step);
  });
  return lost;
}

function decide(before: TaskRecord, change: Change, now: number) {
  if ('refuse' in change) return change.refuse;
  if ('remove' in change) return { after: null, events: [], messages: [] };
  const decided = transition(before, change.command, now);
  if (!decided.ok) return `it is ${before.state}, ${change.command.type} does not apply`;
  return { after: decided.next, events: decided.events, messages: decided.messages };
}

function tell({ observe, waiters }: ManyPorts, { after, events }: Step): void {
  if (!after) return;
  for (const event of events) observe(taskMoved(after, event));
  waiters.tell(after.id, after.state);
}

async function readAgain(
  { store, clock, runtime }: ManyPorts,
  shard: number,
  lost: TaskRecord[],
  outcome: ManyChanged,
): Promise<TaskRecord[]> {
  if (lost.length === 0) return [];
  const ids = lost.map(({ id }) => id);
  const { tasks } = await patiently(() => clock.learn(() => store.read(shard, ids)), { runtime, tries: TRIES });
  return tasks.flatMap((stored, i) => {
    try {
      if (stored) return [decodeTask(stored)];
      outcome.failed.push({ id: ids[i]!, error: 'it is gone' });
    } catch (error) {
      if (!(error instanceof AgentSystemError)) throw error;
      outcome.failed.push({ id: ids[i]!, error: error.message });
    }
    return [];
  });
}

function byShard(records: readonly TaskRecord[]): Map<number, TaskRecord[]> {
  const shards = new Map<number, TaskRecord[]>();
  for (const record of records) {
    const shard = shardOf(record.id);
    const known = shards.get(shard);
    if (known) known.push(record);
    else shards.set(shard, [record]);
  }
  return shards;
}
