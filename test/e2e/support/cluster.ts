/** A whole system in separate processes on one redis-server: started together, watched, and ended whatever happened. */
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { HistoryLine, TaskView } from '../../../src/task/view.ts';
import { Hopeless, pause, within } from './eventually.ts';
import { RedisProcess } from './redis-process.ts';
import { type RoleName, RoleProcess } from './role-process.ts';

export const SECRET = 'e2e-secret-of-this-test-0123456789abcdefghij';
export const INSTANCE_TTL_MS = 1_000;
export const LEADER_TTL_MS = 1_000;
const AGENTS = fileURLToPath(new URL('./agents.mjs', import.meta.url));
const BATCH = 200;
const PAGE = 500;
const READS_AT_ONCE = 20;

const SETTINGS = {
  A2A_TOKEN_SECRET: SECRET,
  COORDINATOR_PORT: '0',
  DISTRIBUTOR_PORT: '0',
  WORKER_PORT: '0',
  HEARTBEAT_INTERVAL: '250ms',
  INSTANCE_TTL: `${INSTANCE_TTL_MS}ms`,
  LEADER_TTL: `${LEADER_TTL_MS}ms`,
  CLEANUP_INTERVAL: '1s',
  RETRY_BACKOFF: '100ms',
  AGENTS,
};

const ID_SETTING: Record<RoleName, string> = {
  coordinator: 'COORDINATOR_ID',
  distributor: 'DISTRIBUTOR_ID',
  worker: 'WORKER_ID',
  all: 'SERVER_ID',
};

export interface Traced {
  event: 'began' | 'ended' | 'told';
  task: string;
  attempt: number;
  run: string;
  pid: number;
  at: number;
}

export interface Request {
  agent: string;
  input?: unknown;
  key?: string;
  [more: string]: unknown;
}

export interface ClusterShape {
  coordinators?: number;
  distributors?: number;
  workers?: number;
  /** Beside the short times that every test has. */
  settings?: Record<string, string>;
  redis?: RedisProcess;
}

export class Cluster {
  readonly redis: RedisProcess;
  readonly roles: RoleProcess[] = [];
  readonly #settings: Record<string, string>;
  readonly #dir: string;

  constructor(redis: RedisProcess, dir: string, settings: Record<string, string>) {
    this.redis = redis;
    this.#dir = dir;
    this.#settings = { ...SETTINGS, REDIS_URL: redis.url, E2E_TRACE: join(dir, 'trace'), ...settings };
  }

