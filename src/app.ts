/*
 * Puts a process together: the only file that knows every part. It opens the store, keeps the instance's place in the
 * registry, starts the roles, and answers for their health. What the parts do is theirs.
 *
 * HTTP comes first, so that probes are answered while Redis is still away; the roles follow once the store is checked.
 * When the store turns out to be another one later, the roles are stopped, and started anew with the new identity.
 */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { openAccess, watchAccess } from './access-files.ts';
import { builtInAgents } from './agent/built-in.ts';
import type { Agent } from './agent/define-agent.ts';
import { configuredHttpAgents } from './agent/http/configured-agents.ts';
import { loadAgents } from './agent/load-agents.ts';
import { AgentRegistry } from './agent/registry.ts';
import { type Api, createApi } from './api/server.ts';
import type { Client } from './client/client.ts';
import { localClient } from './client/local-client.ts';
import type { Config } from './config/load.ts';
import { policyOf } from './config/policy.ts';
import type { Role } from './config/role.ts';
import { ConfigurationError } from './errors.ts';
import { RegistrationKeeper } from './fleet/registration.ts';
import { type GateState, StoreGate } from './fleet/store-gate.ts';
import { healthOf, type ProcessState, readinessOf, statusOf } from './health.ts';
import { KEPT_GENERATION, keptKey } from './kept-key.ts';
import { openKeyRing, watchKeyFile } from './key-file.ts';
import { listenOn } from './listen.ts';
import { type KeyRing, keyRingFromSecret } from './message/keys.ts';
import { workerPrincipal } from './message/principals.ts';
import type { KeySet, RotatingKeyRing } from './message/rotating-key-ring.ts';
import { createLogger, type Logger } from './observability/logger.ts';
import { createMetrics, type Metrics } from './observability/metrics.ts';
import { createObserver } from './observability/observe.ts';
import { createTextRedactor, type Secret } from './observability/redact.ts';
import { commandHooks, makeStore, openStore } from './open-store.ts';
import { restoreFile } from './restore-file.ts';
import { Roles, type WorkerShape } from './roles.ts';
import type { Observation, Observe } from './runtime/observer.ts';
import { systemRuntime } from './runtime/system-runtime.ts';
import { secretsOf, secretsOfKeys, secretsOfPem } from './secrets-of.ts';
import { AgentCatalog } from './service/agent-catalog.ts';
import { EventFeed } from './service/event-feed.ts';
import { ForwardingSender } from './service/send-forward.ts';
import type { Sending } from './service/send-service.ts';
import { Waiters } from './service/waiters.ts';
import { makeServices, type Services } from './services.ts';
import type { Store, StoreCheck } from './store/store.ts';
import { StoreClock } from './store/store-clock.ts';
import { watchStore } from './store-watch.ts';
import type { SystemPolicy } from './task/policy.ts';
import { tellOfJournal } from './tell-of-journal.ts';
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
  /** A snapshot that is put into the store, which must be empty, before any role starts. */
  restore?: string | undefined;
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
  /** The workers here have these agents from now on, beside the built-in ones; those that run go on as they are. */
  replaceAgents(agents: readonly Agent[]): Promise<void>;
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
  /** The same ring where it can change; null with the key that an embedded store is given. */
  rotating: RotatingKeyRing | null;
  /** Kept out of the log. */
  secrets: Secret[];
  store: Store;
  logger: Logger;
  metrics: Metrics;
  observe: Observe;
}

async function makeParts(config: Config, extras: SystemExtras): Promise<Parts> {
  const secrets = secretsOf(config);
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
  const agents = new AgentRegistry(ownAgents(config));
  for (const agent of await loadAgents(config.work.agents, process.cwd())) agents.add(agent);
  for (const agent of extras.agents ?? []) agents.add(agent);
  const rotating = config.keys ? openKeyRing(config.keys, systemRuntime) : null;
  const ownKey = rotating ? null : await ownKeyOf(config);
  if (ownKey !== null) secrets.push(ownKey);
  const keys = rotating ?? keyRingFromSecret(ownKey!, config.journal ? KEPT_GENERATION : undefined);
  const { onCommand, onConnection } = metrics.storeHooks;
  const told = commandHooks(observe);
  const made = await makeStore(config, systemRuntime, {
    onNews: (news) => tellOfJournal(news, logger),
    onCommand: (command, seconds, facts) => {
      onCommand(command, seconds, facts);
      if (logger.isLevelEnabled('debug')) told.onCommand(command, seconds, facts);
    },
    onRetry: told.onRetry,
    onConnection: (change) => {
      onConnection(change);
      const where = `connection for ${change.purpose}`;
      if (change.state === 'lost') observe({ type: 'store.away', where, message: 'it was cut, and is tried again' });
      if (change.state === 'reconnected') observe({ type: 'store.back', where, message: 'connected again' });
    },
  });
  const store = extras.wrapStore?.(made) ?? made;
  return { agents, keys, rotating, secrets, store, logger, metrics, observe };
}

/** Of an embedded store that was given no key. */
async function ownKeyOf({ journal }: Config): Promise<string | Uint8Array> {
  const fresh = randomBytes(MEMORY_KEY_BYTES);
  return journal ? keptKey(journal.folder, fresh) : fresh;
}

/** Those that need no module. */
function ownAgents({ work, limits }: Config): Agent[] {
  return [...builtInAgents, ...configuredHttpAgents(work.http, limits.maxPayloadBytes)];
}

