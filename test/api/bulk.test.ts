import { describe, expect, it } from 'vitest';
import { call, type TestApi } from './builders.ts';
import { assign, describeOnStores, failFor, give } from './stores.ts';

async function submit(api: TestApi, over: object = {}): Promise<string> {
  const { body } = await call(api, 'POST', '/v1/tasks', { body: { agent: 'echo', input: {}, ...over } });
  return body.id;
}

const stateOf = async (api: TestApi, id: string) => (await call(api, 'GET', `/v1/tasks/${id}`)).body.state;
const post = (api: TestApi, path: string, body: unknown) => call(api, 'POST', path, { body });

describeOnStores('bulk actions', (open) => {
  it('cancels what matches, tells the workers of it, and leaves what has ended', async () => {
    const api = await open();
    const ids = [await submit(api, { labels: { team: 'a' } }), await submit(api, { labels: { team: 'b' } })];
    const running = await submit(api, { labels: { team: 'a' } });
    await give(api.store, running, assign);
    const ended = await submit(api, { labels: { team: 'a' } });
    await failFor(api.store, ended);
    const request = { filter: { label: 'team=a' }, reason: 'not needed' };
    const dry = await post(api, '/v1/tasks/cancel', { ...request, dryRun: true });
    expect(dry.body).toEqual({ matched: 2, changed: 0, failed: [], dryRun: true, more: false, nextCursor: null });
    expect(await stateOf(api, running)).toBe('assigned');
    const done = await post(api, '/v1/tasks/cancel', request);
    expect(done.body).toEqual({ matched: 2, changed: 2, failed: [], dryRun: false, more: false, nextCursor: null });
    expect([await stateOf(api, ids[0]!), await stateOf(api, ids[1]!)]).toEqual(['cancelled', 'queued']);
    expect([await stateOf(api, running), await stateOf(api, ended)]).toEqual(['cancelled', 'failed']);
    expect((await call(api, 'GET', `/v1/tasks/${running}`)).body.error.message).toBe('not needed');
    const mail = await api.store.readStreams(0, {
      from: [{ stream: 'mail:w1@1-a', after: '0' }],
      count: 10,
      waitMs: 0,
    });
    expect(mail[0]!.entries).toHaveLength(1);
    expect(mail[0]!.entries[0]!.fields.w).toBe(running);
    expect((await post(api, '/v1/tasks/cancel', request)).body).toMatchObject({ matched: 0, changed: 0 });
  });

  it('goes on at the cursor, so that many calls do all of it and nothing twice', async () => {
    const api = await open({ policy: { shards: 2 } });
    const tasks = Array.from({ length: 250 }, () => ({ agent: 'summarise', input: {} }));
    await post(api, '/v1/tasks/batch', { tasks });
    let cursor: string | undefined;
    const changed: number[] = [];
    do {
      const { body } = await post(api, '/v1/tasks/cancel', { all: true, limit: 100, ...(cursor ? { cursor } : {}) });
      expect(body.more).toBe(body.nextCursor !== null);
      changed.push(body.changed);
      cursor = body.nextCursor ?? undefined;
    } while (cursor !== undefined);
    expect(changed.reduce((sum, count) => sum + count)).toBe(250);
    expect(Math.max(...changed)).toBe(100);
    expect((await call(api, 'GET', '/v1/tasks?state=queued')).body.tasks).toEqual([]);
  });

  it('retries failed tasks, and cancelled ones only when asked to', async () => {
    const api = await open();
    const failed = await submit(api);
    await failFor(api.store, failed);
    const cancelled = await submit(api);
    await post(api, `/v1/tasks/${cancelled}/cancel`, {});
    expect((await post(api, '/v1/tasks/retry', { all: true })).body).toMatchObject({ matched: 1, changed: 1 });
    expect([await stateOf(api, failed), await stateOf(api, cancelled)]).toEqual(['queued', 'cancelled']);
    const { body } = await post(api, '/v1/tasks/retry', { filter: { state: 'cancelled' } });
    expect(body).toMatchObject({ matched: 1, changed: 1 });
    expect(await stateOf(api, cancelled)).toBe('queued');
  });

  it('takes ids, and says of each that it could not change why', async () => {
    const api = await open();
    const id = await submit(api);
    const ended = await submit(api);
    await failFor(api.store, ended);
    const nobody = '0'.repeat(25);
    const { body } = await post(api, '/v1/tasks/cancel', { ids: [id, ended, nobody] });
    expect(body).toMatchObject({ matched: 1, changed: 1 });
    expect(body.failed).toEqual([
      { id: ended, error: 'it is failed, cancel does not apply' },
      { id: nobody, error: expect.stringContaining('there is no task') },
    ]);
  });

  it('keeps to the tasks of the caller', async () => {
    const api = await open();
    const ours = await submit(api, { tenant: 'ours' });
    const theirs = await submit(api, { tenant: 'theirs' });
    const caller = { name: 'k', tenant: 'ours', scopes: new Set(['tasks:write'] as const) };
    const { bulk } = api.services;
    expect(await bulk.cancel({ filter: { tenant: 'theirs' } }, caller)).toMatchObject({ matched: 0 });
    expect((await bulk.cancel({ ids: [theirs] }, caller)).failed).toHaveLength(1);
    expect(await bulk.cancel({ all: true }, caller)).toMatchObject({ matched: 1, changed: 1 });
    expect([await stateOf(api, ours), await stateOf(api, theirs)]).toEqual(['cancelled', 'queued']);
  });

  it('lists dead letters, retries them and drops them for good', async () => {
    const api = await open();
    const ids = [await submit(api), await submit(api, { agent: 'summarise' }), await submit(api)];
    for (const id of ids) await failFor(api.store, id);
    await submit(api);
    const list = await call(api, 'GET', '/v1/deadletters?agent=echo&limit=1');
    expect(list.body.deadletters).toMatchObject([{ id: ids[2], state: 'failed', error: { code: 'handler_error' } }]);
    const next = await call(api, 'GET', `/v1/deadletters?agent=echo&limit=1&cursor=${list.body.nextCursor}`);
    expect(next.body.deadletters).toMatchObject([{ id: ids[0] }]);
    expect((await post(api, '/v1/deadletters/retry', { ids: [ids[0]] })).body).toMatchObject({ changed: 1 });
    expect((await post(api, '/v1/deadletters/drop', { all: true, dryRun: true })).body).toMatchObject({
      matched: 2,
      changed: 0,
    });
    expect((await post(api, '/v1/deadletters/drop', { filter: { agent: 'summarise' } })).body).toMatchObject({
      changed: 1,
    });
    expect((await call(api, 'GET', `/v1/tasks/${ids[1]}`)).status).toBe(404);
    expect((await call(api, 'GET', '/v1/deadletters')).body.deadletters).toMatchObject([{ id: ids[2] }]);
    expect((await post(api, '/v1/deadletters/drop', { ids: [ids[0]] })).body.failed).toHaveLength(1);
  });

  it('finds tasks by age, worker and parent', async () => {
    const api = await open();
    const id = await submit(api);
    await give(api.store, id, assign);
    await submit(api);
    const found = async (query: string) => (await call(api, 'GET', `/v1/tasks?${query}`)).body.tasks.length;
    expect([await found('worker=w1'), await found('worker=w2')]).toEqual([1, 0]);
    expect([await found('olderThan=1h'), await found('olderThan=0s')]).toEqual([0, 2]);
    expect(await found(`parentId=${id}`)).toBe(0);
    expect(await found('olderThan=0s&createdBefore=2000-01-01T00:00:00Z')).toBe(0);
  });

  it('shows the history of all tasks of one correlation, in order of time', async () => {
    const api = await open();
    const ids = [await submit(api, { correlationId: 'c1' }), await submit(api, { correlationId: 'c1' })];
    await submit(api);
    await give(api.store, ids[0]!, assign);
    await post(api, `/v1/tasks/${ids[1]}/cancel`, {});
    const { status, body } = await call(api, 'GET', '/v1/history?correlationId=c1');
    expect(status).toBe(200);
    expect(body.tasks.map(({ id }: { id: string }) => id).sort()).toEqual([...ids].sort());
    const times = body.history.map(({ at }: { at: string }) => at);
    expect(times).toEqual([...times].sort());
    const lines = body.history.filter(({ kind }: { kind: string }) => kind === 'transition');
    expect(lines).toHaveLength(4);
    expect(body.history).toContainEqual(
      expect.objectContaining({ task: ids[0], kind: 'message', type: 'task.assign' }),
    );
    expect(body).toMatchObject({ correlationId: 'c1', dropped: 0, nextCursor: null });
    expect((await call(api, 'GET', '/v1/history?correlationId=none')).body).toMatchObject({ tasks: [], history: [] });
    expect((await call(api, 'GET', '/v1/history')).status).toBe(400);
  });

  describe('refuses', () => {
    it.each([
      ['a wish for everything that does not say so', {}, 'filter'],
      ['a filter that leaves nothing out', { filter: {} }, 'filter'],
      ['ids beside a filter', { ids: ['a'], filter: { agent: 'echo' } }, 'ids'],
      ['a field that is none', { filter: { agnet: 'echo' } }, 'filter'],
      ['a state that is none', { filter: { state: 'done' } }, 'filter.state'],
      ['an age that is none', { filter: { olderThan: 'old' } }, 'filter.olderThan'],
      ['a label without a value', { filter: { label: 'team' } }, 'filter.label'],
      ['a limit beyond the bound', { all: true, limit: 10_001 }, 'limit'],
      ['a cursor of nobody', { all: true, cursor: 'x' }, 'cursor'],
    ])('%s', async (_, request, field) => {
      const api = await open();
      await submit(api);
      for (const path of ['/v1/tasks/cancel', '/v1/tasks/retry', '/v1/deadletters/retry', '/v1/deadletters/drop']) {
        const { status, body } = await post(api, path, request);
        expect([path, status]).toEqual([path, 400]);
        expect(body.error.details.fields[0].field).toBe(field);
      }
    });
  });
});
