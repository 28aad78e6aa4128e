import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkSeal } from '../../src/message/seal.ts';
import type { Store } from '../../src/store/store.ts';
import { decodeTask } from '../../src/task/codec.ts';
import { isActive, isTerminal, TASK_STATES, type TaskRecord } from '../../src/task/task.ts';
import { anAttempt, anId, T0 } from '../support/builders.ts';
import { type RedisServer, startRedis } from '../support/redis-server.ts';
import {
  aSealedTask,
  digestIn,
  keys,
  linesIn,
  memoryStore,
  put,
  redisStore,
  restoreInto,
  snapshotOf,
  tasksIn,
} from './world.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
}, 30_000);
afterAll(() => server.stop());

const held = { trail: { fence: 3, used: 1, crashes: 2, attempt: anAttempt({ seq: 4, startedAt: T0 }) } };

/** One task in each state, some twice. */
function allKinds(): Record<string, TaskRecord> {
  return {
    queued: aSealedTask({ version: 3, state: 'queued', trail: { score: 12.5 } }),
    urgent: aSealedTask({ version: 1, state: 'queued', priority: 10, trail: { score: 1 } }),
    scheduled: aSealedTask({ version: 2, state: 'scheduled' }),
    assigned: aSealedTask({ version: 5, state: 'assigned', ...held }),
    running: aSealedTask({ version: 9, state: 'running', ...held }),
    onceOnly: aSealedTask({ version: 4, state: 'running', delivery: 'at-most-once', ...held }),
    waiting: aSealedTask({ version: 6, state: 'waiting' }),
    completed: aSealedTask({ version: 7, state: 'completed', result: '{"a":[],"b":12345678901234567890}' }),
    failed: aSealedTask({
      version: 8,
      state: 'failed',
      trail: { error: { code: 'x', message: 'y', retryable: false } },
    }),
    cancelled: aSealedTask({ version: 2, state: 'cancelled' }),
    large: aSealedTask({
      state: 'completed',
      input: JSON.stringify('é'.repeat(40_000)),
      result: `"${'r'.repeat(90_000)}"`,
    }),
  };
}

