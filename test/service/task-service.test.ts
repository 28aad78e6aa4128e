import { describe, expect, it } from 'vitest';
import { changesOf } from '../../src/service/event-feed.ts';
import type { ListFilter } from '../../src/service/task-list.ts';
import { Waiters } from '../../src/service/waiters.ts';
import type { Store } from '../../src/store/store.ts';
import type { WorldOptions } from '../coordinator/world.ts';
import { ServiceWorld } from './world.ts';

const serving = (options?: WorldOptions) => new ServiceWorld(options).announce();

describe('cancel', () => {
  it.each<[string, (world: ServiceWorld, id: string) => Promise<unknown>]>([
    ['scheduled', async () => undefined],
    ['queued', (world, id) => world.give(id, { type: 'promote', score: 1 })],
  ])('of a %s task ends it and takes it out of its place', async (state, bring) => {
    const world = await serving();
    const id = await world.post({ delayMs: 1_000 });
    await bring(world, id);
    expect(await world.state(id)).toBe(state);
    const task = await world.call(world.tasks.cancel(id, 'changed my mind'));
    expect(task).toMatchObject({
      state: 'cancelled',
      stopReason: 'cancelled',
      error: { code: 'cancelled', message: 'changed my mind' },
    });
    expect(await world.lanes()).toEqual({});
    expect(await world.members('due')).toEqual([]);
  });

  it.each(['assigned', 'running'])('of an %s task ends it at once and tells its worker', async (state) => {
    const world = await serving();
    const worker = await world.worker().enlist();
    const ref = await worker.take(await world.post());
    const from = { attemptId: ref.attemptId, fence: 1, seq: 1 };
    if (state === 'running') await world.give(ref.task, { type: 'start', from, at: world.now() });
    expect((await world.call(world.tasks.cancel(ref.task))).state).toBe('cancelled');
    const [{ message } = {}] = await worker.mail();
    const cancel = { task: ref.task, attemptId: ref.attemptId, code: 'cancelled', reason: 'cancelled on request' };
    expect(message).toMatchObject({ type: 'task.cancel', from: 'coordinators', body: { cancels: [cancel] } });
    expect(await world.members(`held:${worker.holder}`)).toEqual([]);
  });

  it('of a cancelled task changes nothing; of another that has ended it is refused', async () => {
    const world = await serving();
    const id = await world.post();
    const first = await world.call(world.tasks.cancel(id));
    expect(await world.call(world.tasks.cancel(id))).toEqual(first);
    const failed = await world.post();
    await world.give(failed, { type: 'reject', message: 'm' });
    await expect(world.call(world.tasks.cancel(failed))).rejects.toMatchObject({
      code: 'WRONG_STATE',
      details: { id: failed, state: 'failed' },
    });
  });

  it('is decided again when the task changed in between', async () => {
    const { meddle, through } = meddling();
    const world = await serving({ through });
    const worker = await world.worker().enlist();
    const id = await world.post();
    meddle.before = async () => void (await worker.take(id));
    const task = await world.call(world.tasks.cancel(id), 500);
    expect(task).toMatchObject({ state: 'cancelled', version: 3 });
    expect(await worker.mail()).toHaveLength(1);
    expect(world.observed('state.conflict')).toMatchObject([{ id, where: 'cancel' }]);
  });

  it('gives up, and says so, on a task that changes all the time', async () => {
    const { meddle, through } = meddling();
    const world = await serving({ through });
    const id = await world.post();
    const toggle = async () => {
      meddle.before = null;
      const waiting = (await world.state(id)) === 'queued';
      await world.give(
        id,
        waiting
          ? { type: 'assign', attemptId: 'a', worker: 'w', incarnation: '1-a', distributor: 'd' }
          : { type: 'lose', attemptId: 'a', started: 'yes', crashesMax: 99, why: 'x' },
      );
      meddle.before = toggle;
    };
    meddle.before = toggle;
    await expect(world.call(world.tasks.cancel(id), 60_000)).rejects.toMatchObject({
      code: 'STATE_CONFLICT',
      retryable: true,
    });
  });
});

