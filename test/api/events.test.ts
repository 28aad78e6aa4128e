import { expect, it } from 'vitest';
import type { EventView, Told } from '../../src/service/event-service.ts';
import { call, type TestApi } from './builders.ts';
import { openEvents } from './sse-reader.ts';
import { assign, describeOnStores, failFor, give, of } from './stores.ts';

async function served(api: TestApi): Promise<string> {
  return (await api.api.listen({ host: '127.0.0.1', port: 0 })).url;
}

async function submit(api: TestApi, over: object = {}): Promise<string> {
  const { status, body } = await call(api, 'POST', '/v1/tasks', {
    body: { agent: 'echo', input: { text: 'hi' }, ...over },
  });
  expect(status).toBe(201);
  return body.id;
}

function types(told: Told[]): string[] {
  return told.map(({ event }) => event!.type);
}

describeOnStores('GET /v1/tasks/{id}/events', (open) => {
  it('tells what has happened, goes on as it happens, and ends with the task', async () => {
    const api = await open();
    const id = await submit(api);
    await give(api.store, id, assign);
    const events = await openEvents(`${await served(api)}/v1/tasks/${id}/events`);
    expect(events.status).toBe(200);
    expect(events.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(events.headers.get('cache-control')).toBe('no-store');
    const past = await events.next(3);
    expect(types(past)).toEqual(['task.submitted', 'task.queued', 'task.assigned']);
    expect(past.map(({ cursor }) => cursor)).toEqual(['1.1', '1', '2']);
    expect(events.text()).toContain('retry: 1000\n');
    expect(past[2]!.event).toMatchObject({
      task: id,
      agent: 'echo',
      state: 'assigned',
      version: 2,
      worker: 'w1',
      attempt: 1,
    });
    await give(api.store, id, { type: 'start', ...of(1), at: 1 });
    expect(types(await events.next(1))).toEqual(['task.started']);
    await give(api.store, id, { type: 'progress', ...of(2), progress: 0.25, note: 'a\nb' });
    expect((await events.next(1))[0]!.event).toMatchObject({
      type: 'task.progress',
      progress: 0.25,
      progressNote: 'a\nb',
    });
    await give(api.store, id, { type: 'complete', ...of(3), result: '{}' });
    const [completed, end] = await events.rest();
    expect(completed!.event).toMatchObject({ type: 'task.completed', state: 'completed', version: 5 });
    expect(end!.event).toEqual({ type: 'end', task: id, state: 'completed', version: 5 });
  });

  it('goes on behind Last-Event-ID at another coordinator, without a gap and without a double', async () => {
    const api = await open();
    const other = await open({ open: () => api.store });
    const urls = [await served(api), await served(other)];
    const id = await submit(api);
    const seen: string[] = [];
    let last: string | undefined;
    const commands = [assign, { type: 'start', ...of(1), at: 1 }, { type: 'complete', ...of(2), result: '1' }] as const;
    for (let turn = 0; turn < 5; turn++) {
      const headers: Record<string, string> = last === undefined ? {} : { 'last-event-id': last };
      const events = await openEvents(`${urls[turn % 2]}/v1/tasks/${id}/events`, headers);
      if (turn > 1) await give(api.store, id, commands[turn - 2]!);
      const [told] = await events.next(1);
      seen.push(told!.event!.type);
      last = told!.cursor;
      events.close();
    }
    expect(seen).toEqual(['task.submitted', 'task.queued', 'task.assigned', 'task.started', 'task.completed']);
  });

  it('answers 204 to a browser that comes back after the end, so that it stops', async () => {
    const api = await open();
    const id = await submit(api);
    await call(api, 'POST', `/v1/tasks/${id}/cancel`);
    const url = `${await served(api)}/v1/tasks/${id}/events`;
    const [, , cancelled, end] = await (await openEvents(url)).rest();
    expect(cancelled!.event).toMatchObject({ type: 'task.cancelled', error: { code: 'cancelled' } });
    expect(end!.event!.type).toBe('end');
    expect((await openEvents(url, { 'last-event-id': end!.cursor })).status).toBe(204);
    expect(types(await (await openEvents(`${url}?after=${end!.cursor}`)).rest())).toEqual(['end']);
  });

  it('goes on where a task that had ended is retried', async () => {
    const api = await open();
    const id = await submit(api);
    await failFor(api.store, id);
    const url = `${await served(api)}/v1/tasks/${id}/events`;
    const before = await (await openEvents(url)).rest();
    await call(api, 'POST', `/v1/tasks/${id}/retry`);
    const events = await openEvents(url, { 'last-event-id': before.at(-1)!.cursor });
    expect(types(await events.next(1))).toEqual(['task.retried']);
    events.close();
  });

  it.each([
    ['no task', '/v1/tasks/0000000000000000000000000/events', {}, 404, 'NOT_FOUND'],
    ['a cursor that is none', '/v1/tasks/ID/events', { 'last-event-id': 'soon' }, 400, 'BAD_REQUEST'],
    ['another query', '/v1/tasks/ID/events?from=1', {}, 400, 'BAD_REQUEST'],
    ['a type that is none', '/v1/events?types=task.done', {}, 400, 'BAD_REQUEST'],
    ['a state that is none', '/v1/events?state=done', {}, 400, 'BAD_REQUEST'],
    ['a cursor of nobody', '/v1/events?after=1-2', {}, 400, 'BAD_REQUEST'],
  ])('refuses %s as an ordinary answer', async (_, path, headers, status, code) => {
    const api = await open();
    const id = await submit(api);
    const answer = await call(api, 'GET', path.replace('ID', id), { headers: headers as Record<string, string> });
    expect(answer.status).toBe(status);
    expect(answer.body.error.code).toBe(code);
  });

  it('is closed with the server, after what was on its way', async () => {
    const api = await open();
    const id = await submit(api);
    const events = await openEvents(`${await served(api)}/v1/tasks/${id}/events`);
    await events.next(2);
    const from = Date.now();
    await api.api.close();
    expect(await events.rest()).toEqual([]);
    expect(Date.now() - from).toBeLessThan(2_000);
  });
});

describeOnStores('GET /v1/events', (open) => {
  it('tells what happens to every task from now on, of the types asked for', async () => {
    const api = await open();
    await submit(api);
    const url = await served(api);
    const all = await openEvents(`${url}/v1/events`);
    const some = await openEvents(`${url}/v1/events?types=task.cancelled,task.assigned&agent=echo`);
    const id = await submit(api, { labels: { n: '1' } });
    await give(api.store, id, assign);
    const other = await submit(api, { agent: 'summarise', input: {} });
    await call(api, 'POST', `/v1/tasks/${other}/cancel`);
    await call(api, 'POST', `/v1/tasks/${id}/cancel`);
    expect(types(await all.next(7))).toEqual([
      'task.submitted',
      'task.queued',
      'task.assigned',
      'task.submitted',
      'task.queued',
      'task.cancelled',
      'task.cancelled',
    ]);
    const told = await some.next(2);
    expect(types(told)).toEqual(['task.assigned', 'task.cancelled']);
    expect(told.map(({ event }) => (event as { task: string }).task)).toEqual([id, id]);
    all.close();
    some.close();
  });

  it('tells every transition between two looks, and goes on behind any id at another coordinator', async () => {
    const api = await open({ policy: { shards: 2 } });
    const other = await open({ open: () => api.store, policy: { shards: 2 } });
    const urls = [await served(api), await served(other)];
    const first = await openEvents(`${urls[0]}/v1/events`);
    await expect.poll(() => first.cursor()).toBeDefined();
    const start = first.cursor()!;
    const ids = [];
    for (let n = 0; n < 6; n++) ids.push(await submit(api, { agent: 'summarise', input: {} }));
    for (const id of ids) {
      await give(api.store, id, assign);
      await give(api.store, id, { type: 'start', ...of(1), at: 1 });
      await give(api.store, id, { type: 'complete', ...of(2), result: '1' });
    }
    const whole = await first.next(30);
    first.close();
    const pieces: EventView[] = [];
    let last = start;
    for (let turn = 0; turn < 30; turn++) {
      const events = await openEvents(`${urls[turn % 2]}/v1/events`, { 'last-event-id': last });
      const [told] = await events.next(1);
      pieces.push(told!.event!);
      last = told!.cursor;
      events.close();
    }
    const named = (events: EventView[]) => events.map((event) => `${(event as { task: string }).task} ${event.type}`);
    expect(new Set(named(pieces)).size).toBe(30);
    expect(named(pieces).sort()).toEqual(named(whole.map(({ event }) => event!)).sort());
  }, 20_000);

  it('says that events are missing when the stream was trimmed behind the cursor', async () => {
    const api = await open();
    const url = await served(api);
    const events = await openEvents(`${url}/v1/events`);
    await submit(api);
    const [told] = await events.next(1);
    events.close();
    await submit(api);
    await api.store.trim(0, 'events', (await api.store.lastEntry(0, 'events')).id);
    const third = await submit(api);
    const again = await openEvents(`${url}/v1/events`, { 'last-event-id': told!.cursor });
    const [gap, submitted] = await again.next(2);
    expect(gap!.event).toMatchObject({ type: 'gap', shard: 0, message: expect.stringContaining('read anew') });
    expect(submitted!.event).toMatchObject({ type: 'task.submitted', task: third });
    again.close();
  });

  it('tells of instances and leaders, and shows a tenant nothing but its own tasks', async () => {
    const api = await open();
    const stop = new AbortController();
    const listen = async (tenant: string | null) => {
      const caller = { name: 'k', tenant, scopes: new Set(['tasks:read'] as const) };
      return api.services.events.ofAll({}, { caller, signal: stop.signal });
    };
    const all = await listen(null);
    const ours = await listen('ours');
    const next = async (events: AsyncGenerator<Told>): Promise<EventView> => {
      for (;;) {
        const { value } = await events.next();
        if (value.event) return value.event;
      }
    };
    const instance = { id: 'w1', role: 'worker', host: 'h', pid: 1, version: '1', url: 'http://127.0.0.1:8003' };
    const registration = { instance: { ...instance, agents: [], metadata: {}, facts: {} }, nonce: 'n1', ttlMs: 1_000 };
    // Both stand at the end of the stream before anything happens.
    await all.next();
    await ours.next();
    const reply = await api.store.register(registration);
    await api.store.register(registration);
    const held = await api.store.lock(0).acquire(1_000);
    const epoch = await api.store.claimEpoch(0, held!.value, 'c1');
    await submit(api, { tenant: 'theirs' });
    await submit(api, { tenant: 'ours' });
    await api.store.deregister('w1', reply.ok ? reply.instance.incarnation : '');
    expect(await next(all)).toMatchObject({
      type: 'instance.registered',
      instance: 'w1',
      role: 'worker',
      url: instance.url,
    });
    expect(await next(all)).toMatchObject({ type: 'leader.changed', shard: 0, instance: 'c1', epoch });
    const tasks = [await next(all), await next(all), await next(all), await next(all)];
    expect(tasks.map((event) => (event as { tenant: string }).tenant)).toEqual(['theirs', 'theirs', 'ours', 'ours']);
    expect(await next(all)).toMatchObject({ type: 'instance.deregistered', instance: 'w1', role: 'worker' });
    expect(await next(ours)).toMatchObject({ type: 'task.submitted', tenant: 'ours' });
    expect(await next(ours)).toMatchObject({ type: 'task.queued', tenant: 'ours' });
    stop.abort();
  });
});
