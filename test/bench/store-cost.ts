/*
 * What the life of a task costs in Redis, by hand: `node --experimental-strip-types test/bench/store-cost.ts [pending…]`.
 * Tasks are created, taken, assigned and completed in batches, with so many others waiting in the same lane; `fifo` =
 * queue order is id order, `shuffled` = it is not, so a batch spreads over as many blocks as it has tasks. Figures are
 * microseconds per task: CPU of redis-server, CPU of this process, time of the wall.
 */
import { cpuUsage } from 'node:process';
import { Redis } from 'ioredis';
import { systemRuntime } from '../../src/runtime/system-runtime.ts';
import { createRedisStore } from '../../src/store/redis/redis-store.ts';
import type { Store, TakenTask, Unit } from '../../src/store/store.ts';
import { TaskIds } from '../../src/task/id.ts';
import { startRedis } from '../support/redis-server.ts';

const BATCH = 100;
const BATCHES = 200;
const LANE = 'echo|default';
const HOLDER = 'worker-1@1700000000000-abcdefgh';
const INPUT = JSON.stringify({ text: 'x'.repeat(200) });
const SPEC = `${'s'.repeat(43)} ${JSON.stringify({ agent: 'echo', text: 'y'.repeat(400) })}`;
const TRAIL = JSON.stringify({ fence: 1, used: 0, history: [[1, 1, 'queued']], pad: 'z'.repeat(150) });
const ENVELOPE = 'e'.repeat(60_000);

interface Costs {
  redis: number;
  own: number;
  wall: number;
}

const NOTHING: Costs = { redis: 0, own: 0, wall: 0 };
const pendings = process.argv.slice(2).map(Number);
for (const pending of pendings.length > 0 ? pendings : [10_000, 300_000]) {
  for (const shuffled of [false, true]) await measure(pending, shuffled);
}

async function measure(pending: number, shuffled: boolean): Promise<void> {
  const server = await startRedis();
  const store = createRedisStore({ connection: { port: server.port }, prefix: 'bench', shards: 1 });
  const admin = new Redis({ port: server.port });
  const ids = new TaskIds(0, (length) => systemRuntime.id(length));
  const base = Date.now();
  const scoreOf = () => (shuffled ? base + Math.floor(Math.random() * 1e9) : Date.now());
  let made = 0;
  const create = async () => {
    const units = Array.from({ length: BATCH }, (): Unit => {
      const indexes: Unit['indexes'] = [{ do: 'add', lane: LANE, score: scoreOf() }];
      return {
        id: ids.next(base + made / 20),
        expect: 0,
        state: 'queued',
        spec: SPEC,
        input: INPUT,
        trail: TRAIL,
        indexes,
      };
    });
    made += BATCH;
    await store.commit(0, { op: systemRuntime.id(20), units });
  };
  for (let n = 0; n < pending / BATCH; n++) await create();

  const taken: { token: string; tasks: TakenTask[] }[] = [];
  const agents = { echo: BATCH };
  const costs: Record<string, Costs> = { create: await cost(admin, BATCHES, create) };
  const rounds = { take: NOTHING, assign: NOTHING, read: NOTHING, complete: NOTHING };
  // A reservation lasts two seconds, so a few batches at a time go through all their steps.
  for (let done = 0; done < BATCHES; done += 10) {
    rounds.take = sum(
      rounds.take,
      await cost(admin, 10, async () => {
        const token = systemRuntime.id(12);
        const { tasks } = await store.take(0, { token, max: BATCH, urgentMax: BATCH, agents, lanesMax: 100 });
        taken.push({ token, tasks });
      }),
    );
    let next = 0;
    rounds.assign = sum(
      rounds.assign,
      await cost(admin, 10, () => assign(store, taken[next]!.token, taken[next++]!.tasks)),
    );
    next = 0;
    rounds.read = sum(
      rounds.read,
      await cost(admin, 10, async () => {
        const ids = taken[next++]!.tasks.map(({ task }) => task.id);
        await store.read(0, ids);
      }),
    );
    rounds.complete = sum(rounds.complete, await cost(admin, 10, () => complete(store, taken.shift()!.tasks)));
  }
  for (const [name, one] of Object.entries(rounds)) costs[name] = one;
  const total = Object.values(costs).reduce(sum);
  console.log(`${pending} pending, ${shuffled ? 'shuffled' : 'fifo'}`);
  for (const [name, { redis, own, wall }] of Object.entries({ ...costs, total })) {
    console.log(`  ${name.padEnd(9)} redis ${redis.toFixed(2)}  own ${own.toFixed(2)}  wall ${wall.toFixed(2)}`);
  }
  console.log(`  ${commandShares(await admin.info('commandstats'))}`);
  admin.disconnect();
  await store.close();
  await server.stop();
}

