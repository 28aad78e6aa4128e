import { hostname } from 'node:os';
import type { Agent } from './agent/define-agent.ts';
import { type RunningSystem, startSystem } from './app.ts';
import type { Client, Events } from './client/client.ts';
import { type Config, loadConfig } from './config/load.ts';
import type { Role } from './config/role.ts';
import type { CoordinatorState } from './coordinator/coordinator.ts';
import type { AssignOutcome, DistributorState } from './distributor/distributor.ts';
import { AgentSystemError, ConfigurationError } from './errors.ts';
import type { Logger } from './observability/logger.ts';
import type { Roles } from './roles.ts';
import type { Observation } from './runtime/observer.ts';
import { systemRuntime } from './runtime/system-runtime.ts';
import type { WorkerState } from './worker/worker.ts';

export interface SystemOptions {
  /**
   * `memory` (default): the embedded store, everything in this process. `{ redis }`: a URL as in REDIS_URL. `redis`: what
   * `settings` say of it, such as REDIS_SENTINELS or REDIS_CLUSTER_NODES.
   */
  store?: 'memory' | 'redis' | { redis: string };
  /** Default `all`. A single role needs Redis. */
  role?: Role;
  agents?: readonly Agent[];
  /** Workers in this process; default: one with `slots`. Ids are letters, digits, dots, underscores and hyphens. */
  workers?: { id: string; slots: number; labels?: Record<string, string>; resources?: Record<string, number> }[];
  /** Attempts at once of the one worker. Default 4. */
  slots?: number;
  instanceId?: string;
  hostname?: string;
  metadata?: Record<string, string>;
  /** Folder in which the embedded store keeps a journal, as DATA_DIR. Default: nothing outlives the process. */
  dataDir?: string;
  /** At least 32 bytes, the same for every process on one Redis. The embedded store makes its own. */
  secret?: string;
  /** Listens for HTTP on this port (0 = a free one). Default: no HTTP. */
  port?: number;
  host?: string;
  /** A snapshot that is put into the store, which must be empty, before any role starts: the path of its file. */
  restore?: string;
  apiKey?: string;
  /** Any other setting by its environment name, as text: `{ INSTANCE_TTL: '5s' }`. The process environment is not read. */
  settings?: Record<string, string>;
  /** Default: nothing is logged below `warn`. */
  logger?: Logger;
  /** A fault that did not end the system. */
  onError?: (error: Error) => void;
  onBecameLeader?: (shard: number) => void;
  onLostLeadership?: (shard: number) => void;
  /** Everything the parts tell about themselves. */
  onObservation?: (observation: Observation) => void;
}

export interface System {
  readonly id: string;
  readonly role: Role;
  readonly url: string | null;
  /** For a role that serves no tasks, every call is refused. */
  readonly client: Client;
  /** What happens in the whole system: the same as `client.events`. */
  readonly events: Events;
  readonly isLeader: boolean;
  /** Resolves with an exit code when the system has ended, by `stop` or by itself. */
  readonly ended: Promise<number>;
  /** Gives a queued task to a named worker of this process's distributor. */
  assignTaskToWorker(task: string | { id: string }, workerId: string): Promise<AssignOutcome>;
  batchAssignTasks(tasks: (string | { id: string })[], workerId: string): Promise<AssignOutcome[]>;
  /** What the roles of this process hold at this moment, as plain JSON; tasks are in `client.snapshot()`. */
  getStateSnapshot(): Promise<SystemState>;
  /**
   * Takes back what roles can take back: queues that were paused, and that a worker was draining. Shards, workers and
   * attempts are not: they belong to whoever is elected, registers and is assigned now.
   */
  setState(state: Partial<SystemState>): Promise<void>;
  /** Drains and ends. */
  stop(): Promise<void>;
}

/** Null and empty for roles that this process does not run. */
export interface SystemState {
  coordinator_state: CoordinatorState | null;
  distributor_state: DistributorState | null;
  worker_states: WorkerState[];
}

/**
 * Starts a system, or one role of it, in this process. Resolves when it works.
 * @throws ConfigurationError when an option or the store is refused
 */
export async function createSystem(options: SystemOptions = {}): Promise<System> {
  const running = await startSystem(configOf(options), {
    agents: [...(options.agents ?? [])],
    workers: options.workers,
    logger: options.logger,
    listen: options.port !== undefined,
    restore: options.restore,
    onObservation: (observation) => tell(observation, options),
  });
  await running.ready.catch(async (error: unknown) => {
    await running.ended;
    throw error;
  });
  return systemOver(running);
}

