/** Shards on the three masters of a cluster: tasks run on all of them, and one that is lost stops its own shards only. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RedisCluster, startCluster } from '../support/redis-cluster.ts';
import type { Cluster } from './support/cluster.ts';
import { DURABLE } from './support/redis-process.ts';
import { expectCompleted, refusal, requests, startRoles, systemAt } from './support/roads.ts';

const SHARDS = 6;

let redis: RedisCluster;
let cluster: Cluster;
beforeAll(async () => {
  redis = await startCluster(3, 0, ...DURABLE);
  const [first, second] = redis.places.map(({ host, port }) => `${host}:${port}`);
  cluster = await systemAt({ REDIS_CLUSTER_NODES: `${first},${second}`, SHARDS: String(SHARDS) });
}, 30_000);
afterAll(async () => {
  await cluster?.stop();
  await redis?.stop();
});

const masters = () =>
  Promise.all(Array.from({ length: SHARDS }, (_, shard) => redis.masterOf(cluster.key('x', shard))));

async function tasksOf(shard: number): Promise<number> {
  const master = await redis.masterOf(cluster.key('x', shard));
  return Number(await redis.call(master, 'ZCARD', cluster.key('blocks', shard)));
}

it('runs tasks on every shard', async () => {
  await startRoles(cluster, 2);
  await expectCompleted(cluster, await cluster.submitMany(requests(300, 5)));
  for (let shard = 0; shard < SHARDS; shard++) expect(await tasksOf(shard), `shard ${shard}`).toBeGreaterThan(0);
  expect(new Set(await masters()).size).toBe(3);
}, 40_000);

it('goes on with the other shards while a node is away, and with all once it is back', async () => {
  const of = await masters();
  // Not the one of shard 0, which keeps the registry.
  const lost = of.find((master) => master !== of[0])!;
  const ids = await cluster.submitMany(requests(200, 20, 'before'));
  await redis.servers[lost]!.kill();
  const done: string[] = [];
  const deadline = Date.now() + 15_000;
  for (let n = 0; done.length < 20 && Date.now() < deadline; n++) {
    const id = await cluster.submit({ agent: 'mark', input: { ms: 5 }, key: `during${n}` }).catch(() => null);
    if (id !== null) done.push(id);
  }
  await Promise.all(done.map((id) => cluster.reaches(id, 'completed')));
  const { body } = await cluster.role('c1').get('/health');
  expect(body).toMatchObject({ status: 'degraded', redis_connected: true });
  await redis.servers[lost]!.restart();
  await expectCompleted(cluster, [...ids, ...done], 30_000);
}, 60_000);

it('refuses a single server where a cluster was named', async () => {
  const text = await refusal(cluster, { REDIS_CLUSTER_NODES: `127.0.0.1:${cluster.redis.port}` });
  expect(text).toMatch(/no node of a cluster.*set REDIS_URL instead of REDIS_CLUSTER_NODES/);
});
