import { cardOf } from './agent/card.ts';
import type { AgentRegistry } from './agent/registry.ts';
import type { Config } from './config/load.ts';
import { Coordinator, type CoordinatorOptions } from './coordinator/coordinator.ts';
import { Distributor } from './distributor/distributor.ts';
import type { Ports } from './fleet/ports.ts';
import type { RegistrationKeeper } from './fleet/registration.ts';
import type { TaskRecord } from './task/task.ts';
import type { Heart, HeartSettings } from './worker/heart.ts';
import { heartSettings, Worker, type WorkerSettings } from './worker/worker.ts';

export interface WorkerShape {
  id: string;
  slots: number;
  /** Default: those of the configuration. */
  labels?: Record<string, string>;
  resources?: Record<string, number>;
}

export interface RolesOptions extends Ports {
  config: Config;
  agents: AgentRegistry;
  workers: WorkerShape[];
  /** Puts an instance of this process into the registry; resolves once it stands there. */
  register: (id: string, role: string, facts: () => Record<string, unknown>) => Promise<RegistrationKeeper>;
  makeHeart: (settings: HeartSettings) => Heart;
  /** Takes the secrets of this process out of a text. */
  redact: (text: string) => string;
  onCommitted: (task: TaskRecord) => void;
  /** See `OwnerContext`. */
  admit: CoordinatorOptions['admit'];
  /** A worker of this process was told to drain, and nothing that it had is left. */
  onDrained: (id: string) => void;
  /** Submits what the schedules of a shard are due for. */
  fireSchedules?: (shard: number) => Promise<number>;
  /** The process should end with this exit code. */
  onFatal: (code: number, error: Error) => void;
}

/** The roles of one process, for one identity of the store: made, started and stopped together. */
export class Roles {
  readonly #options: RolesOptions;
  readonly #registrations: RegistrationKeeper[] = [];
  readonly #abandon = new Map<string, () => void>();
  coordinator: Coordinator | null = null;
  distributor: Distributor | null = null;
  workers: Worker[] = [];

  constructor(options: RolesOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { config, register } = this.#options;
    const { role, id } = config;
    // A lone worker is one instance; the others have one of their own beside their workers'.
    if (role !== 'worker') this.#registrations.push(await register(id, role, () => this.#facts()));
    if (role === 'coordinator' || role === 'all') this.#startCoordinator();
    if (role === 'distributor' || role === 'all') this.#startDistributor();
    if (role === 'worker' || role === 'all') await this.#startWorkers();
  }

  /** Drains the workers, lets go of shards, leaves the registry. */
  async stop(drainMs: number): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.stop({ drainMs })));
    await this.distributor?.stop();
    await this.coordinator?.stop();
    await Promise.all(this.#registrations.map((registration) => registration.stop()));
  }

  /** Lets a worker of this process die without a word; false = there is none with this id. */
  abandonWorker(id: string): boolean {
    const abandon = this.#abandon.get(id);
    abandon?.();
    return abandon !== undefined;
  }

  setUsable(usable: boolean): void {
    for (const worker of this.workers) worker.setUsable(usable);
  }

  /** Why this process cannot do its part now; empty = it can. */
  problems(): string[] {
    const { runtime, policy, config } = this.#options;
    const late = (movedAt: number) => runtime.now() - movedAt > policy.readyProgressWithinMs;
    const problems: string[] = [];
    const { coordinator, distributor } = this;
    const moved = coordinator?.movedAt;
    if (moved != null && late(moved)) problems.push('the coordinator does not get on with its reports');
    if (distributor && late(distributor.movedAt)) problems.push('the distributor stands still');
    if (config.role === 'worker' || config.role === 'all') problems.push(...this.#workerProblems());
    return problems;
  }

  #workerProblems(): string[] {
    if (this.workers.length === 0) return ['the worker has not started yet'];
    return this.workers.flatMap((worker, i) =>
      worker.stats().ready || this.#isDrained(worker)
        ? []
        : [`worker ${this.#options.workers[i]?.id} takes no work now`],
    );
  }

  /** A worker that was told to drain does as it should: beside other roles the process goes on being ready. */
  #isDrained(worker: Worker): boolean {
    return this.#options.config.role !== 'worker' && worker.stats().draining;
  }

  #startCoordinator(): void {
    const { id } = this.#options.config;
    this.coordinator = new Coordinator({ ...this.#options, id });
    this.coordinator.start();
  }

  #startDistributor(): void {
    const { config, store, keys, clock, runtime, policy, observe } = this.#options;
    const { batchSizeMax } = config.limits;
    this.distributor = new Distributor({ id: config.id, store, keys, clock, runtime, policy, observe, batchSizeMax });
    this.distributor.start();
  }

  /** The registry holds others than before. */
  async agentsChanged(): Promise<void> {
    await this.#announce();
    for (const worker of this.workers) worker.agentsChanged();
  }

  async #announce(): Promise<void> {
    const { store, agents } = this.#options;
    await store.announce(agents.list().map((agent) => ({ name: agent.name, card: JSON.stringify(cardOf(agent)) })));
  }

  async #startWorkers(): Promise<void> {
    const { workers } = this.#options;
    await this.#announce();
    await Promise.all(workers.map((shape) => this.#startWorker(shape)));
  }

  async #startWorker({ id, slots, labels, resources }: WorkerShape): Promise<void> {
    const { config, policy, store, keys, runtime, agents, observe, register, makeHeart, onFatal } = this.#options;
    let worker: Worker | null = null;
    const registration = await register(id, 'worker', () => ({ ...worker?.stats() }));
    this.#registrations.push(registration);
    const { incarnation } = registration.current;
    for (let shard = 0; shard < policy.shards; shard++) await store.enlist(shard, id, incarnation);
    const settings: WorkerSettings = {
      id,
      incarnation,
      deployment: policy.deployment,
      shards: policy.shards,
      slots,
      resources: { ...(resources ?? config.work.resources) },
      labels: { ...(labels ?? config.work.labels) },
      distributorId: config.work.distributorId ?? undefined,
      heartbeatIntervalMs: policy.heartbeatIntervalMs,
      instanceTtlMs: policy.instanceTtlMs,
      readyProgressWithinMs: policy.readyProgressWithinMs,
      timeoutGraceMs: policy.timeoutGraceMs,
      runTimeoutMs: policy.stuckTaskTimeoutMs,
      creditMax: config.limits.creditMax,
      maxPayloadBytes: policy.maxPayloadBytes,
    };
    worker = new Worker({
      ...settings,
      store,
      keys,
      runtime,
      agents,
      heart: makeHeart(heartSettings(settings, agents)),
      observe,
      redact: this.#options.redact,
      onReplaced: () => onFatal(1, new Error(`worker ${id} was replaced: another process registered with its id`)),
      onDrained: () => this.#options.onDrained(id),
      onFatal: (error) => onFatal(1, error),
    });
    this.workers.push(worker);
    this.#abandon.set(id, () => {
      worker.abandon();
      registration.abandon();
    });
    worker.start();
  }

  #facts(): Record<string, unknown> {
    const owned = this.coordinator?.owned().map(({ shard }) => shard);
    return { ...(owned ? { shards: owned } : {}), ...(this.distributor ? { workers: this.distributor.workers } : {}) };
  }
}
