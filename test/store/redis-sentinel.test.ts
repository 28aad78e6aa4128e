/** The master by sentinels: found, lost and found again, and what is said when it cannot be found. */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { StoreUnavailableError } from '../../src/errors.ts';
import { systemRuntime } from '../../src/runtime/system-runtime.ts';
import { patiently } from '../../src/store/patience.ts';
import type { SentinelAddress } from '../../src/store/redis/address.ts';
import { createRedisStore } from '../../src/store/redis/redis-store.ts';
import type { Store } from '../../src/store/store.ts';
import { aUnit } from '../support/builders.ts';
import { MASTER_NAME, startWatched, type Watched } from '../support/redis-sentinels.ts';

let watched: Watched;
const stores: Store[] = [];

beforeAll(async () => {
  watched = await startWatched('--min-replicas-to-write', '0');
}, 30_000);
afterAll(async () => {
  await Promise.all(stores.map((store) => store.close()));
  await watched?.stop();
});

function opened(over: Partial<SentinelAddress> = {}): Store {
  const sentinel = { nodes: watched.sentinels, masterName: MASTER_NAME, ...over };
  const store = createRedisStore({ connection: { sentinel }, prefix: 'sent', shards: 1 });
  stores.push(store);
  return store;
}

it('finds the master, and says that a failover may lose what no replica has', async () => {
  const { problems, warnings, description } = await opened().check();
  expect(problems).toEqual([]);
  expect(warnings.join()).toMatch(/a failover loses the last ones.*min-replicas-to-write 1/);
  expect(description).toContain(`master "${MASTER_NAME}" by sentinels 127.0.0.1:${watched.sentinels[0]!.port}`);
});

it('passes over a sentinel that is away', async () => {
  const nodes = [{ host: '127.0.0.1', port: 1 }, ...watched.sentinels];
  expect((await opened({ nodes }).check()).problems).toEqual([]);
});

it('refuses a name that the sentinels do not know, and says which they know', async () => {
  const failure = opened({ masterName: 'mymaster' }).check();
  await expect(failure).rejects.toMatchObject({ code: 'STORE_MISCONFIGURED' });
  await expect(failure).rejects.toThrow(/knows no master "mymaster" \(it knows "as-master"\): set REDIS_MASTER_NAME/);
});

it('waits for sentinels that are all away, and names what it tried', async () => {
  const nodes = [{ host: '127.0.0.1', port: 1 }];
  const failure = opened({ nodes }).check();
  await expect(failure).rejects.toThrow(StoreUnavailableError);
  await expect(failure).rejects.toThrow(
    /master "as-master" by sentinels 127\.0\.0\.1:1\): .*sentinel 127\.0\.0\.1:1.*ECONNREFUSED/,
  );
});

it('writes, reads and waits at the new master once the old one is gone', async () => {
  const store = opened();
  const insist = <T>(call: () => Promise<T>) => patiently(call, { runtime: systemRuntime, tries: 60 });
  const before = aUnit();
  await store.commit(0, { op: 'before', units: [before] });
  const request = { from: [{ stream: 'reports' as const, after: '0' }], count: 1, waitMs: 30_000 };
  const waiting = store.readStreams(0, request).catch((error: unknown) => error);
  const oldPort = await watched.masterPort();
  await watched.master.kill();
  const from = Date.now();
  const unit = aUnit();
  const commit = { op: 'after', units: [unit] };
  expect((await insist(() => store.commit(0, commit))).units[0]).toMatchObject({ ok: true });
  console.log(`writes went on ${Date.now() - from} ms after the master was killed`);
  expect(await watched.masterPort()).not.toBe(oldPort);
  expect(await waiting).toBeInstanceOf(StoreUnavailableError);
  expect((await store.commit(0, commit)).units[0]).toEqual({ ok: true, already: true });
  expect((await store.read(0, [before.id, unit.id])).tasks).toMatchObject([{ op: 'before' }, { op: 'after' }]);
  const again = store.readStreams(0, request);
  await store.report(0, { worker: 'w', incarnation: '1-a', envelope: 'e', hint: null });
  expect(await again).toMatchObject([{ entries: [{ fields: { e: 'e' } }] }]);
}, 30_000);

it('leaves an old master that comes back as a replica', async () => {
  const store = opened();
  await store.now();
  await watched.master.kill();
  await watched.master.restart();
  // The sentinels make a replica of it, or it is a second master nobody is sent to.
  expect((await store.check()).problems).toEqual([]);
  expect((await store.commit(0, { op: 'later', units: [aUnit()] })).units[0]).toMatchObject({ ok: true });
});

it('refuses a password that the sentinels do not know, and says whose it is', async () => {
  const [place] = watched.sentinels;
  const sentinel = new Redis(place!);
  await sentinel.call('ACL', 'SETUSER', 'default', '>s3ntinel-pass');
  sentinel.disconnect();
  const nodes = [{ host: '127.0.0.1', port: 1 }, place!];
  expect((await opened({ nodes, password: 's3ntinel-pass' }).check()).problems).toEqual([]);
  for (const password of [null, 'another']) {
    const failure = opened({ nodes, password }).check();
    await expect(failure).rejects.toMatchObject({ code: 'STORE_FORBIDDEN' });
    await expect(failure).rejects.toThrow(/(NOAUTH|WRONGPASS).*REDIS_SENTINEL_USERNAME and REDIS_SENTINEL_PASSWORD/);
  }
});
