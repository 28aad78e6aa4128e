import { inspect } from 'node:util';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRedisStore, type RedisStoreOptions } from '../../src/store/redis/redis-store.ts';
import type { StoreCheck } from '../../src/store/store.ts';
import { type RedisServer, startRedis } from '../support/redis-server.ts';

let server: RedisServer;
let admin: Redis;

beforeAll(async () => {
  server = await startRedis();
  admin = new Redis({ port: server.port });
});
afterAll(async () => {
  admin.disconnect();
  await server.stop();
});

async function check(over: Partial<RedisStoreOptions> = {}): Promise<StoreCheck> {
  const store = createRedisStore({ connection: { port: server.port, db: 3 }, prefix: 'check', shards: 1, ...over });
  try {
    return await store.check();
  } finally {
    await store.close();
  }
}

describe('check', () => {
  it('accepts a server without an append-only file, and warns of it', async () => {
    const { problems, warnings, durability, description } = await check();
    expect(problems).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining('appendonly yes')]);
    expect(durability).toBe('memory');
    expect(description).toMatch(new RegExp(`^Redis 7\\.\\S+ at 127\\.0\\.0\\.1:${server.port}, database 3$`));
  });

  it('refuses a database that the server does not have, where the client would go on with database 0', async () => {
    const { problems } = await check({ connection: { port: server.port, db: 99 } });
    expect(problems).toEqual([expect.stringMatching(/no database 99 .*out of range.*REDIS_DB/)]);
  });

  it('refuses it where an append-only file is required', async () => {
    expect((await check({ requireAof: true })).problems).toEqual([expect.stringContaining('REDIS_REQUIRE_AOF')]);
  });

  it('calls what is synced with every write local', async () => {
    await admin.config('SET', 'appendonly', 'yes');
    expect((await check()).durability).toBe('memory');
    await admin.config('SET', 'appendfsync', 'always');
    expect(await check({ requireAof: true })).toMatchObject({ problems: [], warnings: [], durability: 'local' });
    await admin.config('SET', 'appendonly', 'no');
  });

  it('refuses a server that evicts, says how to mend it, and accepts it for a reason', async () => {
    await admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
    const { problems } = await check();
    expect(problems).toEqual([expect.stringMatching(/allkeys-lru.*noeviction.*CONFIG SET/)]);
    const unsafe = await check({ allowUnsafe: 'a test' });
    expect(unsafe.problems).toEqual([]);
    expect(unsafe.warnings[0]).toMatch(/"a test".*allkeys-lru/);
    await admin.config('SET', 'maxmemory-policy', 'noeviction');
  });

  it('refuses a replica, and names its master', async () => {
    await admin.replicaof('127.0.0.1', '1');
    expect((await check()).problems).toEqual([expect.stringMatching(/role slave.*wanted master.*127\.0\.0\.1:1/)]);
    await admin.replicaof('NO', 'ONE');
  });

  it('goes by what INFO tells where CONFIG is forbidden, and says what it could not see', async () => {
    await admin.acl('SETUSER', 'plain', 'on', '>secret', '~*', '+@all', '-config');
    const connection = { port: server.port, username: 'plain', password: 'secret' };
    await admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
    const { problems, warnings } = await check({ connection });
    expect(problems).toEqual([expect.stringContaining('allkeys-lru')]);
    expect(warnings.join()).toMatch(/not checked: appendfsync/);
    await admin.config('SET', 'maxmemory-policy', 'noeviction');
  });

  it('refuses a server that takes no writes', async () => {
    await admin.config('SET', 'min-replicas-to-write', '1');
    expect((await check()).problems).toEqual([expect.stringMatching(/NOREPLICAS.*wanted a writable server/)]);
    await admin.config('SET', 'min-replicas-to-write', '0');
  });

  it('says that a password is wrong, and does not show it', async () => {
    const wrong = check({ connection: { port: server.port, username: 'plain', password: 'not-it' } });
    const error = (await wrong.catch((reason: unknown) => reason)) as Error;
    expect(error).toMatchObject({ code: 'STORE_FORBIDDEN' });
    expect(error.message).toContain('WRONGPASS');
    expect(inspect(error, { depth: 9 })).not.toContain('not-it');
  });
});