describe('retry', () => {
  it('gives a failed or cancelled task a new set of attempts, at the end of its lane', async () => {
    const world = await serving({ policy: { priorityAgeing: 1_000 } });
    const id = await world.post();
    await world.give(id, { type: 'reject', message: 'm' });
    await world.advance(5_000);
    const at = world.now();
    expect(await world.call(world.tasks.retry(id))).toMatchObject({ state: 'queued', version: 3 });
    expect((await world.task(id)).trail).toMatchObject({ used: 0, score: at - 5_000 });
    expect(await world.lanes()).toEqual({ 'echo|default': 1 });
  });

  it('is refused while the task still lives', async () => {
    const world = await serving();
    const id = await world.post();
    await expect(world.call(world.tasks.retry(id))).rejects.toMatchObject({ code: 'WRONG_STATE' });
  });
});

describe('a task that does not exist', () => {
  it.each(['nonsense', '', 'z'.repeat(25), '0'.repeat(25), '../../etc', `${'0'.repeat(9)}zz${'0'.repeat(14)}`])(
    'is not found: %j',
    async (id) => {
      const world = await serving();
      const calls = [
        () => world.tasks.get(id),
        () => world.tasks.cancel(id),
        () => world.tasks.retry(id),
        () => world.tasks.history(id),
        () => world.tasks.result(id, 0),
      ];
      for (const call of calls) await expect(world.call<unknown>(call())).rejects.toMatchObject({ code: 'NOT_FOUND' });
    },
  );
});

describe('a result', () => {
  it('is answered at once when the task has ended, and as it stands when nobody waits', async () => {
    const world = await serving();
    const id = await world.post();
    expect(await world.call(world.tasks.result(id, 0))).toMatchObject({ ended: false, task: { state: 'queued' } });
    await world.call(world.tasks.cancel(id));
    expect(await world.call(world.tasks.result(id, 60_000))).toMatchObject({
      ended: true,
      task: { state: 'cancelled' },
    });
  });

  it('is waited for, and comes with the commit of this coordinator', async () => {
    const world = await serving();
    const id = await world.post();
    const waited = world.tasks.result(id, 60_000);
    await world.advance(1_000);
    await world.call(world.tasks.cancel(id));
    expect(await world.call(waited)).toMatchObject({ ended: true, task: { state: 'cancelled' } });
    expect(world.waiters.ids()).toEqual([]);
  });

  it('comes with the commit of another coordinator through the event stream', async () => {
    const world = await serving({ policy: { shards: 2 } });
    world.feed.start();
    await world.advance(1);
    const ids = [await world.post(), await world.post()];
    const waited = Promise.all(ids.map((id) => world.tasks.result(id, 60_000)));
    await world.advance(1_000);
    const from = world.now();
    const other = world.another().tasks;
    for (const id of ids) await world.call(other.cancel(id));
    expect(await world.call(waited)).toMatchObject([{ ended: true }, { ended: true }]);
    expect(world.now() - from).toBeLessThan(10);
    const stopped = world.feed.stop();
    await world.advance(0);
    await stopped;
  });

  it('comes although the event stream says nothing, a little later', async () => {
    const world = await serving();
    const id = await world.post();
    const waited = world.tasks.result(id, 60_000);
    await world.advance(100);
    await world.give(id, { type: 'cancel', reason: 'r' });
    expect(await world.call(waited, 3_000)).toMatchObject({ ended: true });
  });

  it('is given up after its time, or when the caller goes', async () => {
    const world = await serving();
    const id = await world.post();
    expect(await world.call(world.tasks.result(id, 5_000), 5_001)).toMatchObject({ ended: false });
    const gone = new AbortController();
    const waited = world.tasks.result(id, 60_000, gone.signal);
    await world.advance(10);
    gone.abort();
    expect(await world.call(waited)).toMatchObject({ ended: false });
    expect(world.waiters.ids()).toEqual([]);
  });

  it('is told to every waiter, and to none that has gone', () => {
    const waiters = new Waiters();
    const heard: string[] = [];
    const off = waiters.on('t', (state) => heard.push(`a ${state}`));
    waiters.on('t', (state) => heard.push(`b ${state}`));
    waiters.tell('t', 'running');
    off();
    waiters.tell('t', 'completed');
    waiters.tell('other', 'failed');
    expect(heard).toEqual(['a running', 'b running', 'b completed']);
  });
});

describe('an entry of the event stream', () => {
  it('holds all changes of one commit; what cannot be read is none', () => {
    const changes = changesOf({ id: '1-0', fields: { e: 'a 1 queued;b 12 failed;;c 3' } });
    expect(changes).toEqual([
      { id: 'a', version: 1, state: 'queued' },
      { id: 'b', version: 12, state: 'failed' },
    ]);
    expect(changesOf({ id: '1-0', fields: {} })).toEqual([]);
  });
});

