/** What only Redis has: keys beside the record, an end for those that nobody adopted, a memory that can be full. */
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createRedisStore } from '../../src/store/redis/redis-store.ts';
import type { Commit, Store, Unit } from '../../src/store/store.ts';
import { decodeTask } from '../../src/task/codec.ts';
import { aUnit, jsonOf, refTo } from '../support/builders.ts';
import { type RedisServer, startRedis } from '../support/redis-server.ts';

const INPUT = jsonOf(50_000);
const RESULT = jsonOf(60_000, 'r');
const KEPT = { holder: 'w1@100-aa', attemptId: 'a1' };

let server: RedisServer;
let admin: Redis;
let store: Store;
let opened = 0;
let tag: string;

beforeAll(async () => {
  server = await startRedis();
  admin = new Redis({ port: server.port, host: '127.0.0.1' });
});
afterEach(async () => {
  await admin.config('SET', 'maxmemory', '0');
  await store.close();
});
afterAll(async () => {
  admin.disconnect();
  await server.stop();
});

function aStore(): Store {
  opened += 1;
  tag = `{p${opened}:0}:`;
  store = createRedisStore({ connection: { port: server.port }, prefix: `p${opened}`, shards: 1 });
  return store;
}

const withInput = (over: Partial<Unit> = {}) => aUnit({ input: refTo(INPUT), large: { input: INPUT }, ...over });
const commitOf = (op: string, ...units: Unit[]): Commit => ({ op, units });
const keys = async (pattern: string) =>
  (await admin.keys(`${tag}${pattern}`)).map((key) => key.slice(tag.length)).sort();
const read = async (id: string) => (await store.read(0, [id], { input: true, result: true })).tasks[0]!;

async function completed(): Promise<Unit> {
  const unit = withInput();
  await store.commit(0, commitOf('create', unit));
  await store.putResult(0, KEPT, RESULT, 60_000);
  const end = { id: unit.id, expect: 1, state: 'completed' as const, result: refTo(RESULT), adopt: KEPT, indexes: [] };
  await store.commit(0, commitOf('end', end));
  return unit;
}

describe('payloads in Redis', () => {
  it('stand under a key of their own without an end, and the record is small', async () => {
    aStore();
    const { id } = await completed();
    expect(await keys('[pl]:*')).toEqual([`l:${id.slice(0, 15)}`, `p:${id}:i`, `p:${id}:r`]);
    expect([await admin.pttl(`${tag}p:${id}:i`), await admin.pttl(`${tag}p:${id}:r`)]).toEqual([-1, -1]);
    expect(await admin.memory('USAGE', `${tag}b:${id.slice(0, 15)}`)).toBeLessThan(2_000);
    expect(await keys('out:*')).toEqual([]);
  });

  it('leave no key when they go with their record', async () => {
    aStore();
    const { id } = await completed();
    const removal = { id, expect: 2, state: 'completed' as const, remove: true as const, indexes: [] };
    await store.commit(0, commitOf('remove', removal));
    expect(await Promise.all(['p:*', 'l:*', 'm:*', 'b:*', 'out:*'].map(keys))).toEqual([[], [], [], [], []]);
  });

  it('of a unit that lost are taken away at once', async () => {
    aStore();
    const { id } = await completed();
    const { units } = await store.commit(0, commitOf('again', withInput({ id }), withInput()));
    expect(units).toMatchObject([{ ok: false, reason: 'conflict' }, { ok: true }]);
    expect(await keys('out:*')).toEqual([]);
  });

  it('of a commit that never comes end by themselves', async () => {
    aStore();
    await store.putResult(0, KEPT, RESULT, 60_000);
    const left = await admin.pttl(`${tag}out:w1@100-aa:a1`);
    expect(left).toBeGreaterThan(50_000);
    expect(left).toBeLessThanOrEqual(60_000);
  });

  it('of a fenced commit are taken away at once', async () => {
    aStore();
    const reply = await store.commit(0, { ...commitOf('fenced', withInput()), epoch: '1.other' });
    expect(reply.fenced).toBe('epoch');
    expect(await keys('*')).toEqual([]);
  });

  it('that somebody wrote over or removed make the record unreadable, and no other', async () => {
    aStore();
    const [changed, removed, whole] = [withInput(), withInput(), withInput()];
    await store.commit(0, commitOf('create', changed, removed, whole));
    await admin.set(`${tag}p:${changed.id}:i`, jsonOf(50_000, 'y'));
    await admin.del(`${tag}p:${removed.id}:i`);
    const { tasks } = await store.read(0, [changed.id, removed.id, whole.id], { input: true });
    expect(tasks.map((task) => task?.damaged)).toEqual(['input', 'input', undefined]);
    expect(() => decodeTask(tasks[0]!)).toThrow(/the input of task \w+ is not there as it was stored/);
    expect(tasks[2]?.input).toBe(INPUT);
    expect((await store.read(0, [removed.id])).tasks[0]).not.toHaveProperty('damaged');
  });

  it('of more than one command may bring are read whole', async () => {
    aStore();
    const texts = Array.from({ length: 9 }, (_, n) => jsonOf(4 * 1024 * 1024, String(n)));
    const units = texts.map((input) => withInput({ input: refTo(input), large: { input } }));
    await store.commit(0, commitOf('create', ...units));
    const { tasks } = await store.read(
      0,
      units.map(({ id }) => id),
      { input: true },
    );
    expect(tasks.every((task, n) => task?.input === texts[n])).toBe(true);
  });

  it('are refused with new tasks while memory is out, but results are kept and adopted', async () => {
    aStore();
    const unit = withInput();
    await store.commit(0, commitOf('create', unit));
    await admin.config('SET', 'maxmemory', '1');
    await expect(store.commit(0, commitOf('second', withInput()))).rejects.toMatchObject({ code: 'STORE_FULL' });
    await store.putResult(0, KEPT, RESULT, 60_000);
    expect(await store.renewResults(0, [KEPT], 60_000)).toEqual([true]);
    const end = {
      id: unit.id,
      expect: 1,
      state: 'completed' as const,
      result: refTo(RESULT),
      adopt: KEPT,
      indexes: [],
    };
    expect((await store.commit(0, commitOf('end', end))).units).toEqual([{ ok: true, already: false }]);
    expect((await read(unit.id)).result).toBe(RESULT);
    expect(await keys('out:*')).toEqual([]);
  });
});
