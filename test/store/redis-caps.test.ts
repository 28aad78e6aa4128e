/* What of caps only a real Redis can lose: keys that someone deletes by hand. The next repairs bring everything back. */
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createRedisStore } from '../../src/store/redis/redis-store.ts';
import type { Store, Unit } from '../../src/store/store.ts';
import { aUnit, inLane } from '../support/builders.ts';
import { type RedisServer, startRedis } from '../support/redis-server.ts';

const CAP = 'a|echo';
const TAG = '{caps:0}:';
const LANES = ['echo|a', 'echo|b', 'echo|c', 'echo|d'];

let server: RedisServer;
let admin: Redis;
let store: Store;
let tasks: Unit[];
let tokens = 0;

beforeAll(async () => {
  server = await startRedis();
  admin = new Redis({ port: server.port });
});
afterAll(async () => {
  admin.disconnect();
  await server.stop();
});

/** One task runs in a cap of one, the others wait at it. */
beforeEach(async () => {
  await admin.flushall();
  store = createRedisStore({ connection: { port: server.port }, prefix: 'caps', shards: 1 });
  await store.changeCaps(0, { do: 'introduce', limits: { [CAP]: 1 } });
  tasks = LANES.map((lane, score) => aUnit({ indexes: [inLane(lane, score)] }));
  await store.commit(0, { op: 'create', units: tasks });
  const token = 'first';
  await take(token);
  await store.commit(0, { op: 'assign', units: [{ ...running(tasks[0]!), expect: 1, repair: undefined, token }] });
  await take();
  expect(await admin.zcard(`${TAG}capwait:${CAP}`)).toBe(3);
});
afterEach(() => store.close());

describe('caps after keys were deleted by hand', () => {
  it.each([`capwait:${CAP}`, 'capped-by', 'capped', 'capfree', `cap:${CAP}`])('%s', async (key) => {
    await admin.del(TAG + key);
    await repair();
    expect(await take(), 'taken past the cap').toEqual([]);
    await end(0);
    const found: string[] = [];
    for (const turn of [1, 2, 3]) {
      for (let round = 0; round < 2; round++) found.push(...(await take(`turn${turn}`)));
      await store.commit(0, {
        op: `assign${turn}`,
        units: [{ ...running(tasks[turn]!), expect: 1, repair: undefined, token: `turn${turn}` }],
      });
      expect(await take()).toEqual([]);
      await end(turn);
    }
    expect([...new Set(found)]).toEqual(tasks.slice(1).map(({ id }) => id));
  });

  it('and places that nobody was told of are found by the next repair', async () => {
    await admin.del(`${TAG}cap:${CAP}`);
    const waiting = tasks.slice(1).map((task) => ({ ...task, expect: 1, repair: true as const }));
    await store.commit(0, { op: 'repair', units: waiting });
    expect(await take()).toEqual([tasks[1]!.id]);
  });
});

describe('ten thousand lanes at one cap', () => {
  it('cost a call that frees a place next to nothing', async () => {
    for (let from = 0; from < 10_000; from += 500) {
      const units = Array.from({ length: 500 }, (_, n) =>
        aUnit({ indexes: [inLane(`echo|t${from + n}`, from + n + 10)] }),
      );
      await store.commit(0, { op: `many${from}`, units });
    }
    for (let round = 0; round < 12; round++) expect(await take()).toEqual([]);
    expect(await admin.zcard(`${TAG}heads`)).toBe(0);
    const before = await usedMicros();
    for (let round = 0; round < 50; round++) {
      await store.giveBack(0, `round${round - 1}`);
      if (round === 0) await end(0);
      expect(await take(`round${round}`)).toHaveLength(1);
      expect(await admin.zcard(`${TAG}heads`)).toBeLessThanOrEqual(1);
    }
    // Two calls a round; a walk over all lanes would take milliseconds each.
    expect((await usedMicros()) - before).toBeLessThan(50 * 2_000);
  });
});

async function take(token = `t${tokens++}`): Promise<string[]> {
  const reply = await store.take(0, { token, max: 10, urgentMax: 10, agents: { echo: 100 }, lanesMax: 1_000 });
  return reply.tasks.map(({ task }) => task.id);
}

/** The unit of a task as it runs; a repair unless told otherwise. */
function running(task: Unit): Unit {
  const indexes = [{ do: 'add', index: `cap:${CAP}`, member: task.id, score: 0 }] as const;
  return { id: task.id, expect: 2, state: 'running', repair: true, indexes: [...indexes] };
}

/** What the reconciler does. */
async function repair(): Promise<void> {
  const waiting = tasks.slice(1).map((task) => ({ ...task, expect: 1, repair: true as const }));
  await store.commit(0, { op: 'repair', units: [running(tasks[0]!), ...waiting] });
}

async function end(at: number): Promise<void> {
  const { id } = tasks[at]!;
  const indexes = [{ do: 'remove', index: `cap:${CAP}`, member: id, score: 0 }] as const;
  await store.commit(0, { op: `end${at}`, units: [{ id, expect: 2, state: 'completed', indexes: [...indexes] }] });
}

async function usedMicros(): Promise<number> {
  const text = await admin.info('commandstats');
  return Number(/cmdstat_evalsha:calls=\d+,usec=(\d+)/.exec(text)?.[1] ?? 0);
}
