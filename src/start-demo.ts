/*
 * The systems that the demo runs on. Embedded, all roles are in this process. On Redis each role is a process of this
 * same program, with a secret, an API key and a key prefix made for this one run; afterwards nothing of it is left.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startSystem } from './app.ts';
import { createClient } from './client/http-client.ts';
import { childEnvironment } from './config/child-environment.ts';
import { type Config, loadConfig } from './config/load.ts';
import type { DemoSystem, StartDemoOptions } from './demo/demo-system.ts';
import { RoleProcess } from './demo/role-process.ts';
import { AgentSystemError, ConfigurationError } from './errors.ts';
import { pause, type Runtime } from './runtime/runtime.ts';
import { systemRuntime } from './runtime/system-runtime.ts';

/** 5 bits each. */
const SECRET_LENGTH = 52;
const PREFIX_RANDOM_LENGTH = 12;
const START_MS_MAX = 30_000;
const STOP_MS_MAX = 5_000;
/** Times that a worker's death is noticed by; without one they are the usual ones. */
const CRASH_TIMES = { HEARTBEAT_INTERVAL: '500ms', RETRY_BACKOFF: '100ms' };
/** In this process the heart shares its loop with the handlers, and may have to wait for one. */
const CRASH_TTL_MS = { embedded: 2_000, redis: 1_500 };
const USUAL_TTL_MS = 15_000;

/** @throws ConfigurationError for a Redis that is not to be used, StoreUnavailableError for one that does not answer */
export function startDemo(options: StartDemoOptions): Promise<DemoSystem> {
  return options.redis === null ? startEmbedded(options) : startOnRedis(options, options.redis);
}

// Embedded

async function startEmbedded(options: StartDemoOptions): Promise<DemoSystem> {
  const instanceTtlMs = options.crash ? CRASH_TTL_MS.embedded : USUAL_TTL_MS;
  // Its log would run through the progress bar; what goes wrong reaches the person as the demo's own error.
  const env = { ...settingsOf(options, instanceTtlMs), BROKER: 'memory', LOG_LEVEL: 'silent' };
  const system = await startSystem(configOf(env, 'all'), {
    agents: [...options.agents],
    workers: [...options.workers],
    listen: false,
  });
  await system.ready;
  return {
    client: system.client!,
    processes: [],
    instanceTtlMs,
    ended: system.ended.then((code) => `the system ended with exit code ${code}`),
    kill: (worker) => void system.roles?.abandonWorker(worker),
    stop: () => system.stop(),
  };
}

function settingsOf({ crash, maxPayloadBytes }: StartDemoOptions, instanceTtlMs: number): Record<string, string> {
  const times = crash ? { ...CRASH_TIMES, INSTANCE_TTL: `${instanceTtlMs}ms` } : {};
  return { ...times, MAX_PAYLOAD_BYTES: `${maxPayloadBytes}` };
}

function configOf(env: Record<string, string>, role: 'all' | 'coordinator'): Config {
  const readFile = (path: string) => readFileSync(path, 'utf8');
  return loadConfig({ env, readFile, flags: { role }, hostname: 'demo', randomId: systemRuntime.id })!;
}

// On Redis