  get shards(): number {
    return Number(this.#settings.SHARDS ?? 1);
  }

  /** Starts a role and does not wait for it. */
  start(role: RoleName, id: string, settings: Record<string, string> = {}): RoleProcess {
    const process = new RoleProcess(role, id, { ...this.#settings, [ID_SETTING[role]]: id, ...settings });
    this.roles.push(process);
    return process;
  }

  /** The living process with this id. */
  role(id: string): RoleProcess {
    const found = this.roles.findLast((one) => one.id === id && one.alive);
    if (!found) throw new Error(`no living process has the id ${id}`);
    return found;
  }

  living(role: RoleName): RoleProcess[] {
    return this.roles.filter((one) => one.role === role && one.alive);
  }

  async allReady(): Promise<void> {
    await Promise.all(this.roles.filter((one) => one.alive).map((one) => one.ready()));
    if (this.living('coordinator').length > 0 && this.living('distributor').length > 0) await this.#workersTold();
  }

  /**
   * A worker is ready before its heartbeat has named the distributor that it found: one that is stopped in between would
   * be given nothing.
   */
  async #workersTold(): Promise<void> {
    const ids = this.living('worker').map(({ id }) => id);
    await within(10_000, 'every worker has told its distributor', async () => {
      const { status, body } = await this.call('/v1/workers');
      // Where callers need a key, the test has its own ways.
      if (status === 401 || status === 403) return true;
      const { workers } = body as { workers: { id: string; state: string; distributor: string | null }[] };
      const told = workers.filter(({ state, distributor }) => state === 'ready' && distributor !== null);
      return ids.every((id) => told.some((worker) => worker.id === id));
    });
  }

  /** The coordinator that owns a shard now. */
  async owner(shard = 0, ms = 5_000): Promise<RoleProcess> {
    return within(ms, `shard ${shard} has a living owner`, async () => {
      for (const one of this.living('coordinator')) if ((await shardsOf(one)).includes(shard)) return one;
      return null;
    }) as Promise<RoleProcess>;
  }

  // Tasks

  /** One call to some living coordinator; another one is asked when it cannot be reached. */
  async call(path: string, body?: unknown): Promise<{ status: number; body: never; headers: Headers }> {
    let last: unknown = new Error('no coordinator lives');
    for (const coordinator of shuffled(this.living('coordinator'))) {
      try {
        return await callOne(coordinator, path, body);
      } catch (error) {
        last = error;
      }
    }
    throw last;
  }

  async submit(request: Request): Promise<string> {
    const { status, body } = await this.call('/v1/tasks', request);
    if (status !== 201) throw new Error(`submit answered ${status}: ${JSON.stringify(body)}`);
    return (body as { id: string }).id;
  }

  /** Submits with a key each, so that what was not answered can be sent again. Answers the ids in order. */
  async submitMany(requests: Request[]): Promise<string[]> {
    const ids: string[] = [];
    for (let from = 0; from < requests.length; from += BATCH) {
      ids.push(...(await this.#submitBatch(requests.slice(from, from + BATCH))));
    }
    return ids;
  }

  async #submitBatch(requests: Request[]): Promise<string[]> {
    return within(20_000, 'a batch is taken', async () => {
      const { status, body } = await this.call('/v1/tasks/batch', { tasks: requests });
      if (status !== 200) throw new Error(`batch answered ${status}: ${JSON.stringify(body)}`);
      const { results } = body as { results: { status: number; task?: { id: string }; error?: unknown }[] };
      const bad = results.find((one) => !one.task);
      if (bad) throw new Error(`batch has ${JSON.stringify(bad)}`);
      return results.map((one) => one.task!.id);
    });
  }

  async task(id: string): Promise<TaskView> {
    return this.#read(`/v1/tasks/${id}`);
  }

  /** A coordinator that was just started answers 503 until it has opened the store. */
  async #read<T>(path: string): Promise<T> {
    return within(10_000, `GET ${path} is answered`, async () => {
      const { status, body } = await this.call(path);
      if (status === 200) return body as T;
      const said = `GET ${path} answered ${status}: ${JSON.stringify(body)}`;
      throw status === 503 ? new Error(said) : new Hopeless(said);
    }) as Promise<T>;
  }

  async history(id: string): Promise<HistoryLine[]> {
    return (await this.#read<{ history: HistoryLine[] }>(`/v1/tasks/${id}/history`)).history;
  }

  /** Tasks of all pages, without inputs and results. */
  async list(): Promise<TaskView[]> {
    const tasks: TaskView[] = [];
    for (let cursor = ''; ; ) {
      const path = `/v1/tasks?limit=${PAGE}${cursor && `&cursor=${cursor}`}`;
      const page = await this.#read<{ tasks: TaskView[]; nextCursor?: string | null }>(path);
      tasks.push(...page.tasks);
      if (!page.nextCursor) return tasks;
      cursor = encodeURIComponent(page.nextCursor);
    }
  }

  /** Waits until the task has entered one of these states. */
  async reaches(id: string, states: string, ms = 10_000): Promise<TaskView> {
    return within(ms, `task ${id} is ${states}`, async () => {
      const task = await this.task(id);
      if (!states.split(' ').includes(task.state)) throw new Error(`it is ${task.state}, attempt ${task.attempt}`);
      return task;
    });
  }

  /** Waits until all tasks of these ids have ended. */
  async allEnd(ids: string[], ms: number): Promise<TaskView[]> {
    const wanted = new Set(ids);
    return within(
      ms,
      `${ids.length} tasks end`,
      async () => {
        const tasks = (await this.list()).filter((task) => wanted.has(task.id));
        const open = tasks.filter((task) => !['completed', 'failed', 'cancelled'].includes(task.state));
        if (tasks.length < wanted.size) throw new Error(`${wanted.size - tasks.length} tasks are not in the list`);
        if (open.length > 0) throw new Error(`${open.length} are open: ${open.slice(0, 3).map(shown).join(', ')}`);
        return tasks;
      },
      300,
    );
  }

  /** Reads many things, a few at a time. */
  async each<T>(ids: string[], read: (id: string) => Promise<T>): Promise<T[]> {
    const found: T[] = [];
    for (let from = 0; from < ids.length; from += READS_AT_ONCE) {
      found.push(...(await Promise.all(ids.slice(from, from + READS_AT_ONCE).map(read))));
    }
    return found;
  }

  /** What the agents did, in order of time. */
  traces(task?: string): Traced[] {
    const text = readFileSync(join(this.#dir, 'trace'), 'utf8');
    const lines = text.split('\n').filter((line) => line !== '');
    const all = lines.map((line) => JSON.parse(line) as Traced);
    return task === undefined ? all : all.filter((one) => one.task === task);
  }

  // Redis

  /** Stops a process and takes its connections from it, so that nothing reaches it that was on its way. */
  async cutOff(process: RoleProcess): Promise<void> {
    process.signal('SIGSTOP');
    const clients = String(await this.redis.call('CLIENT', 'LIST')).split('\n');
    for (const client of clients.filter((one) => one.includes(`name=agent-system:${process.id}`))) {
      await this.redis.call('CLIENT', 'KILL', 'ID', /id=(\d+)/.exec(client)![1]!);
    }
  }

  /** A key of shard `shard`. */
  key(name: string, shard = 0): string {
    return `{as:${shard}}:${name}`;
  }

  /** Entries of a stream as `[id, {field: value}]`. */
  async stream(name: string, from = '-', shard = 0): Promise<[string, Record<string, string>][]> {
    const entries = (await this.redis.call('XRANGE', this.key(name, shard), from, '+')) as [string, string[]][];
    return entries.map(([id, flat]) => [id, fieldsOf(flat)]);
  }

  async keys(pattern: string, shard = 0): Promise<string[]> {
    return (await this.redis.call('KEYS', this.key(pattern, shard))) as string[];
  }

  async stop(): Promise<void> {
    for (const one of this.roles) {
      one.signal('SIGCONT');
      one.signal('SIGKILL');
    }
    await Promise.all(this.roles.map((one) => one.exited));
    await this.redis.stop();
    await this.#keepLogs(process.env.E2E_LOGS);
    await rm(this.#dir, { recursive: true, force: true });
  }

  /** `E2E_LOGS=folder` keeps what every process said, to find out why a test failed. */
  async #keepLogs(folder: string | undefined): Promise<void> {
    if (!folder) return;
    await mkdir(folder, { recursive: true });
    for (const [n, { id, text }] of this.roles.entries()) await writeFile(join(folder, `${n}-${id}.log`), text);
  }
}

/** c1, c2, …, d1, …, w1, …: all started at once, all ready. */
export async function startCluster(shape: ClusterShape = {}): Promise<Cluster> {
  const cluster = await emptyCluster(shape);
  const { coordinators = 2, distributors = 1, workers = 2 } = shape;
  for (let n = 1; n <= coordinators; n++) cluster.start('coordinator', `c${n}`);
  for (let n = 1; n <= distributors; n++) cluster.start('distributor', `d${n}`);
  for (let n = 1; n <= workers; n++) cluster.start('worker', `w${n}`);
  try {
    await cluster.allReady();
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

/** Redis alone; the test starts what it wants. */
export async function emptyCluster({ redis, settings = {} }: ClusterShape = {}): Promise<Cluster> {
  const dir = await mkdtemp(join(tmpdir(), 'agent-system-e2e-'));
  await writeFile(join(dir, 'trace'), '');
  return new Cluster(redis ?? (await RedisProcess.start()), dir, settings);
}

export async function callOne(
  coordinator: RoleProcess,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: never; headers: Headers }> {
  const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body), headers: JSON_HEADERS };
  const response = await fetch(`${await coordinator.url()}${path}`, { ...init, signal: AbortSignal.timeout(10_000) });
  return { status: response.status, body: (await response.json()) as never, headers: response.headers };
}

const JSON_HEADERS = { 'content-type': 'application/json' };

async function shardsOf(coordinator: RoleProcess): Promise<number[]> {
  const { body } = await coordinator.get('/status').catch(() => ({ body: {} as Record<string, unknown> }));
  const owned = (body.shards ?? []) as { shard: number }[];
  return owned.map(({ shard }) => shard);
}

function shown({ id, state, attempt }: TaskView): string {
  return `${id} ${state} (attempt ${attempt})`;
}

function fieldsOf(flat: string[]): Record<string, string> {
  const fields: Record<string, string> = {};
  for (let at = 0; at + 1 < flat.length; at += 2) fields[flat[at]!] = flat[at + 1]!;
  return fields;
}

function shuffled<T>(list: T[]): T[] {
  return list
    .map((one) => ({ one, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one);
}

/** A pause that stands for "in the middle of the work". */
export const aMoment = () => pause(700);