describe.each(['memory', 'redis'])('a snapshot of %s', (kind) => {
  const open = (shards = 1) => (kind === 'memory' ? memoryStore(shards) : redisStore(server.port, shards));
  const other = (shards = 1) => (kind === 'memory' ? redisStore(server.port, shards) : memoryStore(shards));

  it('holds every task once, as it stands, to the last character', async () => {
    const store = open();
    const tasks = Object.values(allKinds());
    await put(store, tasks);
    const lines = new Map(tasksIn(await snapshotOf(store)).map((line) => [line.id, line]));
    expect([...lines.keys()].sort()).toEqual(tasks.map(({ id }) => id).sort());
    for (const task of tasks) {
      const { id, version, state, input, result, sealed } = task;
      expect(lines.get(id)).toEqual({
        ...{ type: 'task', shard: 0, id, version, state, input, seal: sealed.seal, spec: sealed.text },
        trail: JSON.stringify(task.trail),
        ...(result !== undefined && { result }),
      });
    }
    await store.close();
  });

  it('has the same digest after restoring into the other backend, and back', async () => {
    const [first, second, third] = [open(), other(), open()];
    await put(first, Object.values(allKinds()));
    await first.setPaused(0, 'echo', true);
    const taken = await snapshotOf(first);
    await restoreInto(second, taken);
    const again = await snapshotOf(second);
    await restoreInto(third, again);
    expect(digestIn(again)).toBe(digestIn(taken));
    expect(digestIn(await snapshotOf(third))).toBe(digestIn(taken));
    for (const store of [first, second, third]) await store.close();
  });

  it('is restored without leases: what ran waits again at its old place, and what ended has ended', async () => {
    const [from, to] = [open(), other()];
    const kinds = allKinds();
    await put(from, Object.values(kinds));
    const report = await restoreInto(to, await snapshotOf(from));
    expect(report).toMatchObject({ restored: 11, kept: 0, requeued: 2, outcomeUnknown: 1 });
    const now = async (task: TaskRecord) => {
      const { tasks } = await to.read(0, [task.id], { input: true, result: true });
      return decodeTask(tasks[0]!);
    };
    for (const task of [kinds.assigned!, kinds.running!]) {
      const found = await now(task);
      expect(found).toMatchObject({ state: 'queued', version: task.version + 1 });
      expect(found.trail).toMatchObject({ fence: 4, used: 1, crashes: 2, score: task.trail.score });
      expect(found.trail.attempt).toBeUndefined();
      expect(found.trail.history.at(-1)).toMatchObject([
        task.version + 1,
        expect.any(Number),
        'queued',
        { why: 'restored' },
      ]);
      expect(checkSeal(found.sealed.text, found.sealed.seal, keys)).toBe('ok');
    }
    expect(await now(kinds.onceOnly!)).toMatchObject({
      state: 'failed',
      trail: { error: { code: 'outcome_unknown' } },
    });
    for (const task of Object.values(kinds).filter(({ state }) => !isActive(state))) {
      const { sealed: _, ...same } = task;
      expect(await now(task)).toMatchObject(same);
    }
    expect(await to.holders(0)).toEqual([]);
    const taken = await to.take(0, { token: 't', max: 10, urgentMax: 10, agents: { echo: 10 }, lanesMax: 10 });
    expect(taken.tasks.map(({ task }) => task.id)).toEqual([
      kinds.urgent!.id,
      kinds.queued!.id,
      ...[kinds.assigned!.id, kinds.running!.id].sort(),
    ]);
    expect((await to.range(0, 'due', Number.MAX_SAFE_INTEGER, 10)).entries).toEqual([
      [kinds.scheduled!.id, T0 + 1_000],
    ]);
    for (const store of [from, to]) await store.close();
  });

  it('keeps keys of submits, schedules, paused queues and agents', async () => {
    const [from, to] = [open(), other()];
    const [task] = Object.values(allKinds());
    await put(from, [task!]);
    await from.putUnique(0, [{ key: 'k', id: task!.id, digest: 'd', ttlMs: 60_000 }]);
    await from.setPaused(0, 'echo', true);
    await from.announce([{ name: 'echo', card: '{"name":"echo","concurrency":2}' }]);
    const schedule = JSON.stringify({ id: 's', tenant: 't', waiting: [], nextAt: 5, jitterMs: 0 });
    await from.writeSchedule(0, { key: 's', expect: 0, text: schedule, dueAt: 5 });
    const report = await restoreInto(to, await snapshotOf(from));
    expect(report).toMatchObject({ schedules: 1, uniqueKeys: 1 });
    const { keys: found } = await to.scanUnique(0, null);
    expect(found).toEqual([{ key: 'k', id: task!.id, digest: 'd', ttlMs: expect.any(Number) }]);
    expect(await to.paused(0)).toEqual(['echo']);
    expect(await to.catalog()).toEqual([{ name: 'echo', card: '{"name":"echo","concurrency":2}' }]);
    expect((await to.caps(0, 10)).limits).toEqual({ 'a|echo': 2 });
    expect((await to.dueSchedules(0, 10)).schedules).toEqual([{ key: 's', version: 1, text: schedule }]);
    for (const store of [from, to]) await store.close();
  });

  it('goes shard by shard, and into a store with as many of them only', async () => {
    const [from, to, fewer] = [open(4), other(4), other(1)];
    const tasks = Array.from({ length: 60 }, (_, at) => aSealedTask({ id: anId(at % 4) }));
    await put(from, tasks, 4);
    const taken = await snapshotOf(from, 4);
    expect(tasksIn(taken).map(({ shard }) => shard)).toEqual(
      Array.from({ length: 60 }, (_, at) => Math.floor(at / 15)),
    );
    await expect(restoreInto(fewer, taken)).rejects.toThrow('it was taken with SHARDS=4, here SHARDS is 1');
    expect(await restoreInto(to, taken, { shards: 4 })).toMatchObject({ restored: 60 });
    expect(digestIn(await snapshotOf(to, 4))).toBe(digestIn(taken));
    for (const store of [from, to, fewer]) await store.close();
  });

  it('leaves out what someone wrote over, and counts it', async () => {
    const store = open();
    await put(store, [aSealedTask()]);
    await store.commit(0, {
      op: 'x',
      units: [{ id: anId(), expect: 0, state: 'queued', spec: 's {}', trail: '{', indexes: [] }],
    });
    const taken = await snapshotOf(store);
    expect(tasksIn(taken)).toHaveLength(1);
    expect(linesIn(taken).find(({ type }) => type === 'cut')).toMatchObject({ tasks: 1, unreadable: 1 });
    await store.close();
  });
});