describe('the list of tasks', () => {
  /** 60 tasks over four shards and several blocks, oldest first. */
  async function listed() {
    const world = await serving({ policy: { shards: 4 } });
    const ids: string[] = [];
    for (let i = 0; i < 60; i++) {
      const over = { agent: i % 3 === 0 ? 'slow' : 'echo', tenant: i % 2 === 0 ? 'even' : 'odd' };
      ids.push(await world.post({ ...over, labels: { n: String(i % 5) }, correlationId: `c${i % 4}` }));
      await world.advance(100);
    }
    const list = (filter: ListFilter = {}) => world.call(world.tasks.list(filter));
    const pages = async (filter: ListFilter) => {
      const found: string[] = [];
      let cursor: string | null | undefined;
      do {
        const page = await list(cursor ? { ...filter, cursor } : filter);
        found.push(...page.tasks.map(({ id }) => id));
        expect(page.tasks.length).toBeLessThanOrEqual(filter.limit ?? 50);
        cursor = page.nextCursor;
      } while (cursor);
      return found;
    };
    return { world, ids, list, pages };
  }

  it('goes from the newest to the oldest over all shards, page by page, each task once', async () => {
    const { ids, pages, list } = await listed();
    const newestFirst = ids.toSorted().reverse();
    for (const limit of [1, 7, 60, 500]) expect(await pages({ limit })).toEqual(newestFirst);
    const { tasks } = await list();
    expect(tasks).toHaveLength(50);
    expect(tasks[0]).not.toHaveProperty('input');
  });

  it.each<[string, ListFilter, (i: number) => boolean]>([
    ['agent', { agent: 'slow' }, (i) => i % 3 === 0],
    ['tenant', { tenant: 'odd' }, (i) => i % 2 === 1],
    ['label', { labels: { n: '3' } }, (i) => i % 5 === 3],
    ['correlation', { correlationId: 'c2' }, (i) => i % 4 === 2],
    [
      'several at once',
      { agent: 'slow', tenant: 'odd', labels: { n: '3' } },
      (i) => i % 3 === 0 && i % 2 === 1 && i % 5 === 3,
    ],
    ['nothing that is there', { agent: 'none' }, () => false],
  ])('filters by %s', async (_, filter, fits) => {
    const { ids, pages } = await listed();
    const wanted = ids
      .filter((_, i) => fits(i))
      .sort()
      .reverse();
    expect(await pages({ ...filter, limit: 4 })).toEqual(wanted);
  });

  it('filters by state and by age', async () => {
    const { world, ids, pages } = await listed();
    await world.call(world.tasks.cancel(ids[7]!));
    expect(await pages({ state: ['cancelled', 'failed'] })).toEqual([ids[7]]);
    const { createdAt } = (await world.task(ids[10]!)).spec;
    expect((await pages({ createdBefore: createdAt })).sort()).toEqual(ids.slice(0, 10).sort());
  });

  it('is not hidden by one record that someone wrote over; that one is named when it is asked for', async () => {
    const world = await serving();
    const [broken, whole] = [await world.post(), await world.post()];
    await world.tamper(broken, { spec: 'x {' });
    const { tasks } = await world.call(world.tasks.list({}));
    expect(tasks.map(({ id }) => id)).toEqual([whole]);
    await expect(world.call(world.tasks.get(broken))).rejects.toMatchObject({ code: 'RECORD_UNREADABLE' });
  });
});

describe('the history', () => {
  it('shows what happened to a task', async () => {
    const world = await serving();
    const ref = await (await world.worker().enlist()).take(await world.post());
    await world.call(world.tasks.cancel(ref.task));
    const { history, dropped, task } = await world.call(world.tasks.history(ref.task));
    expect([task, dropped]).toEqual([ref.task, 0]);
    expect(history.map(({ state, type }) => state ?? type)).toEqual([
      ...['queued', 'task.assign', 'assigned', 'task.cancel', 'cancelled'],
    ]);
  });
});

/** Lets a test act once between the read and the commit of a command. */
function meddling() {
  const meddle: { before: (() => Promise<void>) | null } = { before: null };
  const through = (store: Store): Store =>
    new Proxy(store, {
      get(target, name) {
        const value = Reflect.get(target, name, target);
        if (name !== 'commit') return typeof value === 'function' ? value.bind(target) : value;
        return async (...args: Parameters<Store['commit']>) => {
          const before = meddle.before;
          meddle.before = null;
          await before?.();
          return target.commit(...args);
        };
      },
    });
  return { meddle, through };
}