function configOf(options: SystemOptions): Config {
  const { store = 'memory', role = 'all', host, port } = options;
  if (!isStore(store)) {
    throw new ConfigurationError([
      `store is ${shown(store)}, wanted 'memory', 'redis' or { redis: 'redis://host:6379/0' }`,
    ]);
  }
  const env: Record<string, string | undefined> = {
    LOG_LEVEL: 'warn',
    ...options.settings,
    BROKER: store === 'memory' ? 'memory' : 'redis',
    REDIS_URL: typeof store === 'object' ? store.redis : store === 'redis' ? options.settings?.REDIS_URL : undefined,
    DATA_DIR: options.dataDir ?? options.settings?.DATA_DIR,
    A2A_TOKEN_SECRET: options.secret ?? options.settings?.A2A_TOKEN_SECRET,
    API_KEY: options.apiKey ?? options.settings?.API_KEY,
    WORKER_SLOTS: options.slots === undefined ? options.settings?.WORKER_SLOTS : String(options.slots),
    INSTANCE_METADATA: metadataText(options.metadata) ?? options.settings?.INSTANCE_METADATA,
    [ID_SETTING[role]]: options.instanceId,
  };
  const config = loadConfig({
    env,
    readFile: () => {
      throw new ConfigurationError(['createSystem reads no files: give the value itself']);
    },
    flags: { role, host, port },
    hostname: options.hostname ?? hostname(),
    randomId: systemRuntime.id,
  });
  if (config === null)
    throw new ConfigurationError([`role is ${String(role)}, wanted coordinator, distributor, worker or all`]);
  return config;
}

/** Not every caller has a compiler that checks it. */
function isStore(store: unknown): boolean {
  if (store === 'memory' || store === 'redis') return true;
  return typeof (store as { redis?: unknown } | null)?.redis === 'string';
}

/** A URL may hold a password, so of an object only the names of its fields are told. */
function shown(store: unknown): string {
  return typeof store === 'object' && store !== null ? `{ ${Object.keys(store).join(', ')} }` : JSON.stringify(store);
}

const ID_SETTING: Record<Role, string> = {
  coordinator: 'COORDINATOR_ID',
  distributor: 'DISTRIBUTOR_ID',
  worker: 'WORKER_ID',
  all: 'SERVER_ID',
};

function metadataText(metadata: Record<string, string> | undefined): string | undefined {
  if (!metadata) return undefined;
  return Object.entries(metadata)
    .map(([name, value]) => `${name}=${value}`)
    .join(',');
}

function tell(observation: Observation, options: SystemOptions): void {
  options.onObservation?.(observation);
  if (observation.type === 'leader.became') options.onBecameLeader?.(observation.shard);
  if (observation.type === 'leader.lost') options.onLostLeadership?.(observation.shard);
  if (observation.type !== 'fault') return;
  const { error, where } = observation;
  options.onError?.(error instanceof Error ? error : new Error(`${where}: ${String(error)}`));
}

function systemOver(running: RunningSystem): System {
  const distributor = () => {
    const found = running.roles?.distributor;
    if (found) return found;
    throw new AgentSystemError('NO_DISTRIBUTOR', `this process is a ${running.role}: only a distributor assigns tasks`);
  };
  const idOf = (task: string | { id: string }) => (typeof task === 'string' ? task : task.id);
  const client = (): Client => {
    if (running.client) return running.client;
    throw new AgentSystemError(
      'NO_CLIENT',
      `a ${running.role} serves no tasks: use createClient({ url }) with a coordinator`,
    );
  };
  return {
    id: running.id,
    role: running.role,
    url: running.url,
    get client(): Client {
      return client();
    },
    get events(): Events {
      return client().events;
    },
    get isLeader(): boolean {
      return running.roles?.coordinator?.isLeader ?? false;
    },
    ended: running.ended,
    assignTaskToWorker: (task, workerId) => distributor().assignTaskToWorker(idOf(task), workerId),
    batchAssignTasks: (tasks, workerId) => distributor().batchAssignTasks(tasks.map(idOf), workerId),
    getStateSnapshot: () => stateOf(running.roles),
    setState: (state) => takeBack(running.roles, state),
    stop: () => running.stop(),
  };
}

async function stateOf(roles: Roles | null): Promise<SystemState> {
  return {
    coordinator_state: (await roles?.coordinator?.getStateSnapshot()) ?? null,
    distributor_state: roles?.distributor?.getStateSnapshot() ?? null,
    worker_states: roles?.workers.map((worker) => worker.getStateSnapshot()) ?? [],
  };
}

async function takeBack(roles: Roles | null, state: Partial<SystemState>): Promise<void> {
  const { coordinator_state: coordinator, worker_states: workers = [] } = state;
  if (coordinator) await roles?.coordinator?.setState(coordinator);
  const before = new Map(workers.map((worker) => [worker.id, worker]));
  for (const worker of roles?.workers ?? []) {
    const mine = before.get(worker.getStateSnapshot().id);
    if (mine) worker.setState(mine);
  }
}