describe('what changes while a shard is read', () => {
  it('is in the snapshot as it stood at the cut, once, whatever was read before', async () => {
    const store = memoryStore();
    const tasks = Array.from({ length: 900 }, (_, at) => aSealedTask({ id: anId(0, T0 + at * 20) }));
    await put(store, tasks);
    const late = aSealedTask({ id: anId(0, T0 + 9e6) });
    const gone = tasks[3]!;
    let reads = 0;
    const changing = intercepted(store, async (name) => {
      if (name !== 'readBlock' || ++reads !== 5) return;
      // Of blocks that were read already, of some that were not, one that is new, and one that goes.
      for (const { id } of [tasks[0]!, tasks[1]!, tasks[899]!]) await store.commit(0, cancel(id));
      await put(store, [late]);
      await store.commit(0, { op: 'gone', units: [{ id: gone.id, expect: 1, state: 'cancelled', indexes: [] }] });
      await store.commit(0, {
        op: 'rm',
        units: [{ id: gone.id, expect: 2, state: 'cancelled', remove: true, indexes: [] }],
      });
    });
    const found = tasksIn(await snapshotOf(changing));
    expect(reads).toBeGreaterThan(5);
    expect(found.map(({ id }) => id).sort()).toEqual(
      [...tasks, late]
        .map(({ id }) => id)
        .filter((id) => id !== gone.id)
        .sort(),
    );
    const versions = new Map(found.map(({ id, version, state }) => [id, `${version} ${state}`]));
    expect([tasks[0]!, tasks[899]!, tasks[2]!, late].map(({ id }) => versions.get(id))).toEqual([
      ...['2 cancelled', '2 cancelled', '1 queued', '1 queued'],
    ]);
  });

  it('is given up, to be tried again, when the event stream lost what was not read', async () => {
    const store = memoryStore();
    await put(store, [aSealedTask()]);
    const losing = intercepted(store, async (name) => {
      if (name !== 'readBlock') return;
      await put(store, [aSealedTask()]);
      await put(store, [aSealedTask()]);
      await store.trim(0, 'events', (await store.lastEntry(0, 'events')).id);
      await put(store, [aSealedTask()]);
    });
    await expect(snapshotOf(losing)).rejects.toMatchObject({ code: 'SNAPSHOT_FELL_BEHIND', retryable: true });
  });
});

describe('restoring', () => {
  it('is refused where other tasks are, and with force adds what is missing and changes nothing', async () => {
    const [from, to] = [memoryStore(), memoryStore()];
    const [same, older, missing] = [aSealedTask({ version: 2 }), aSealedTask({ version: 2 }), aSealedTask()];
    await put(from, [same, older, missing]);
    const ended = { ...older, version: 5, state: 'completed' as const, result: '1' };
    await put(to, [same, ended]);
    const taken = await snapshotOf(from);
    await expect(restoreInto(to, taken)).rejects.toMatchObject({ code: 'STORE_NOT_EMPTY' });
    expect(tasksIn(await snapshotOf(to))).toHaveLength(2);
    expect(await restoreInto(to, taken, { force: true })).toMatchObject({ restored: 1, kept: 2 });
    const { tasks } = await to.read(0, [older.id, missing.id]);
    expect(tasks.map((task) => [task?.version, task?.state])).toEqual([
      [5, 'completed'],
      [1, 'queued'],
    ]);
  });

  it('that was cut off is repeated, without force, and ends as if it never was', async () => {
    const [from, to] = [memoryStore(), memoryStore()];
    await put(
      from,
      Array.from({ length: 1_200 }, (_, at) => aSealedTask({ state: TASK_STATES[at % 8]! })),
    );
    const taken = await snapshotOf(from);
    await expect(restoreInto(failingAfter(to, 2), taken)).rejects.toThrow('cut off');
    expect(tasksIn(await snapshotOf(to))).toHaveLength(500);
    expect(await restoreInto(to, taken)).toMatchObject({ restored: 700, kept: 500 });
    expect(await restoreInto(to, taken)).toMatchObject({ restored: 0, kept: 1_200 });
    expect(digestIn(await snapshotOf(to))).toBe(digestIn(taken));
  });

  it('of whatever was taken gives what has the same digest', async () => {
    const aState = fc.record({
      state: fc.constantFrom(...TASK_STATES),
      version: fc.integer({ min: 1, max: 50 }),
      once: fc.boolean(),
      priority: fc.integer({ min: 0, max: 10 }),
      input: fc.json(),
      fence: fc.integer({ min: 1, max: 9 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(aState, { maxLength: 30 }),
        fc.subarray(['echo', 'other', 'é|%']),
        async (states, paused) => {
          const [from, to] = [memoryStore(), memoryStore()];
          const tasks = states.map(({ once, fence, state, ...same }) => {
            const trail = isActive(state) || isTerminal(state) ? { trail: { fence } } : {};
            return aSealedTask({ ...same, state, ...trail, ...(once && { delivery: 'at-most-once' as const }) });
          });
          await put(from, tasks);
          for (const agent of paused) await from.setPaused(0, agent, true);
          const taken = await snapshotOf(from);
          await restoreInto(to, taken);
          expect(digestIn(await snapshotOf(to))).toBe(digestIn(taken));
          expect(tasksIn(taken)).toHaveLength(states.length);
        },
      ),
      { numRuns: 60 },
    );
  });
});

/** Fails with its commit number `count`. */
function failingAfter(store: Store, count: number): Store {
  let commits = 0;
  return new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        if (name === 'commit' && ++commits >= count) return Promise.reject(new Error('cut off'));
        return value.apply(target, args);
      };
    },
  });
}

function cancel(id: string) {
  return { op: `c-${id}`, units: [{ id, expect: 1, state: 'cancelled' as const, indexes: [] }] };
}

/** Lets something happen before each call. */
function intercepted(store: Store, before: (name: string) => Promise<void>): Store {
  return new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return async (...args: unknown[]) => {
        await before(String(name));
        return value.apply(target, args);
      };
    },
  });
}
