/*
 * Puts a process together: the only file that knows every part. It opens the store, keeps the instance's place in the
 * registry, starts the roles, and answers for their health. What the parts do is theirs.
 *
 * HTTP comes first, so that probes are answered while Redis is still away; the roles follow once the store is checked.
 * When the store turns out to be another one later, the roles are stopped, and started anew with the new identity.
 */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { builtInAgents } from './agent/built-in.ts';
import type { Agent } from './agent/define-agent.ts';
import { loadAgents } from './agent/load-agents.ts';
import { AgentRegistry } from './agent/registry.ts';
import { type Api, createApi } from './api/server.ts';
import type { Client } from './client/client.ts';
import { localClient } from './client/local-client.ts';
import type { Config } from './config/load.ts';
import { policyOf } from './config/policy.ts';
import type { Role } from './config/role.ts';
import { ConfigurationError } from './errors.ts';
import { FleetView } from './fleet/fleet-view.ts';
import { RegistrationKeeper } from './fleet/registration.ts';
import { type GateState, StoreGate } from './fleet/store-gate.ts';
import { healthOf, type ProcessState, readinessOf, statusOf } from './health.ts';
import { listenOn } from './listen.ts';
import { type KeyRing, keyRing, keyRingFromSecret } from './message/keys.ts';
import { createLogger, type Logger } from './observability/logger.ts';
import { createMetrics, type Metrics } from './observability/metrics.ts';
import { createObserver } from './observability/observe.ts';
import { makeStore, openStore } from './open-store.ts';
import { Roles, type WorkerShape } from './roles.ts';
import type { Observation, Observe } from './runtime/observer.ts';
import { systemRuntime } from './runtime/system-runtime.ts';
import { AgentCatalog } from './service/agent-catalog.ts';
import { ClusterService } from './service/cluster-service.ts';
import { EventFeed } from './service/event-feed.ts';
import { TaskService } from './service/task-service.ts';
import { Waiters } from './service/waiters.ts';
import type { Store, StoreCheck } from './store/store.ts';
import { StoreClock } from './store/store-clock.ts';
import { watchStore } from './store-watch.ts';
import type { SystemPolicy } from './task/policy.ts';
import { VERSION } from './version.ts';
import type { Heart, HeartSettings } from './worker/heart.ts';
import { startHeartbeatLoop } from './worker/heartbeat-loop.ts';
import { startHeartbeatThread } from './worker/heartbeat-thread.ts';

const MEMORY_KEY_BYTES = 48;

export interface SystemExtras {
  /** Beside the built-in ones and those that AGENTS names. */
  agents?: Agent[];
  /** Workers in this process; default: one, with WORKER_SLOTS. */
  workers?: WorkerShape[];
  logger?: Logger;
  /** False: no HTTP at all. Default true. */
  listen?: boolean;
  onObservation?: Observe;
  /** Stands between everything and the store, so that a test can spoil what is stored. */
  wrapStore?: (store: Store) => Store;
}

export interface RunningSystem {
  readonly id: string;
  readonly role: Role;
  /** Where its HTTP listens; null without. */
  readonly url: string | null;
  /** Null where no tasks are served: on a distributor and on a worker. */
  readonly client: Client | null;
  readonly roles: Roles | null;
  readonly metrics: Metrics;
  /** Once the store was opened and every role works; rejects when that cannot be. */
  readonly ready: Promise<void>;
  /** Resolves with an exit code when the system has ended, by `stop` (0) or by itself. */
  readonly ended: Promise<number>;
  /** Drains and ends. */
  stop(): Promise<void>;
}

/** Starts the roles that `config` names. Resolves when HTTP listens; `ready` tells when work is done. */
export async function startSystem(config: Config, extras: SystemExtras = {}): Promise<RunningSystem> {
  const system = new System(config, extras, await makeParts(config, extras));
  await system.start();
  return system;
}

interface Parts {
  agents: AgentRegistry;
  keys: KeyRing;
  store: Store;
  logger: Logger;
  metrics: Metrics;
  observe: Observe;
}

