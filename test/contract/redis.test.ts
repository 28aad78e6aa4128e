/*
 * The contract on a real server, and with `CONTRACT_REDIS=cluster` on a cluster of three, where a script that touches a
 * key of another slot is refused.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll } from 'vitest';
import type { RedisAddress } from '../../src/store/redis/address.ts';
import { createRedisStore } from '../../src/store/redis/redis-store.ts';
import { startCluster } from '../support/redis-cluster.ts';
import { startRedis } from '../support/redis-server.ts';
import { describeStore } from './store-contract.ts';

const IN_CLUSTER = process.env.CONTRACT_REDIS === 'cluster';

let connection: RedisAddress;
let stop: () => Promise<void>;
let opened = 0;

beforeAll(async () => {
  if (IN_CLUSTER) {
    const cluster = await startCluster(3, 0);
    connection = { cluster: { nodes: cluster.places } };
    stop = cluster.stop;
  } else {
    const server = await startRedis();
    connection = { port: server.port };
    stop = server.stop;
  }
}, 30_000);
afterAll(() => stop());

describeStore(IN_CLUSTER ? 'redis cluster' : 'redis', async ({ shards }) => {
  opened += 1;
  // Every test has keys of its own; the prefix holds what SCAN would take for a pattern.
  const prefix = `t[*?\\${opened}]`;
  const store = createRedisStore({ connection, prefix, shards });
  return { store, advance: (ms) => sleep(ms), close: () => store.close() };
});
