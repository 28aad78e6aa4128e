import { AgentSystemError } from '../errors.ts';
import type { Ports } from '../fleet/ports.ts';
import type { SubmitBody } from '../message/bodies.ts';
import { patiently } from '../store/patience.ts';
import type { Commit, CommitReply, Unit } from '../store/store.ts';
import type { TaskEvent } from '../task/events.ts';
import type { TaskRecord } from '../task/task.ts';

/** What every duty of a shard's owner works with. It ends for all of them at once when the ownership does. */
export interface OwnerContext extends Ports {
  shard: number;
  epoch: string;
  /** Aborts when the shard is no longer ours, or the coordinator stops. */
  signal: AbortSignal;
  /** To be called when the store says that another owner has taken over. */
  onFenced: () => void;
  /** The store did not answer: judgements about who is alive have to wait. */
  onAway: () => void;
  /** Submits what the schedules of the shard are due for; answers how many tasks. Absent = there are no schedules. */
  fireSchedules?: (shard: number) => Promise<number>;
  /** Makes a task of what a worker or a distributor was sent; the reason why not, for the quarantine. Absent = none is taken. */
  admit?: (submit: SubmitBody) => Promise<Admitted>;
  /** A record that was just committed, with what happened to it. */
  onCommitted: (task: TaskRecord, events: TaskEvent[]) => void;
}

export type Admitted = { unit: Unit; task: TaskRecord; events: TaskEvent[] } | { refused: string };

/** The shard belongs to someone else now. Normal: the duty ends, the new owner goes on from the records. */
export class OwnershipLost extends AgentSystemError {
  constructor(shard: number) {
    super('OWNERSHIP_LOST', `shard ${shard} has another owner now`, { retryable: false });
    this.name = 'OwnershipLost';
  }
}

/** A commit under the owner's epoch, repeated until the store answers or the ownership ends. */
export async function commitOwned(context: OwnerContext, commit: Omit<Commit, 'op' | 'epoch'>): Promise<CommitReply> {
  const { store, clock, runtime, shard, epoch, signal } = context;
  const whole: Commit = { ...commit, op: runtime.id(12), epoch };
  const call = () => {
    if (signal.aborted) throw new OwnershipLost(shard);
    return clock.learn(() => store.commit(shard, whole));
  };
  const reply = await patiently(call, { runtime, tries: Number.POSITIVE_INFINITY, signal, onAway: context.onAway });
  if (reply.fenced === 'epoch') {
    context.onFenced();
    throw new OwnershipLost(shard);
  }
  return reply;
}