function sum(a: Costs, b: Costs): Costs {
  return { redis: a.redis + b.redis, own: a.own + b.own, wall: a.wall + b.wall };
}

function assign(store: Store, token: string, tasks: TakenTask[]) {
  const now = Date.now();
  const units = tasks.map(
    ({ task, lane, score }): Unit => ({
      id: task.id,
      expect: task.version,
      state: 'assigned',
      token,
      trail: TRAIL,
      indexes: [
        { do: 'remove', lane, score },
        { do: 'add', index: 'deadline', member: task.id, score: now + 60_000 },
        { do: 'add', index: `held:${HOLDER}`, member: `${task.id}~abcdefghij`, score: now },
      ],
    }),
  );
  const post = [{ holder: HOLDER, envelope: ENVELOPE, units: units.map((_, at) => at) }];
  return store.commit(0, { op: systemRuntime.id(20), units, post });
}

async function complete(store: Store, tasks: TakenTask[]): Promise<void> {
  const now = Date.now();
  const units = tasks.map(
    ({ task }): Unit => ({
      id: task.id,
      expect: task.version + 1,
      state: 'completed',
      trail: TRAIL,
      result: INPUT,
      indexes: [
        { do: 'remove', index: 'deadline', member: task.id, score: 0 },
        { do: 'remove', index: `held:${HOLDER}`, member: `${task.id}~abcdefghij`, score: 0 },
        { do: 'min', index: 'expiry', member: task.id.slice(0, 15), score: now + 86_400_000 },
      ],
    }),
  );
  const attempts = tasks.map(({ task }, unit) => ({ held: `${task.id}~abcdefghij`, unit }));
  const { entry } = await store.report(0, {
    worker: 'worker-1',
    incarnation: '1700000000000-abcdefgh',
    envelope: 'r',
    hint: null,
  });
  const cursor = { from: await store.reportCursor(0), entries: [{ id: entry, units: units.map((_, at) => at) }] };
  const reply = await store.commit(0, {
    op: systemRuntime.id(20),
    units,
    cursor,
    release: [{ holder: HOLDER, attempts }],
  });
  if (!reply.units.every((unit) => unit.ok)) throw new Error(`a unit was lost: ${JSON.stringify(reply.units[0])}`);
  await store.trim(0, 'reports', entry);
}

/** Per task of all batches. */
async function cost(admin: Redis, times: number, batch: () => Promise<unknown>): Promise<Costs> {
  const before = { redis: await redisMicros(admin), own: cpuUsage(), wall: performance.now() };
  for (let n = 0; n < times; n++) await batch();
  const own = cpuUsage(before.own);
  const wall = (performance.now() - before.wall) * 1_000;
  const redis = (await redisMicros(admin)) - before.redis;
  const tasks = BATCH * BATCHES;
  return { redis: redis / tasks, own: (own.user + own.system) / tasks, wall: wall / tasks };
}

async function redisMicros(admin: Redis): Promise<number> {
  const info = await admin.info('cpu');
  const seconds = (name: string) => Number(new RegExp(`${name}:([\\d.]+)`).exec(info)?.[1]);
  return (seconds('used_cpu_user') + seconds('used_cpu_sys')) * 1e6;
}

function commandShares(stats: string): string {
  const all = [...stats.matchAll(/cmdstat_(\S+?):calls=(\d+),usec=(\d+)/g)].map(([, name, , usec]) => ({
    name,
    usec: Number(usec),
  }));
  return all
    .sort((a, b) => b.usec - a.usec)
    .slice(0, 12)
    .map(({ name, usec }) => `${name} ${(usec / BATCH / BATCHES).toFixed(2)}`)
    .join(', ');
}
