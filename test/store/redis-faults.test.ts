/*
 * What becomes of commits when Redis or the way to it fails. The promise everywhere: a call either answers, or rejects with
 * StoreUnavailableError, and then the same call again finds out what happened and applies it once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { AgentSystemError, StoreUnavailableError } from '../../src/errors.ts';
import { systemRuntime } from '../../src/runtime/system-runtime.ts';
import { patiently } from '../../src/store/patience.ts';
import { createRedisStore } from '../../src/store/redis/redis-store.ts';
import type { Commit, CommitReply, Store, Unit } from '../../src/store/store.ts';
import { blockOf } from '../../src/task/id.ts';
import { A_LANE, anId, aUnit, outOfLane, T0 } from '../support/builders.ts';
import { type RedisServer, startRedis } from '../support/redis-server.ts';

const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function opened(...settings: string[]): Promise<{ server: RedisServer; store: Store; admin: Redis }> {
  const server = await startRedis(...settings);
  const store = createRedisStore({ connection: { port: server.port }, prefix: 'fault', shards: 1 });
  const admin = new Redis({ port: server.port });
  admin.on('error', () => {});
  undo.push(
    () => server.stop(),
    () => store.close(),
    () => admin.disconnect(),
  );
  return { server, store, admin };
}

function commitOf(op: string, ...units: Unit[]): Commit {
  return { op, units };
}

/** Repeats the very same commit until it is answered. */
function insist(store: Store, commit: Commit): Promise<CommitReply> {
  return patiently(() => store.commit(0, commit), { runtime: systemRuntime, tries: 100 });
}

describe('a Redis that forgets its scripts', () => {
  it('gets them again, also when many calls are under way', async () => {
    const { store, admin } = await opened();
    for (let round = 0; round < 5; round++) {
      await admin.script('FLUSH');
      const replies = await Promise.all([1, 2, 3, 4].map((n) => store.commit(0, commitOf(`op${round}.${n}`, aUnit()))));
      expect(replies.flatMap(({ units }) => units)).toEqual(Array(4).fill({ ok: true, already: false }));
    }
    const { queues } = await store.queues(0, 10);
    expect(queues).toMatchObject([{ lane: A_LANE, length: 20 }]);
    expect(await store.lock(0).acquire(1_000)).not.toBeNull();
  });
});

describe('a Redis that is killed and comes back', () => {
  it('holds every commit once, whether its answer arrived or not', async () => {
    const { server, store } = await opened('--appendonly', 'yes', '--appendfsync', 'always');
    const commits = Array.from({ length: 300 }, (_, n) => commitOf(`op${n}`, aUnit(), aUnit()));
    await store.check();
    const writing = Promise.all(
      Array.from({ length: 6 }, async (_, lane) => {
        for (let n = lane; n < commits.length; n += 6) await insist(store, commits[n]!);
      }),
    );
    for (let crash = 0; crash < 3; crash++) {
      await sleep(40);
      await server.kill();
      await server.restart();
    }
    await writing;
    const ids = commits.flatMap(({ units }) => units.map(({ id }) => id));
    const { tasks } = await store.read(0, ids);
    expect(tasks.map((task) => [task?.version, task?.op])).toEqual(
      commits.flatMap(({ op }) => [
        [1, op],
        [1, op],
      ]),
    );
    expect((await store.queues(0, 10)).queues).toMatchObject([{ length: ids.length }]);
    for (const commit of commits.slice(0, 20)) {
      expect((await store.commit(0, commit)).units).toEqual(Array(2).fill({ ok: true, already: true }));
    }
  });

  it('is reported as away meanwhile and as there again', async () => {
    const { server, store } = await opened();
    await store.now();
    expect(store.connected).toBe(true);
    await server.kill();
    await expect(store.now()).rejects.toThrow(StoreUnavailableError);
    expect(store.connected).toBe(false);
    await server.restart();
    await patiently(() => store.now(), { runtime: systemRuntime, tries: 100 });
    expect(store.connected).toBe(true);
  });

  it('rejects a waiting read, and the next one works', async () => {
    const { server, store } = await opened();
    const request = { from: [{ stream: 'reports' as const, after: '0' }], count: 1, waitMs: 20_000 };
    const reading = store.readStreams(0, request);
    const refused = expect(reading).rejects.toThrow(StoreUnavailableError);
    await sleep(50);
    await server.kill();
    await refused;
    await server.restart();
    const again = store.readStreams(0, request);
    await patiently(() => store.report(0, { worker: 'w', incarnation: '1-a', envelope: 'e', hint: null }), {
      runtime: systemRuntime,
      tries: 100,
    });
    expect(await again).toMatchObject([{ entries: [{ fields: { e: 'e' } }] }]);
  });
});

