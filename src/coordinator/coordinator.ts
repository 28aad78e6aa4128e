import type { Ports } from '../fleet/ports.ts';
import type { TaskFacts } from '../runtime/observer.ts';
import type { TaskEvent } from '../task/events.ts';
import type { TaskRecord } from '../task/task.ts';
import { Elector } from './elector.ts';
import { Ownership } from './ownership.ts';

export interface CoordinatorOptions extends Ports {
  id: string;
  /** Told of each record as it was committed here, before anyone reads of it in the event stream. */
  onCommitted: (task: TaskRecord) => void;
}

/**
 * The role that keeps the life of tasks. Every coordinator may take submits and cancels (the task service does that);
 * for each shard one of them owns what has to be done in order: reports, retries, time-outs, the lost and the expired.
 */
export class Coordinator {
  readonly #options: CoordinatorOptions;
  readonly #electors: Elector[];
  readonly #owned = new Map<number, Ownership>();

  constructor(options: CoordinatorOptions) {
    this.#options = options;
    const { store, runtime, observe, policy, id } = options;
    this.#electors = Array.from({ length: policy.shards }, (_, shard) => {
      const own = (epoch: string, signal: AbortSignal, lost: () => void) => this.#own(shard, epoch, signal, lost);
      return new Elector({ store, runtime, observe, shard, instance: id, leaderTtlMs: policy.leaderTtlMs, own });
    });
  }

  start(): void {
    for (const elector of this.#electors) elector.start();
  }

  /** Lets go of its shards, so that others need not wait for the locks to end. */
  async stop(): Promise<void> {
    await Promise.all(this.#electors.map((elector) => elector.stop()));
  }

  stepDown(): void {
    for (const elector of this.#electors) elector.stepDown();
  }

  /** Shards owned now, each with the local time until which its lock is held. */
  owned(): { shard: number; epoch: string; until: number }[] {
    return this.#electors.flatMap(({ epoch, until }, shard) =>
      epoch === null || until === null ? [] : [{ shard, epoch, until }],
    );
  }

  get isLeader(): boolean {
    return this.#owned.size > 0;
  }

  /** Local time at which the slowest owned shard last looked for reports; null when none is owned. */
  get movedAt(): number | null {
    if (this.#owned.size === 0) return null;
    return Math.min(...[...this.#owned.values()].map((ownership) => ownership.movedAt));
  }

  async #own(shard: number, epoch: string, signal: AbortSignal, lost: () => void): Promise<void> {
    const { store, keys, clock, runtime, policy, observe } = this.#options;
    const ownership = new Ownership({
      shard,
      epoch,
      store,
      keys,
      clock,
      runtime,
      policy,
      observe,
      signal,
      onFenced: lost,
      onCommitted: (task, events) => this.#committed(task, events),
    });
    this.#owned.set(shard, ownership);
    ownership.start();
    await ownership.ended();
    this.#owned.delete(shard);
  }

  #committed(task: TaskRecord, events: TaskEvent[]): void {
    const { observe, onCommitted } = this.#options;
    for (const { type, id, agent, at } of events) {
      observe({ type: 'task.moved', event: type, id, agent, state: task.state, at, facts: factsOf(task) });
    }
    onCommitted(task);
  }
}

function factsOf({ trail, spec }: TaskRecord): TaskFacts {
  const facts: TaskFacts = {};
  const queuedAt = trail.queuedAt ?? spec.createdAt;
  if (trail.startedAt !== undefined) facts.queueWaitMs = Math.max(0, trail.startedAt - queuedAt);
  if (trail.ranMs !== undefined) facts.runMs = trail.ranMs;
  if (trail.worker !== undefined) facts.worker = trail.worker;
  if (trail.error) facts.code = trail.error.code;
  return facts;
}
