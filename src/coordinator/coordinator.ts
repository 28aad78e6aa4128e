import type { Ports } from '../fleet/ports.ts';
import { taskMoved } from '../fleet/task-moved.ts';
import type { TaskFacts } from '../runtime/observer.ts';
import type { TaskEvent } from '../task/events.ts';
import type { TaskRecord } from '../task/task.ts';
import { Elector } from './elector.ts';
import type { OwnerContext } from './owner-context.ts';
import { Ownership } from './ownership.ts';

export interface CoordinatorOptions extends Ports {
  id: string;
  /** Told of each record as it was committed here, before anyone reads of it in the event stream. */
  onCommitted: (task: TaskRecord) => void;
  /** See `OwnerContext`. */
  fireSchedules?: (shard: number) => Promise<number>;
  /** See `OwnerContext`. */
  admit?: OwnerContext['admit'];
}

/** What a coordinator holds, as plain JSON. */
export interface CoordinatorState {
  role: 'coordinator';
  id: string;
  shards: { shard: number; epoch: string }[];
  /** Agents whose queues are paused. */
  paused: string[];
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

  /**
   * Gives up its shards, or one of them, and does not stand for them again for a while. Answers those it owned.
   *
   * @param restMs default: at once it may be the next owner again
   */
  stepDown({ shard, restMs = 0 }: { shard?: number; restMs?: number } = {}): number[] {
    const given = this.owned()
      .map((one) => one.shard)
      .filter((owned) => shard === undefined || owned === shard);
    for (const one of given) this.#electors[one]!.stepDown(restMs);
    return given;
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

  async getStateSnapshot(): Promise<CoordinatorState> {
    const { store, policy, id } = this.#options;
    const paused = new Set<string>();
    for (let shard = 0; shard < policy.shards; shard++) {
      for (const agent of await store.paused(shard)) paused.add(agent);
    }
    const shards = this.owned().map(({ shard, epoch }) => ({ shard, epoch }));
    return { role: 'coordinator', id, shards, paused: [...paused].sort() };
  }

  /** Pauses the queues that were paused. Shards are not taken back: they belong to whoever is elected. */
  async setState({ paused }: Pick<CoordinatorState, 'paused'>): Promise<void> {
    const { store, policy } = this.#options;
    for (let shard = 0; shard < policy.shards; shard++) {
      for (const agent of paused) await store.setPaused(shard, agent, true);
    }
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
      fireSchedules: this.#options.fireSchedules,
      admit: this.#options.admit,
      onCommitted: (task, events) => this.#committed(task, events),
    });
    this.#owned.set(shard, ownership);
    ownership.start();
    await ownership.ended();
    this.#owned.delete(shard);
  }

  #committed(task: TaskRecord, events: TaskEvent[]): void {
    const { observe, onCommitted } = this.#options;
    for (const event of events) observe(taskMoved(task, event, factsOf(task)));
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
  if (trail.dueAt !== undefined) facts.dueAt = trail.dueAt;
  return facts;
}
