import { AgentSystemError, StoreUnavailableError } from '../errors.ts';
import { HeartbeatWatch } from '../fleet/heartbeat-watch.ts';
import type { Ports } from '../fleet/ports.ts';
import { verifyTask } from '../fleet/verify-task.ts';
import { PRIORITY_MAX } from '../scheduling/order.ts';
import { meets } from '../scheduling/requirements.ts';
import { patiently, retryPause } from '../store/patience.ts';
import { type StreamEntry, UNITS_MAX } from '../store/store.ts';
import { decodeTask } from '../task/codec.ts';
import { isTaskId, shardOf } from '../task/id.ts';
import type { TaskRecord } from '../task/task.ts';
import { Assigner } from './assigner.ts';
import { AssigningBatch } from './assigning-batch.ts';
import { Fleet, type Hint, type Member } from './fleet.ts';

/** Without any wake-up the distributor looks by itself this often: hints may be lost, nothing depends on them. */
const LOOK_MS = 500;
const WAKE_ENTRIES = 500;
/** Rounds in a row before the wake-up stream is read again. */
const ROUNDS_MAX = 50;
/** Of them in a row that may find only lanes which nobody here serves: those behind them must not wait for the next look. */
const BARREN_MAX = 10;

export interface DistributorOptions extends Ports {
  id: string;
  batchSizeMax: number;
}

export type AssignOutcome =
  | { task: string; assigned: true; attemptId: string }
  | {
      task: string;
      assigned: false;
      reason: 'no_task' | 'not_queued' | 'no_agent' | 'requirement' | 'seal' | 'conflict';
    };

/** What a distributor knows, as plain JSON. `held` names attempts as `task~attempt`. */
export interface DistributorState {
  role: 'distributor';
  id: string;
  workers: ReturnType<Fleet['loads']>;
}

/** The role that decides who runs what: one loop per shard over one picture of its workers. */
export class Distributor {
  readonly #options: DistributorOptions;
  readonly #fleet: Fleet;
  readonly #stop = new AbortController();
  readonly #moved: number[];
  #loops: Promise<void>[] = [];

  constructor(options: DistributorOptions) {
    this.#options = options;
    this.#fleet = new Fleet(options.id, options.policy.instanceTtlMs);
    this.#moved = Array.from({ length: options.policy.shards }, () => options.runtime.now());
  }