async function startOnRedis(options: StartDemoOptions, url: string): Promise<DemoSystem> {
  const instanceTtlMs = options.crash ? CRASH_TTL_MS.redis : USUAL_TTL_MS;
  const prefix = `agent-system-demo-${systemRuntime.id(PREFIX_RANDOM_LENGTH)}`;
  const env = {
    ...childEnvironment(),
    ...settingsOf(options, instanceTtlMs),
    BROKER: 'redis',
    REDIS_URL: url,
    REDIS_KEY_PREFIX: prefix,
    A2A_TOKEN_SECRET: systemRuntime.id(SECRET_LENGTH),
    API_KEY: systemRuntime.id(SECRET_LENGTH),
    AGENTS: fileURLToPath(new URL('./demo/demo-agents.js', import.meta.url)),
    LOG_LEVEL: 'info',
    LOG_FORMAT: 'json',
  };
  const place = await reach(env, prefix);
  const roles = new DemoRoles(options, env, systemRuntime);
  const stop = async () => {
    await roles.stop();
    await place.clean();
  };
  try {
    const coordinator = await roles.start();
    return {
      client: createClient({ url: coordinator, apiKey: env.API_KEY }),
      processes: roles.all.map(({ role, id, pid }) => ({ role, id, pid })),
      instanceTtlMs,
      ended: roles.ended,
      kill: (worker) => roles.kill(worker),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Asked before anything is started, so that a wrong address is told at once and only once. */
async function reach(env: Record<string, string>, prefix: string): Promise<{ clean: () => Promise<void> }> {
  const { redis } = refusing('REDIS_URL', '--redis', () => configOf(env, 'coordinator'));
  const { Connection } = await import('./store/redis/connect.ts');
  const { removePrefix } = await import('./store/redis/remove-prefix.ts');
  const connect = () => new Connection({ address: redis!, runtime: systemRuntime, name: 'agent-system:demo' });
  const connection = connect();
  try {
    await connection.call('ping', []);
  } catch (error) {
    if (!(error instanceof AgentSystemError) || error.code !== 'STORE_FORBIDDEN') throw error;
    throw new ConfigurationError([`${error.message}; wanted a user who may use every command: check --redis`]);
  } finally {
    connection.close();
  }
  const clean = async () => {
    // A connection of its own: the first one would have been idle for the whole demo.
    const cleaning = connect();
    try {
      await removePrefix(cleaning, prefix);
    } finally {
      cleaning.close();
    }
  };
  return { clean };
}

/** What the person gave by another name is told by that name. */
function refusing<T>(name: string, given: string, load: () => T): T {
  try {
    return load();
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    throw new ConfigurationError(error.problems.map((problem) => problem.replaceAll(name, given)));
  }
}

const ID_SETTING = { coordinator: 'COORDINATOR_ID', distributor: 'DISTRIBUTOR_ID', worker: 'WORKER_ID' } as const;

/** A coordinator, a distributor and the workers, a process each, started and ended together. */
class DemoRoles {
  readonly all: RoleProcess[] = [];
  /** Resolves with the reason when one of them ends that nobody has told to. */
  readonly ended: Promise<string>;
  readonly #options: StartDemoOptions;
  readonly #env: Record<string, string>;
  readonly #runtime: Runtime;
  readonly #told = new Set<RoleProcess>();
  #onEnded: (why: string) => void = () => undefined;

  constructor(options: StartDemoOptions, env: Record<string, string>, runtime: Runtime) {
    this.#options = options;
    this.#env = env;
    this.#runtime = runtime;
    this.ended = new Promise((resolve) => {
      this.#onEnded = resolve;
    });
  }

  /** Resolves with the coordinator's address once all of them work. */
  async start(): Promise<string> {
    const { workers, signal } = this.#options;
    const coordinator = this.#spawn('coordinator', 'coordinator-1', {});
    this.#spawn('distributor', 'distributor-1', {});
    for (const { id, slots } of workers) this.#spawn('worker', id, { WORKER_SLOTS: `${slots}` });
    const all = Promise.all(this.all.map((one) => this.#works(one)));
    const patience = new AbortController();
    const giveUp = pause(this.#runtime, START_MS_MAX, AbortSignal.any([signal, patience.signal]));
    const late = giveUp.then(() => {
      signal.throwIfAborted();
      throw this.#late();
    });
    try {
      await Promise.race([all, late]);
    } finally {
      late.catch(() => undefined);
      all.catch(() => undefined);
      patience.abort();
    }
    return (await coordinator.ready)!;
  }

  kill(worker: string): void {
    const found = this.all.find(({ id }) => id === worker);
    if (!found) throw new AgentSystemError('NO_WORKER', `the demo has no worker ${worker}`);
    this.#told.add(found);
    found.kill();
  }

  /** Workers before those they report to. */
  async stop(): Promise<void> {
    for (const one of this.all) this.#told.add(one);
    const isWorker = ({ role }: RoleProcess) => role === 'worker';
    await Promise.all(this.all.filter(isWorker).map((one) => one.stop(STOP_MS_MAX)));
    await Promise.all(this.all.filter((one) => !isWorker(one)).map((one) => one.stop(STOP_MS_MAX)));
  }

  #spawn(role: RoleProcess['role'], id: string, settings: Record<string, string>): RoleProcess {
    const env = { ...this.#env, ...settings, [ID_SETTING[role]]: id, [`${role.toUpperCase()}_PORT`]: '0' };
    const entry = fileURLToPath(new URL('./cli/main.js', import.meta.url));
    const started = new RoleProcess({ role, id, entry, env, runtime: this.#runtime });
    this.all.push(started);
    void started.ended.then((code) => {
      if (!this.#told.has(started))
        this.#onEnded(`${id} (pid ${started.pid}) ended by itself (${code})${told(started)}`);
    });
    return started;
  }

  async #works(one: RoleProcess): Promise<void> {
    if ((await one.ready) !== null) return;
    const code = await one.ended;
    const said = one.said.map((line) => `${one.role}: ${line}`);
    if (code === REFUSED && said.length > 0) throw new ConfigurationError(said);
    throw new AgentSystemError('ROLE_ENDED', `${one.id} ended before it was ready (${code})${told(one)}`);
  }

  #late(): AgentSystemError {
    const said = this.all.flatMap((one) => one.said.slice(-1).map((line) => `${one.id}: ${line}`));
    const what = `the roles were not ready within ${START_MS_MAX / 1_000} s`;
    return new AgentSystemError('DEMO_START_LATE', [what, ...said].join('; '));
  }
}

/** The exit code of a role that refuses its configuration, or its Redis. */
const REFUSED = 78;

function told({ said }: RoleProcess): string {
  return said.length === 0 ? '' : `; it said: ${said.slice(-3).join('; ')}`;
}