class System implements RunningSystem {
  readonly #config: Config;
  readonly #extras: SystemExtras;
  readonly #parts: Parts;
  readonly #policy: SystemPolicy;
  readonly #gate: StoreGate;
  readonly #clock = new StoreClock(systemRuntime);
  readonly #waiters = new Waiters();
  readonly #services: Services | null;
  readonly #send: Sending;
  readonly #catalog: AgentCatalog;
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
    this.#catalog = catalog;
    const serves = config.role === 'coordinator' || config.role === 'all';
    const durability = () => this.#check?.durability ?? 'memory';
    this.#services = serves
      ? makeServices({
          store,
          keys,
          clock,
          runtime,
          policy,
          catalog,
          waiters,
          observe,
          durability,
          id: config.id,
          stepDown: (o) => this.roles?.coordinator?.stepDown(o) ?? [],
          describeStore: () => this.#check?.description ?? null,
        })
      : null;
    // One that runs on its own speaks in its own name, the others as what they are.
    const principal = config.role === 'worker' ? workerPrincipal(config.id) : 'distributors';
    this.#send =
      this.#services?.send ??
      new ForwardingSender({ store, keys, clock, runtime, policy, observe, catalog, principal, id: config.id });
    this.#feed = serves
      ? new EventFeed({
          store,
          shards: policy.shards,
          runtime,
          observe,
          onChanges: (changes) => {
            this.#changed(changes);
            this.#services?.events.heard();
          },
        })
      : null;
    this.client = this.#services && localClient({ ...this.#services, runtime });
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
    this.#watchKeys();
    void this.#open();
  }

  async replaceAgents(agents: readonly Agent[]): Promise<void> {
    this.#parts.agents.replace([...ownAgents(this.#config), ...agents]);
    await this.roles?.agentsChanged();
    await this.#catalog.reload();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop(0);
    return this.#stopping;
  }

  // Opening

  async #open(): Promise<void> {
    try {
      await this.#openStore();
      await this.#restore();
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

  /** @throws ConfigurationError when there is no such file, it is refused, or the store holds other tasks */
  async #restore(): Promise<void> {
    const { restore: path } = this.#extras;
    if (path === undefined) return;
    const { store, keys, logger } = this.#parts;
    const { signal } = this.#opening;
    const options = { store, keys, runtime: systemRuntime, policy: this.#policy, signal };
    const { snapshot, ...done } = await restoreFile(path, options);
    logger.info({ file: path, takenAt: snapshot.takenAt, digest: snapshot.digest, ...done }, 'Snapshot restored');
  }

  #watchKeys(): void {
    const { rotating: ring, secrets, observe } = this.#parts;
    const { keys } = this.#config;
    if (ring === null || keys === null) return;
    const { signal } = this.#opening;
    const onKeys = (found: KeySet) => void secrets.push(...secretsOfKeys(found));
    void watchKeyFile({ keys, ring, runtime: systemRuntime, signal, observe, onKeys });
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
      redact: createTextRedactor(this.#parts.secrets),
      onCommitted: (task) => this.#waiters.tell(task.id, task.state),
      admit: this.#services ? (submit) => this.#services!.admit.admit(submit) : undefined,
      onDrained: () => {
        if (this.role === 'worker') void this.stop();
      },
      fireSchedules: async (shard) => this.#services?.schedules.fireDue(shard) ?? 0,
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
    const { logger, observe } = this.#parts;
    const workerData = { config: this.#config, settings, tellsCommands: logger.isLevelEnabled('debug') };
    return startHeartbeatThread({ entry, workerData, runtime, onTold: observe });
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
    this.#services?.events.stop();
    await this.#feed?.stop();
    await this.#gate.stop();
    await store.close();
    logger.info('Stopped');
    this.#end(code);
  }

  // What others see

  async #listen(): Promise<void> {
    const { observe, metrics } = this.#parts;
    const { access, tls, host, port, portIsDefault } = this.#config;
    const parts = openAccess(this.#config, systemRuntime);
    const context = {
      tasks: this.#services?.tasks ?? null,
      cluster: this.#services?.cluster ?? null,
      schedules: this.#services?.schedules ?? null,
      services: this.#services,
      send: this.#send,
      health: () => healthOf(this.#state()),
      readiness: () => readinessOf(this.#state()),
      status: () => statusOf(this.#state()),
      metrics: () => metrics.render(),
      access: parts,
      tls: tls?.pem ?? null,
      rateLimit: access.rateLimit,
      trustProxy: access.trustProxy,
      limits: { maxPayloadBytes: this.#policy.maxPayloadBytes },
      runtime: systemRuntime,
      observe,
    };
    const api = createApi(context);
    this.#api = api;
    watchAccess({
      config: this.#config,
      parts,
      replaceTls: (pem) => {
        this.#parts.secrets.push(...secretsOfPem(pem.key));
        api.replaceTls(pem);
      },
      runtime: systemRuntime,
      signal: this.#opening.signal,
      observe,
    });
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
      connected: store.kind === 'redis' || !store.connected ? store.connected : null,
      gate: this.#gate.state,
      check: this.#check,
      roles: this.roles,
    };
  }

  #observeSelf(): void {
    const { metrics } = this.#parts;
    metrics.watch({
      connected: () => (this.#config.redis === null ? null : this.#state().connected),
      owned: () => this.roles?.coordinator?.owned().map(({ shard }) => shard) ?? [],
      workers: () => this.roles?.workers.map((worker) => worker.stats()) ?? [],
      cluster: this.#services?.cluster ?? null,
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