describe('a connection that is cut', () => {
  it('rejects the write under way, which is applied once when repeated', async () => {
    const { store, admin, server } = await opened('--enable-debug-command', 'yes');
    const sleeper = new Redis({ port: server.port });
    sleeper.on('error', () => {});
    undo.push(() => sleeper.disconnect());
    await store.now();
    let rejected = 0;
    for (let n = 0; n < 20; n++) {
      const commit = commitOf(`op${n}`, aUnit());
      // While the server sleeps, the write and the cut both arrive: it is done, or not, and never answered.
      sleeper.call('debug', 'sleep', '0.02').catch(() => {});
      const writing = store.commit(0, commit).catch((error: unknown) => error);
      await admin.call('client', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      const outcome = await writing;
      if (outcome instanceof Error) {
        expect(outcome).toBeInstanceOf(StoreUnavailableError);
        expect(outcome.message).toContain('Redis connection failed (127.0.0.1:');
        rejected += 1;
      }
      const { units } = await insist(store, commit);
      expect(units[0]).toMatchObject({ ok: true });
      expect((await store.read(0, [commit.units[0]!.id])).tasks[0]).toMatchObject({ version: 1, op: commit.op });
    }
    expect(rejected).toBeGreaterThan(0);
    expect((await store.queues(0, 10)).queues).toMatchObject([{ length: 20 }]);
  });

  it('does not send by itself again what was not answered', async () => {
    const { store, admin } = await opened();
    await store.now();
    const report = { worker: 'w', incarnation: '1-a', envelope: 'e', hint: null };
    let sent = 0;
    await admin.client('PAUSE', '300', 'WRITE');
    const reporting = store.report(0, report).then(
      () => (sent += 1),
      () => {},
    );
    await sleep(50);
    await admin.call('client', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await reporting;
    await sleep(500);
    expect(await admin.xlen('{fault:0}:reports')).toBeLessThanOrEqual(1);
    expect(sent).toBe(0);
  });
});

describe('a server that is not there', () => {
  it('is named with its address', async () => {
    const store = createRedisStore({ connection: { url: 'redis://127.0.0.1:1/0' }, prefix: 'x', shards: 1 });
    undo.push(() => store.close());
    await expect(store.check()).rejects.toThrow(/^Redis connection failed \(127\.0\.0\.1:1\): .*ECONNREFUSED/);
    await expect(store.lock(0).acquire(1_000)).rejects.toThrow(StoreUnavailableError);
    const waiting = { from: [{ stream: 'wake' as const, after: '$' }], count: 1, waitMs: 1_000 };
    await expect(store.readStreams(0, waiting)).rejects.toThrow(/Redis connection failed.*ECONNREFUSED/);
  });
});

describe('a Redis that is out of memory', () => {
  it('refuses new tasks and lets everything else go on', async () => {
    const { store, admin } = await opened();
    const unit = aUnit();
    await store.commit(0, commitOf('first', unit));
    await store.enlist(0, 'w1', '100-aa');
    await admin.config('SET', 'maxmemory', '1');
    const creation = store.commit(0, commitOf('second', aUnit()));
    await expect(creation).rejects.toMatchObject({ code: 'STORE_FULL', retryable: true });
    expect(await creation.catch((error: unknown) => error)).toBeInstanceOf(AgentSystemError);

    const { tasks } = await store.take(0, { token: 't', max: 5, urgentMax: 5, agents: { echo: 5 }, lanesMax: 5 });
    expect(tasks.map(({ task }) => task.id)).toEqual([unit.id]);
    // One record and many are read by different ways.
    const many = [unit.id, ...Array.from({ length: 40 }, anId)];
    expect((await store.read(0, [unit.id])).tasks[0]).toMatchObject({ id: unit.id, version: 1 });
    expect((await store.read(0, many)).tasks[0]).toMatchObject({ id: unit.id, version: 1 });
    const lock = await store.lock(0).acquire(5_000);
    expect(await store.claimEpoch(0, lock!.value, 'c1')).not.toBeNull();
    const beat = {
      worker: 'w1',
      incarnation: '100-aa',
      toCoordinators: 'c',
      toDistributors: 'd',
      mailbox: '0',
      wake: true,
    };
    expect(await store.beat(0, beat)).toMatchObject({ ok: true });
    await store.report(0, { worker: 'w1', incarnation: '100-aa', envelope: 'e', hint: 'h' });
    const ended = aUnit({
      id: unit.id,
      expect: 1,
      state: 'completed',
      token: 't',
      result: '1',
      indexes: [outOfLane()],
    });
    expect((await store.commit(0, commitOf('end', ended))).units).toEqual([{ ok: true, already: false }]);
    expect((await store.check()).problems).toEqual([]);
  });
});

describe('a commit that Redis would refuse half-way', () => {
  it('is refused before it is sent', async () => {
    const { store } = await opened();
    const unit = aUnit({ indexes: [{ do: 'add', lane: A_LANE, score: Number.NaN }] });
    await expect(store.commit(0, commitOf('op', unit))).rejects.toMatchObject({ code: 'SCORE_IMPOSSIBLE' });
    expect((await store.read(0, [unit.id])).tasks).toEqual([null]);
  });
});

describe('records of many blocks', () => {
  it('are read like those of one', async () => {
    const { store } = await opened();
    const units = Array.from({ length: 120 }, (_, n) => aUnit({ id: anId(0, T0 + 5e9 + Math.floor(n / 3) * 2_000) }));
    await store.commit(0, commitOf('op', ...units));
    const ids = units.map(({ id }) => id).reverse();
    const { tasks } = await store.read(0, [...ids, anId()], { input: true });
    expect(tasks.map((task) => task?.id ?? null)).toEqual([...ids, null]);
    expect(tasks[7]).toMatchObject({
      version: 1,
      spec: units[0]!.spec,
      trail: units[0]!.trail,
      input: units[0]!.input,
    });
  });
});

describe('closing', () => {
  it('ends waiting reads at once, and refuses what comes later', async () => {
    const { store } = await opened();
    const request = { from: [{ stream: 'wake' as const, after: '$' }], count: 1, waitMs: 20_000 };
    const reading = store.readStreams(0, request);
    await sleep(50);
    const before = performance.now();
    await store.close();
    expect(await reading).toEqual([]);
    expect(performance.now() - before).toBeLessThan(1_000);
    await expect(store.now()).rejects.toThrow(StoreUnavailableError);
  });
});

describe('more waiting reads than connections', () => {
  it('are all answered', async () => {
    const server = await startRedis();
    const store = createRedisStore({ connection: { port: server.port }, prefix: 'few', shards: 1, maxConnections: 3 });
    undo.push(
      () => server.stop(),
      () => store.close(),
    );
    const request = { from: [{ stream: 'reports' as const, after: '$' }], count: 1, waitMs: 10_000 };
    const readings = Array.from({ length: 6 }, () => store.readStreams(0, request));
    await sleep(100);
    await store.report(0, { worker: 'w', incarnation: '1-a', envelope: 'late', hint: null });
    for (const batches of await Promise.all(readings)) expect(batches[0]?.entries[0]?.fields).toEqual({ e: 'late' });
  });
});

describe('a Redis into which someone wrote', () => {
  it('answers all records but the one that was written over, which says so', async () => {
    const { store, admin } = await opened();
    const [broken, whole] = [aUnit(), aUnit()];
    await store.commit(0, commitOf('first', broken, whole));
    for (const meta of ['junk', '1 z op', '99999999999999999999 q op']) {
      await admin.hset(`{fault:0}:m:${blockOf(broken.id)}`, broken.id.slice(blockOf(broken.id).length), meta);
      const expected = [
        { id: broken.id, unreadable: meta },
        { id: whole.id, version: 1 },
      ];
      expect((await store.read(0, [broken.id, whole.id])).tasks).toMatchObject(expected);
      const block = await store.readBlock(0, blockOf(broken.id));
      expect(block).toContainEqual(expect.objectContaining({ id: broken.id, unreadable: meta }));
    }
  });

  it('answers all instances but the one that was written over', async () => {
    const { store, admin } = await opened();
    const instance = { id: 'd1', role: 'distributor', host: 'h', pid: 1, version: '1', url: null };
    const registered = { ...instance, agents: [], metadata: {}, facts: {} };
    await store.register({ instance: registered, nonce: 'n', ttlMs: 1_000 });
    await admin.hset('{fault:0}:instances', 'junk', 'x', 'copy', (await admin.hget('{fault:0}:instances', 'd1'))!);
    expect((await store.instances()).instances.map(({ id }) => id)).toEqual(['d1']);
  });

  it('moves a lane back to where it belongs with the next repair', async () => {
    const { store, admin } = await opened();
    const unit = aUnit();
    await store.commit(0, commitOf('first', unit));
    await admin.zadd('{fault:0}:heads', 9e15, A_LANE);
    await admin.zadd('{fault:0}:parked', 9e15, A_LANE);
    const repair = { ...unit, expect: 1, repair: true as const };
    expect((await store.commit(0, commitOf('repair', repair))).units).toMatchObject([{ ok: true, repaired: 1 }]);
    expect((await store.queues(0, 10)).queues).toMatchObject([{ lane: A_LANE, length: 1, paused: false }]);
    expect(await admin.zscore('{fault:0}:heads', A_LANE)).toBe(await admin.zscore(`{fault:0}:lane:${A_LANE}`, unit.id));
  });
});