async function makeParts(config: Config, extras: SystemExtras): Promise<Parts> {
  const { apiKey, metricsToken } = config.access;
  const generations = config.keys?.generations ?? [];
  const secrets = [...generations.map(({ secret }) => secret), config.redis?.password, apiKey, metricsToken];
  const logger =
    extras.logger ?? createLogger({ ...config.log, secrets, base: { instance: config.id, role: config.role } });
  const metrics = createMetrics({
    redis: config.redis !== null,
    runtime: systemRuntime,
    onError: (gauge, error) => observe({ type: 'fault', where: `metric ${gauge}`, error }),
  });
  const listener = createObserver({ logger, metrics, runtime: systemRuntime });
  const observe = (observation: Observation) => {
    listener(observation);
    extras.onObservation?.(observation);
  };
  const agents = new AgentRegistry([...builtInAgents]);
  for (const agent of await loadAgents(config.work.agents, process.cwd())) agents.add(agent);
  for (const agent of extras.agents ?? []) agents.add(agent);
  const keys = config.keys ? keyRing(config.keys.generations) : keyRingFromSecret(randomBytes(MEMORY_KEY_BYTES));
  const { onCommand, onConnection } = metrics.storeHooks;
  const made = await makeStore(config, systemRuntime, {
    onCommand,
    onConnection: (change) => {
      onConnection(change);
      const where = `connection for ${change.purpose}`;
      if (change.state === 'lost') observe({ type: 'store.away', where, message: 'it was cut, and is tried again' });
      if (change.state === 'reconnected') observe({ type: 'store.back', where, message: 'connected again' });
    },
  });
  const store = extras.wrapStore?.(made) ?? made;
  return { agents, keys, store, logger, metrics, observe };
}

class System implements RunningSystem {
  readonly #config: Config;
  readonly #extras: SystemExtras;
  readonly #parts: Parts;
  readonly #policy: SystemPolicy;
  readonly #gate: StoreGate;
  readonly #clock = new StoreClock(systemRuntime);
  readonly #waiters = new Waiters();
  readonly #tasks: TaskService | null;
  readonly #cluster: ClusterService | null;
  readonly #feed: EventFeed | null;
  readonly #startedAt = systemRuntime.now();
  readonly #opening = new AbortController();
  readonly ended: Promise<number>;
  readonly ready: Promise<void>;
  readonly client: Client | null;
  #end: (code: number) => void = () => undefined;
  #settleReady: { resolve: () => void; reject: (error: unknown) => void } = { resolve: noop, reject: noop };
  #api: Api | null = null;
  #check: StoreCheck | null = null;
  #phase: ProcessState['phase'] = 'starting';
  #stopping: Promise<void> | null = null;
  roles: Roles | null = null;
  url: string | null = null;

  constructor(config: Config, extras: SystemExtras, parts: Parts) {
    this.#config = config;
    this.#extras = extras;
    this.#parts = parts;
    this.#policy = policyOf(config);
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.ready = new Promise((resolve, reject) => {
      this.#settleReady = { resolve, reject };
    });
    // Whoever does not ask hears of it by `ended`.
    this.ready.catch(noop);
    const { observe, keys } = parts;
    const runtime = systemRuntime;
    this.#gate = new StoreGate(parts.store, runtime, (state) => this.#storeChanged(state));
    const { store } = this.#gate;
    const policy = this.#policy;
    const clock = this.#clock;
    const waiters = this.#waiters;
    const catalog = new AgentCatalog(store, runtime);
    const serves = config.role === 'coordinator' || config.role === 'all';
    const durability = () => this.#check?.durability ?? 'memory';
    this.#tasks = serves
      ? new TaskService({ store, keys, clock, runtime, policy, catalog, waiters, observe, durability })
      : null;
    const view = new FleetView({ store, keys, clock, observe, policy });
    const heartbeats = () => view.look();
    this.#cluster = serves ? new ClusterService({ store, runtime, policy, catalog, heartbeats }) : null;
    this.#feed = serves
      ? new EventFeed({
          store,
          shards: policy.shards,
          runtime,
          observe,
          onChanges: (changes) => this.#changed(changes),
        })
      : null;
    this.client =
      this.#tasks && this.#cluster ? localClient({ tasks: this.#tasks, cluster: this.#cluster, runtime }) : null;
  }

  get id(): string {
    return this.#config.id;
  }

