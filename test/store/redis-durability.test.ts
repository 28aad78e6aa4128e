/** Levels of durability against real servers: what a file, a replica and their absence make of a commit. */
import { afterEach, expect, it } from 'vitest';
import { createRedisStore } from '../../src/store/redis/redis-store.ts';
import type { Durability, Store } from '../../src/store/store.ts';
import { anId, aUnit } from '../support/builders.ts';
import { type RedisServer, startRedis } from '../support/redis-server.ts';

const servers: RedisServer[] = [];
const stores: Store[] = [];

afterEach(async () => {
  await Promise.all(stores.splice(0).map((store) => store.close()));
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function server(...settings: string[]): Promise<RedisServer> {
  const started = await startRedis(...settings);
  servers.push(started);
  return started;
}

function storeOn({ port }: RedisServer, replicas = 1): Store {
  const store = createRedisStore({ connection: { port }, prefix: 't', shards: 1, wait: { replicas, timeoutMs: 300 } });
  stores.push(store);
  return store;
}

let ops = 0;
async function reached(store: Store, durability?: Durability, op = `op${ops++}`) {
  const units = [aUnit({ id: anId(0) })];
  const reply = await store.commit(0, { op, units, ...(durability && { durability }) });
  expect(reply.units).toEqual([{ ok: true, already: false }]);
  return reply.durability;
}

async function replicaOf({ port }: RedisServer): Promise<RedisServer> {
  const replica = await server('--replicaof', `127.0.0.1 ${port}`);
  return replica;
}

/** Facts about a server are looked at anew only after a second. */
async function until(look: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 15_000; !(await look()); ) {
    if (Date.now() > end) throw new Error('not within 15 s');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

it('keeps a commit on the disk where the file is synced with every write', async () => {
  const redis = await server('--appendonly', 'yes', '--appendfsync', 'always');
  const store = storeOn(redis);
  expect(await store.whyNotDurable(0, 'local')).toBeNull();
  expect(await reached(store, 'local')).toBe('local');
  expect((await store.check()).durability).toBe('local');
});

it('says what to change where the file is synced every second, and reaches memory only', async () => {
  const store = storeOn(await server('--appendonly', 'yes', '--appendfsync', 'everysec'));
  const gap = await store.whyNotDurable(0, 'local');
  expect(gap).toMatchObject({ lasting: true, why: expect.stringContaining('CONFIG SET appendfsync always') });
  expect(await reached(store, 'local')).toBe('memory');
});

it('says so where there is no file at all', async () => {
  const store = storeOn(await server());
  const gap = await store.whyNotDurable(0, 'local');
  expect(gap?.why).toContain('has no append-only file');
  expect(await reached(store, undefined)).toBeUndefined();
});

it('waits for replicas, and names the lower level when they have gone', async () => {
  const master = await server('--repl-diskless-sync-delay', '0');
  const store = storeOn(master);
  expect(await store.whyNotDurable(0, 'replicated')).toMatchObject({
    lasting: false,
    why: expect.stringContaining('has 0 replicas that keep up, wanted 1'),
  });
  const replica = await replicaOf(master);
  await until(async () => (await store.whyNotDurable(0, 'replicated')) === null);
  const many = await Promise.all(Array.from({ length: 50 }, () => reached(store, 'replicated')));
  expect(new Set(many)).toEqual(new Set(['replicated']));
  await replica.kill();
  const startedAt = Date.now();
  expect(await reached(store, 'replicated')).toBe('memory');
  expect(Date.now() - startedAt).toBeLessThan(2_000);
  await replica.restart();
  await until(async () => (await reached(store, 'replicated')) === 'replicated');
}, 40_000);

it('reaches the disk of the master where its replicas have gone', async () => {
  const store = storeOn(await server('--appendonly', 'yes', '--appendfsync', 'always'));
  expect(await reached(store, 'replicated')).toBe('local');
});

it('confirms what it finds applied before', async () => {
  const master = await server('--repl-diskless-sync-delay', '0');
  const store = storeOn(master);
  await replicaOf(master);
  await until(async () => (await store.whyNotDurable(0, 'replicated')) === null);
  const commit = { op: 'same', units: [aUnit({ id: anId(0) })] };
  await store.commit(0, commit);
  const again = await store.commit(0, { ...commit, durability: 'replicated' });
  expect(again).toMatchObject({ units: [{ ok: true, already: true }], durability: 'replicated' });
});
