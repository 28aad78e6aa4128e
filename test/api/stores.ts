/** The same tests of the outside on the embedded store and on a real Redis. */
import { afterAll, afterEach, beforeAll, describe } from 'vitest';
import { systemRuntime } from '../../src/runtime/system-runtime.ts';
import { unitOf } from '../../src/store/commit.ts';
import { createMemoryStore } from '../../src/store/memory/memory-store.ts';
import { createRedisStore } from '../../src/store/redis/redis-store.ts';
import type { Store } from '../../src/store/store.ts';
import { decodeTask } from '../../src/task/codec.ts';
import { shardOf } from '../../src/task/id.ts';
import { DEFAULT_POLICY } from '../../src/task/policy.ts';
import type { TaskRecord } from '../../src/task/task.ts';
import { type Command, transition } from '../../src/task/transition.ts';
import { startRedis } from '../support/redis-server.ts';
import { anApi, type TestApi } from './builders.ts';

export type OpenApi = (over?: Parameters<typeof anApi>[0]) => Promise<TestApi>;

/** Runs the tests once per store; every API that they open is closed after its test. */
export function describeOnStores(name: string, tests: (open: OpenApi) => void): void {
  describe(`${name}, on the embedded store`, () => withClosing(tests, (shards) => memory(shards)));
  describe(`${name}, on Redis`, () => {
    let server: Awaited<ReturnType<typeof startRedis>>;
    let prefixes = 0;
    beforeAll(async () => {
      server = await startRedis();
    }, 30_000);
    afterAll(() => server?.stop());
    withClosing(tests, (shards) => {
      prefixes += 1;
      return createRedisStore({ connection: { port: server.port }, prefix: `t${prefixes}`, shards });
    });
  });
}

function memory(shards: number): Store {
  return createMemoryStore({ runtime: systemRuntime, shards });
}

function withClosing(tests: (open: OpenApi) => void, openStore: (shards: number) => Store): void {
  const opened: TestApi[] = [];
  afterEach(async () => {
    for (const { api } of opened) await api.close();
    for (const { store } of opened.splice(0)) await store.close();
  });
  tests(async (over = {}) => {
    const api = await anApi({ open: openStore, ...over });
    opened.push(api);
    return api;
  });
}

/** Gives a command to a stored task as whoever may do so. */
export async function give(store: Store, id: string, command: Command): Promise<TaskRecord> {
  const [stored] = (await store.read(shardOf(id), [id], { input: true, result: true })).tasks;
  const before = decodeTask(stored!);
  const decided = transition(before, command, await store.now());
  if (!decided.ok) throw new Error(`${command.type} of ${id}: ${decided.reason}`);
  const unit = unitOf(before, decided.next, DEFAULT_POLICY);
  const { units } = await store.commit(shardOf(id), { op: `${command.type}-${before.version}`, units: [unit] });
  if (!units[0]?.ok) throw new Error(`${command.type} of ${id}: ${JSON.stringify(units[0])}`);
  return decided.next;
}

export const assign: Command = {
  type: 'assign',
  attemptId: 'a1',
  worker: 'w1',
  incarnation: '1-a',
  distributor: 'd1',
};

export function of(seq: number, fence = 1, attemptId = 'a1') {
  return { from: { attemptId, fence, seq } };
}

/** Assigned, then ended as failed for good. */
export async function failFor(store: Store, id: string, code = 'handler_error'): Promise<void> {
  const { trail } = await give(store, id, assign);
  const error = { code, message: 'no luck', retryable: false };
  await give(store, id, { type: 'fail', ...of(1, trail.fence), error, jitter: 0 });
}
