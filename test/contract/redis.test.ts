import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll } from 'vitest';
import { createRedisStore } from '../../src/store/redis/redis-store.ts';
import { type RedisServer, startRedis } from '../support/redis-server.ts';
import { describeStore } from './store-contract.ts';

let server: RedisServer;
let opened = 0;

beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

describeStore('redis', async ({ shards }) => {
  opened += 1;
  // Every test has keys of its own; the prefix holds what SCAN would take for a pattern.
  const prefix = `t[*?\\${opened}]`;
  const store = createRedisStore({ connection: { port: server.port }, prefix, shards });
  return { store, advance: (ms) => sleep(ms), close: () => store.close() };
});