  get role(): Role {
    return this.#config.role;
  }

  get metrics(): Metrics {
    return this.#parts.metrics;
  }

  async start(): Promise<void> {
    const { logger } = this.#parts;
    for (const warning of this.#config.warnings) logger.warn(warning);
    if (this.#extras.listen !== false) await this.#listen();
    logger.info({ version: VERSION, url: this.url }, 'Started');
    this.#observeSelf();
    void this.#open();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop(0);
    return this.#stopping;
  }

  // Opening

  async #open(): Promise<void> {
    try {
      await this.#openStore();
      this.#feed?.start();
      await this.#startRoles();
      this.#gate.watch();
      void this.#watchStore();
      this.#phase = 'running';
      this.#parts.logger.info({ store: this.#check?.description, durability: this.#check?.durability }, 'Ready');
      this.#settleReady.resolve();
    } catch (error) {
      if (!this.#opening.signal.aborted) this.#fail(error instanceof ConfigurationError ? 78 : 1, error);
    }
  }

  async #openStore(): Promise<void> {
    const { store, logger } = this.#parts;
    const claims = this.role === 'coordinator' || this.role === 'all';
    const { check, identity } = await openStore({
      store,
      runtime: systemRuntime,
      shards: this.#policy.shards,
      claims,
      signal: this.#opening.signal,
      onAway: (message) => logger.error({ reason: message, next: 'it is tried again' }, 'Redis connection failed'),
      onNoIdentity: () => logger.warn('Waiting for a coordinator: none has set up this store yet'),
    });
    this.#checked(check);
    this.#policy.deployment = identity.uuid;
    this.#gate.open(identity);
  }

  #watchStore(): Promise<void> {
    const { store } = this.#parts;
    const { cleanupIntervalMs: everyMs } = this.#policy;
    const onCheck = (check: StoreCheck) => this.#checked(check);
    return watchStore({ store, runtime: systemRuntime, everyMs, signal: this.#opening.signal, onCheck });
  }

  /** What changed since the last check is said once; as long as it lasts, health and readiness say it. */
  #checked(check: StoreCheck): void {
    const { logger } = this.#parts;
    const known = new Set([...(this.#check?.problems ?? []), ...(this.#check?.warnings ?? [])]);
    for (const problem of check.problems) if (!known.has(problem)) logger.error(problem);
    for (const warning of check.warnings) if (!known.has(warning)) logger.warn(warning);
    this.#check = check;
  }

  async #startRoles(): Promise<void> {
    const { keys, agents, observe } = this.#parts;
    const roles = new Roles({
      config: this.#config,
      policy: this.#policy,
      store: this.#gate.store,
      keys,
      clock: this.#clock,
      runtime: systemRuntime,
      observe,
      agents,
      workers: this.#extras.workers ?? [{ id: this.#workerId(), slots: this.#config.work.slots }],
      register: (id, role, facts) => this.#register(id, role, facts),
      makeHeart: (settings) => this.#makeHeart(settings),
      onCommitted: (task) => this.#waiters.tell(task.id, task.state),
      onFatal: (code, error) => this.#fail(code, error),
    });
    this.roles = roles;
    await roles.start();
  }

  /** In a process with all roles the worker is an instance beside the process's own. */
  #workerId(): string {
    return this.role === 'worker' ? this.id : `${this.id}.worker`;
  }

  async #register(id: string, role: string, facts: () => Record<string, unknown>): Promise<RegistrationKeeper> {
    const { logger, agents } = this.#parts;
    const keeper = new RegistrationKeeper({
      store: this.#gate.store,
      runtime: systemRuntime,
      instance: {
        id,
        role,
        host: hostname(),
        pid: process.pid,
        version: VERSION,
        url: this.url,
        agents: role === 'worker' ? agents.names() : [],
        metadata: { ...this.#config.metadata },
        facts: {},
      },
      heartbeatIntervalMs: this.#policy.heartbeatIntervalMs,
      instanceTtlMs: this.#policy.instanceTtlMs,
      isAlive,
      onWaiting: (holder) =>
        logger.warn({ id, host: holder.host, pid: holder.pid }, 'Waiting: another living process holds this id'),
      onReplaced: () => this.#fail(1, new Error(`another process registered with the id ${id}`)),
      facts,
    });
    await keeper.register(this.#opening.signal);
    keeper.keep();
    return keeper;
  }

  /** In a thread of its own, unless the store lives in this one or the sources run uncompiled. */
  #makeHeart(settings: HeartSettings): Heart {
    const { keys } = this.#parts;
    const runtime = systemRuntime;
    const entry = new URL('./worker-heart.js', import.meta.url);
    const compiled = import.meta.url.endsWith('.js');
    if (this.#config.redis === null || !compiled) {
      return startHeartbeatLoop(settings, { store: this.#gate.store, keys, runtime });
    }
    return startHeartbeatThread({ entry, workerData: { config: this.#config, settings }, runtime });
  }

  // Changes

  #changed(changes: { id: string; state: string }[]): void {
    for (const { id, state } of changes) this.#waiters.tell(id, state);
  }

  /** The store lost its identity, or has another one now. */
  #storeChanged(state: GateState): void {
    const { logger } = this.#parts;
    if (!state.open) {
      logger.error({ reason: state.reason }, 'The store is not the one this process worked with: nothing is done now');
      this.roles?.setUsable(false);
      return;
    }
    logger.warn({ deployment: state.identity.uuid }, 'The store has a new identity: the roles start anew');
    this.#policy.deployment = state.identity.uuid;
    void this.#restartRoles();
  }

  async #restartRoles(): Promise<void> {
    try {
      await this.roles?.stop(0);
      if (this.#stopping === null) await this.#startRoles();
    } catch (error) {
      this.#fail(1, error);
    }
  }

  #fail(code: number, error: unknown): void {
    this.#settleReady.reject(error);
    if (this.#stopping !== null) return;
    const { logger } = this.#parts;
    if (error instanceof ConfigurationError) for (const problem of error.problems) logger.fatal({ code }, problem);
    else logger.fatal({ err: error, code }, error instanceof Error ? error.message : String(error));
    this.#stopping = this.#stop(code);
  }

  async #stop(code: number): Promise<void> {
    const { logger, store } = this.#parts;
    this.#phase = 'draining';
    this.#opening.abort(new Error('stopped'));
    this.#settleReady.reject(new Error('the system was stopped before it was ready'));
    logger.info({ drainMs: this.#config.time.drainTimeoutMs }, 'Draining');
    await this.roles?.stop(code === 0 ? this.#config.time.drainTimeoutMs : 0);
    await this.#api?.close();
    await this.#feed?.stop();
    await this.#gate.stop();
    await store.close();
    logger.info('Stopped');
    this.#end(code);
  }

  // What others see

  async #listen(): Promise<void> {
    const { observe, metrics } = this.#parts;
    const { access, host, port, portIsDefault } = this.#config;
    const context = {
      tasks: this.#tasks,
      cluster: this.#cluster,
      health: () => healthOf(this.#state()),
      readiness: () => readinessOf(this.#state()),
      status: () => statusOf(this.#state()),
      metrics: () => metrics.render(),
      access: { apiKey: access.apiKey, metricsToken: access.metricsToken },
      limits: { maxPayloadBytes: this.#policy.maxPayloadBytes },
      runtime: systemRuntime,
      observe,
    };
    const api = createApi(context);
    this.#api = api;
    const mayMove = portIsDefault && (this.role === 'worker' || this.role === 'distributor');
    this.url = await listenOn(api, { host, port, mayMove }, this.#parts.logger);
  }

  #state(): ProcessState {
    const { store } = this.#parts;
    return {
      config: this.#config,
      version: VERSION,
      phase: this.#phase,
      uptimeMs: systemRuntime.now() - this.#startedAt,
      connected: store.kind === 'redis' ? store.connected : null,
      gate: this.#gate.state,
      check: this.#check,
      roles: this.roles,
    };
  }

  #observeSelf(): void {
    const { metrics } = this.#parts;
    metrics.watch({
      connected: () => this.#state().connected,
      owned: () => this.roles?.coordinator?.owned().map(({ shard }) => shard) ?? [],
      workers: () => this.roles?.workers.map((worker) => worker.stats()) ?? [],
      cluster: this.#cluster,
    });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code === 'EPERM';
  }
}

function noop(): void {}
