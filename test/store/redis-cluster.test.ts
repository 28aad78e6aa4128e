/** Shards spread over a cluster: found, moved, lost, and taken over by a replica. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StoreUnavailableError } from '../../src/errors.ts';
import { systemRuntime } from '../../src/runtime/system-runtime.ts';
import { patiently } from '../../src/store/patience.ts';
import type { RedisAddress } from '../../src/store/redis/address.ts';
import { createRedisStore } from '../../src/store/redis/redis-store.ts';
import type { Store } from '../../src/store/store.ts';
import { anId, aUnit } from '../support/builders.ts';
import { type RedisCluster, startCluster } from '../support/redis-cluster.ts';
import { type RedisServer, startRedis } from '../support/redis-server.ts';

const SHARDS = 6;
const undo: (() => unknown)[] = [];

let cluster: RedisCluster;
beforeAll(async () => {
  cluster = await startCluster(3, 1, '--appendonly', 'yes');
}, 30_000);
afterAll(async () => {
  for (const step of undo.splice(0).reverse()) await step();
  await cluster?.stop();
});

function opened(connection: RedisAddress = { cluster: { nodes: cluster.places.slice(0, 1) } }): Store {
  const store = createRedisStore({ connection, prefix: 'clu', shards: SHARDS });
  undo.push(() => store.close());
  return store;
}

const insist = <T>(call: () => Promise<T>) => patiently(call, { runtime: systemRuntime, tries: 60 });
const tagOf = (shard: number) => `{clu:${shard}}:`;
const shards = Array.from({ length: SHARDS }, (_, shard) => shard);

describe('a cluster of which one node is named', () => {
  it('is found wholly, and each shard is on its node', async () => {
    const store = opened();
    const { problems, warnings, description } = await store.check();
    expect(problems).toEqual([]);
    expect(warnings.filter((warning) => !warning.includes('min-replicas-to-write'))).toEqual([]);
    expect(description).toMatch(/^Redis Cluster 7\.\S+ of 3 masters: /);
    const identity = { uuid: 'u', schema: 1, shards: SHARDS };
    expect(await store.claimIdentity(identity)).toEqual(identity);
    expect(await store.identity()).toEqual(identity);
    const masters = await Promise.all(shards.map((shard) => cluster.masterOf(tagOf(shard))));
    expect(new Set(masters).size).toBeGreaterThan(1);
    for (const shard of shards) {
      const unit = aUnit({ id: anId(shard) });
      expect((await store.commit(shard, { op: `op${shard}`, units: [unit] })).units[0]).toMatchObject({ ok: true });
      expect((await store.read(shard, [unit.id])).tasks[0]).toMatchObject({ op: `op${shard}` });
      expect(await cluster.call(masters[shard]!, 'EXISTS', `${tagOf(shard)}blocks`)).toBe(1);
    }
  });

  it('gets its scripts again, and its locks, at every node', async () => {
    const store = opened();
    for (const node of [0, 1, 2]) await cluster.call(node, 'SCRIPT', 'FLUSH');
    for (const shard of shards) {
      expect(await store.lock(shard).acquire(1_000)).not.toBeNull();
      await store.queues(shard, 1);
    }
  });
});

describe('a slot that moves to another node', () => {
  it('makes its shard wait, never work on half of it, and goes on at the new node', async () => {
    const store = opened();
    const tag = tagOf(0);
    const unit = aUnit();
    await store.commit(0, { op: 'before', units: [unit] });
    const source = await cluster.masterOf(tag);
    const target = (source + 1) % 3;
    const slot = Number(await cluster.call(0, 'CLUSTER', 'KEYSLOT', tag));
    const [sourceId, targetId] = await Promise.all(
      [source, target].map((node) => cluster.call(node, 'CLUSTER', 'MYID')),
    );
    await cluster.call(target, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', String(sourceId));
    await cluster.call(source, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', String(targetId));
    const during = { op: 'during', units: [aUnit()] };
    await expect(store.commit(0, during)).rejects.toThrow(StoreUnavailableError);
    const keys = (await cluster.call(source, 'CLUSTER', 'GETKEYSINSLOT', slot, 1_000)) as string[];
    expect(keys.length).toBeGreaterThan(1);
    const to = ['127.0.0.1', cluster.places[target]!.port, '', 0, 5_000, 'KEYS'] as const;
    await cluster.call(source, 'MIGRATE', ...to, ...keys.slice(0, 1));
    await expect(store.commit(0, during)).rejects.toThrow(StoreUnavailableError);
    await cluster.call(source, 'MIGRATE', ...to, ...keys.slice(1));
    for (const node of [target, source, 3 - source - target]) {
      await cluster.call(node, 'CLUSTER', 'SETSLOT', slot, 'NODE', String(targetId));
    }
    expect((await insist(() => store.commit(0, during))).units[0]).toEqual({ ok: true, already: false });
    expect((await store.read(0, [unit.id])).tasks[0]).toMatchObject({ op: 'before' });
    expect(await cluster.call(target, 'EXISTS', `${tag}blocks`)).toBe(1);
    const reading = store.readStreams(0, { from: [{ stream: 'reports', after: '$' }], count: 1, waitMs: 10_000 });
    await sleep(100);
    await store.report(0, { worker: 'w', incarnation: '1-a', envelope: 'e', hint: null });
    expect(await reading).toMatchObject([{ entries: [{ fields: { e: 'e' } }] }]);
  });
});

describe('a node that is lost', () => {
  it('stops its own shards until its replica takes over, and no others', async () => {
    const store = opened();
    await store.check();
    const lost = await cluster.masterOf(tagOf(5));
    const held = await Promise.all(shards.map(async (shard) => (await cluster.masterOf(tagOf(shard))) === lost));
    // Shard 0 has moved in the test before.
    const other = shards.findIndex((shard) => shard > 0 && !held[shard]);
    await cluster.call(lost, 'WAIT', 1, 1_000);
    await cluster.servers[lost]!.kill();
    const from = Date.now();
    await expect(store.queues(5, 1)).rejects.toThrow(StoreUnavailableError);
    expect((await store.queues(other, 10)).queues).toBeDefined();
    expect(store.connected).toBe(true);
    const { warnings } = await store.check();
    expect(warnings.join()).toMatch(/stand still until it or a replica of it is there/);
    const unit = aUnit({ id: anId(5) });
    await insist(() => store.commit(5, { op: 'after', units: [unit] }));
    console.log(`the shard went on ${Date.now() - from} ms after its node was killed`);
    await cluster.servers[lost]!.restart();
    expect((await insist(() => store.read(5, [unit.id]))).tasks[0]).toMatchObject({ op: 'after' });
  }, 30_000);
});

describe('what is not a cluster', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.stop());

  it('is refused where a cluster was named, and the other way round', async () => {
    const nodes = [{ host: '127.0.0.1', port: server.port }];
    const failure = opened({ cluster: { nodes } }).check();
    await expect(failure).rejects.toMatchObject({ code: 'STORE_MISCONFIGURED' });
    await expect(failure).rejects.toThrow(/no node of a cluster.*REDIS_URL instead of REDIS_CLUSTER_NODES/);
    const { problems } = await opened({ port: cluster.places[0]!.port }).check();
    expect(problems.join()).toMatch(/cluster mode, wanted a single server: set REDIS_CLUSTER_NODES/);
  });

  it('is waited for where nobody answers', async () => {
    const failure = opened({ cluster: { nodes: [{ host: '127.0.0.1', port: 1 }] } }).check();
    await expect(failure).rejects.toThrow(/^Redis connection failed \(127\.0\.0\.1:1\): .*ECONNREFUSED/);
    await expect(failure).rejects.toThrow(StoreUnavailableError);
  });
});