  start(): void {
    for (let shard = 0; shard < this.#options.policy.shards; shard++) this.#loops.push(this.#run(shard));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#loops);
  }

  /** Local time at which the slowest loop last moved. */
  get movedAt(): number {
    return Math.min(...this.#moved);
  }

  /** Workers that belong to this distributor. */
  get workers(): number {
    return this.#fleet.size;
  }

  /** For people alone: everything a distributor knows it learns from heartbeats, and believes nothing older. */
  getStateSnapshot(): DistributorState {
    return { role: 'distributor', id: this.#options.id, workers: this.#fleet.loads() };
  }

  /** Gives one queued task to a named worker, before everything that waits and whatever the worker's load. */
  async assignTaskToWorker(task: string, workerId: string): Promise<AssignOutcome> {
    const [outcome] = await this.batchAssignTasks([task], workerId);
    return outcome!;
  }

  /**
   * Gives queued tasks to a named worker, one commit per shard; what exceeds its credit the worker hands back.
   * @throws WORKER_UNKNOWN when the worker does not belong to this distributor or has not been heard within its lease
   */
  async batchAssignTasks(tasks: string[], workerId: string): Promise<AssignOutcome[]> {
    const outcomes = new Map<string, AssignOutcome>();
    const named = [...new Set(tasks)].filter(isTaskId);
    for (let shard = 0; shard < this.#options.policy.shards; shard++) {
      const ids = named.filter((task) => shardOf(task) === shard);
      for (let from = 0; from < ids.length; from += UNITS_MAX) {
        const batch = await this.#assignNamed(shard, ids.slice(from, from + UNITS_MAX), workerId);
        for (const outcome of batch) outcomes.set(outcome.task, outcome);
      }
    }
    return tasks.map((task) => outcomes.get(task) ?? { task, assigned: false, reason: 'no_task' });
  }

  async #assignNamed(shard: number, ids: string[], workerId: string): Promise<AssignOutcome[]> {
    const { store, clock, runtime } = this.#options;
    const member = this.#member(workerId);
    const read = () => clock.learn(() => store.read(shard, ids, { input: 'ref' }));
    const { tasks, now } = await patiently(read, { runtime, tries: 3 });
    const batch = new AssigningBatch({ ...this.#options, shard, fleet: this.#fleet }, null, now);
    const outcomes = tasks.map((stored, i) => this.#offer(ids[i]!, stored && decodeTask(stored), member, batch));
    const won = await batch.commit();
    let unit = 0;
    return outcomes.map((outcome) => {
      if (!outcome.assigned || won[unit++]) return outcome;
      return { task: outcome.task, assigned: false, reason: 'conflict' };
    });
  }

  #offer(id: string, task: TaskRecord | null, member: Member, batch: AssigningBatch): AssignOutcome {
    const refused = (reason: Extract<AssignOutcome, { assigned: false }>['reason']): AssignOutcome => {
      return { task: id, assigned: false, reason };
    };
    if (!task) return refused('no_task');
    if (task.state !== 'queued') return refused('not_queued');
    if (!member.agents.has(task.spec.agent)) return refused('no_agent');
    if (!meets(member, task.spec.require ?? {})) return refused('requirement');
    if (verifyTask(task, this.#options.keys).verdict !== 'ok') return refused('seal');
    const urgent = task.spec.priority === PRIORITY_MAX;
    return { task: id, assigned: true, attemptId: batch.assign({ task, agent: task.spec.agent, urgent }, member) };
  }

  #member(workerId: string): Member {
    const { clock, policy, id } = this.#options;
    const member = this.#fleet.member(workerId);
    if (member && clock.now() - member.at <= policy.instanceTtlMs) return member;
    const known = this.#fleet.available(clock.now()).map(({ worker }) => worker);
    throw new AgentSystemError(
      'WORKER_UNKNOWN',
      `worker ${workerId} does not belong to distributor ${id} now; its workers are: ${known.join(', ') || 'none'}`,
      { details: { worker: workerId, workers: known } },
    );
  }

  async #run(shard: number): Promise<void> {
    const { store, runtime, observe, keys, clock, policy } = this.#options;
    const { signal } = this.#stop;
    const { deployment, instanceTtlMs } = policy;
    const reader = 'distributors' as const;
    const watch = new HeartbeatWatch({ store, keys, clock, observe, shard, reader, deployment, instanceTtlMs });
    const assigner = new Assigner({ ...this.#options, shard, fleet: this.#fleet });
    let failures = 0;
    let after: string | null = null;
    let lookAt = 0;
    while (!signal.aborted) {
      try {
        after ??= (await store.lastEntry(shard, 'wake')).id;
        if (runtime.now() >= lookAt) {
          await this.#look(watch, shard);
          lookAt = runtime.now() + LOOK_MS;
        }
        await this.#assignAll(assigner);
        this.#moved[shard] = runtime.now();
        const from = [{ stream: 'wake' as const, after }];
        const waitMs = Math.max(1, lookAt - runtime.now());
        const [batch] = await store.readStreams(shard, { from, count: WAKE_ENTRIES, waitMs, signal });
        for (const entry of batch?.entries ?? []) {
          if (this.#wake(entry)) lookAt = 0;
          after = entry.id;
        }
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof StoreUnavailableError)) {
          observe({ type: 'fault', where: `distributor loop of shard ${shard}`, error });
        }
        await retryPause(error, ++failures, { runtime, signal });
      }
    }
  }

  async #look(watch: HeartbeatWatch, shard: number): Promise<void> {
    const { now, fresh } = await watch.look();
    for (const seen of fresh) this.#fleet.hear(seen, shard);
    this.#fleet.forget(now);
  }

  async #assignAll(assigner: Assigner): Promise<void> {
    let barren = 0;
    for (let round = 0; round < ROUNDS_MAX && !this.#stop.signal.aborted; round++) {
      const { taken, more } = await assigner.round();
      barren = taken > 0 ? 0 : barren + 1;
      if (!more || barren >= BARREN_MAX) return;
    }
  }

  /** Takes in one wake-up; true when there are heartbeats to be read. */
  #wake({ id, fields }: StreamEntry): boolean {
    if (fields.h !== undefined) this.#takeHint(fields.h, Number.parseInt(id, 10));
    return fields.b !== undefined;
  }

  #takeHint(text: string, at: number): void {
    try {
      const hint = JSON.parse(text) as Hint;
      if (typeof hint?.w === 'string' && typeof hint.i === 'string') this.#fleet.hint(hint, at);
    } catch {
      // A hint is unsigned and worth nothing when it cannot be read: heartbeats correct the count.
    }
  }
}
