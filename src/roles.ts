import { cardOf } from './agent/card.ts';
import type { AgentRegistry } from './agent/registry.ts';
import type { Config } from './config/load.ts';
import { Coordinator } from './coordinator/coordinator.ts';
import { Distributor } from './distributor/distributor.ts';
import type { Ports } from './fleet/ports.ts';
import type { RegistrationKeeper } from './fleet/registration.ts';
import type { TaskRecord } from './task/task.ts';
import type { Heart, HeartSettings } from './worker/heart.ts';
import { heartSettings, Worker, type WorkerSettings } from './worker/worker.ts';

export interface WorkerShape {
  id: string;
  slots: number;
}

export interface RolesOptions extends Ports {
  config: Config;
  agents: AgentRegistry;
  workers: WorkerShape[];
  /** Puts an instance of this process into the registry; resolves once it stands there. */
  register: (id: string, role: string, facts: () => Record<string, unknown>) => Promise<RegistrationKeeper>;
  makeHeart: (settings: HeartSettings) => Heart;
  onCommitted: (task: TaskRecord) => void;
  /** The process should end with this exit code. */
  onFatal: (code: number, error: Error) => void;
}

/** The roles of one process, for one identity of the store: made, started and stopped together. */
export class Roles {
  readonly #options: RolesOptions;
  readonly #registrations: RegistrationKeeper[] = [];
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
      worker.stats().ready ? [] : [`worker ${this.#options.workers[i]?.id} takes no work now`],
    );
  }

  #startCoordinator(): void {
    const { config, store, keys, clock, runtime, policy, observe, onCommitted } = this.#options;
    this.coordinator = new Coordinator({ id: config.id, store, keys, clock, runtime, policy, observe, onCommitted });
    this.coordinator.start();
  }

  #startDistributor(): void {
    const { config, store, keys, clock, runtime, policy, observe } = this.#options;
    const { batchSizeMax } = config.limits;
    this.distributor = new Distributor({ id: config.id, store, keys, clock, runtime, policy, observe, batchSizeMax });
    this.distributor.start();
  }

  async #startWorkers(): Promise<void> {
    const { store, agents, workers } = this.#options;
    await store.announce(agents.list().map((agent) => ({ name: agent.name, card: JSON.stringify(cardOf(agent)) })));
    await Promise.all(workers.map((shape) => this.#startWorker(shape)));
  }

  async #startWorker({ id, slots }: WorkerShape): Promise<void> {
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
      resources: { ...config.work.resources },
      labels: { ...config.work.labels },
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
      onReplaced: () => onFatal(1, new Error(`worker ${id} was replaced: another process registered with its id`)),
      onFatal: (error) => onFatal(1, error),
    });
    this.workers.push(worker);
    worker.start();
  }

  #facts(): Record<string, unknown> {
    const owned = this.coordinator?.owned().map(({ shard }) => shard);
    return { ...(owned ? { shards: owned } : {}), ...(this.distributor ? { workers: this.distributor.workers } : {}) };
  }
}
