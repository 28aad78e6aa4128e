import { afterEach, describe, expect, it } from 'vitest';
import { StoreUnavailableError } from '../../src/errors.ts';
import { anApi, call, type TestApi } from './builders.ts';

let opened: TestApi | undefined;

async function open(over?: Parameters<typeof anApi>[0]): Promise<TestApi> {
  opened = await anApi(over);
  return opened;
}

afterEach(async () => {
  await opened?.api.close();
  opened = undefined;
});

const NOBODY = '0'.repeat(25);

describe('POST /v1/tasks', () => {
  it('answers 201 with the queued task and where it stands', async () => {
    const api = await open();
    const { status, headers, body } = await call(api, 'POST', '/v1/tasks', {
      body: { agent: 'echo', input: { text: 'hi' }, priority: 'high', labels: { team: 'a' } },
    });
    expect(status).toBe(201);
    expect(headers.location).toBe(`/v1/tasks/${body.id}`);
    expect(body).toMatchObject({
      agent: 'echo',
      method: 'run',
      state: 'queued',
      priority: 8,
      version: 1,
      attempt: 0,
      maxAttempts: 3,
      input: { text: 'hi' },
      tenant: 'default',
      durability: 'memory',
      labels: { team: 'a' },
    });
    expect(new Date(body.createdAt).toISOString()).toBe(body.createdAt);
  });

  it('answers 200 with the same task for a key seen with equal content, and 409 with other content', async () => {
    const api = await open();
    const request = { agent: 'echo', input: { text: 'hi' }, key: 'order-77' };
    const first = await call(api, 'POST', '/v1/tasks', { body: request });
    const again = await call(api, 'POST', '/v1/tasks', { body: request });
    expect([first.status, again.status]).toEqual([201, 200]);
    expect(again.body.id).toBe(first.body.id);
    expect(again.headers.location).toBe(`/v1/tasks/${first.body.id}`);
    const other = await call(api, 'POST', '/v1/tasks', { body: { ...request, input: { text: 'ho' } } });
    expect(other.status).toBe(409);
    expect(other.body.error).toMatchObject({ code: 'KEY_CONFLICT', details: { key: 'order-77', id: first.body.id } });
  });

  it('answers 404 with near names for an agent that nobody ever registered', async () => {
    const { status, body } = await call(await open(), 'POST', '/v1/tasks', { body: { agent: 'echos', input: {} } });
    expect(status).toBe(404);
    expect(body.error).toMatchObject({ code: 'UNKNOWN_AGENT', details: { near: ['echo'] } });
  });

  it('names the methods there are when it is asked for another', async () => {
    const request = { agent: 'echo', method: 'sing', input: {} };
    const { status, body } = await call(await open(), 'POST', '/v1/tasks', { body: request });
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ code: 'UNKNOWN_METHOD', details: { methods: ['run', 'shout'] } });
  });

  it.each([
    ['a field that does not exist', { agent: 'echo', input: {}, prioritty: 3 }, '(body)', 'prioritty'],
    ['a field of a wrong type', { agent: 7, input: {} }, 'agent', 'found 7, wanted a string'],
    ['a priority beyond 10', { agent: 'echo', input: {}, priority: 11 }, 'priority', '10'],
    ['no agent', { input: {} }, 'agent', 'is missing'],
    ['an input that does not fit the schema', { agent: 'echo', input: { text: 5 } }, 'input.text', 'string'],
    [
      'delayMs beside runAt',
      { agent: 'echo', input: {}, delayMs: 1, runAt: '2030-01-01T00:00:00Z' },
      'runAt',
      'exclude',
    ],
    ['an array', [], '(body)', 'array'],
    ['null', null, '(body)', 'null'],
  ])('refuses %s and names it', async (_, request, field, found) => {
    const { status, body } = await call(await open(), 'POST', '/v1/tasks', { body: JSON.stringify(request) });
    expect(status).toBe(400);
    expect(body.error.code).toBe('BAD_REQUEST');
    expect(body.error.details.fields.map((one: { field: string }) => one.field)).toContain(field);
    expect(body.error.message).toContain(found);
  });

  it('names every field at fault at once', async () => {
    const request = { agent: 'echo', input: {}, priority: 'soon', timeoutMs: -1, delivery: 'maybe' };
    const { body } = await call(await open(), 'POST', '/v1/tasks', { body: request });
    const fields = body.error.details.fields.map((one: { field: string }) => one.field);
    expect(fields).toEqual(['priority', 'timeoutMs', 'delivery']);
  });

  it('answers 413 for an input beyond the limit, although the body is not', async () => {
    const api = await open({ policy: { maxPayloadBytes: 1_000 } });
    const { status, body } = await call(api, 'POST', '/v1/tasks', {
      body: { agent: 'echo', input: { text: 'x'.repeat(2_000) } },
    });
    expect(status).toBe(413);
    expect(body.error).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', details: { max: 1_000 } });
  });

  it('answers 503 with Retry-After when the queue is full', async () => {
    const api = await open({ policy: { queueMax: 0 } });
    const { status, headers, body } = await call(api, 'POST', '/v1/tasks', { body: { agent: 'echo', input: {} } });
    expect(status).toBe(503);
    expect(headers['retry-after']).toBe('1');
    expect(body.error.code).toBe('QUEUE_FULL');
  });

  it('answers 503 with Retry-After while the store is away', async () => {
    const api = await open({
      store: (store) =>
        new Proxy(store, {
          get: (target, name) => {
            if (name === 'commit') return () => Promise.reject(new StoreUnavailableError('no answer'));
            const member = Reflect.get(target, name, target);
            return typeof member === 'function' ? member.bind(target) : member;
          },
        }),
    });
    const { status, headers, body } = await call(api, 'POST', '/v1/tasks', { body: { agent: 'echo', input: {} } });
    expect(status).toBe(503);
    expect(headers['retry-after']).toBe('1');
    expect(body.error.code).toBe('STORE_UNAVAILABLE');
  });
});

describe('POST /v1/tasks/batch', () => {
  it('answers each task on its own', async () => {
    const { status, body } = await call(await open(), 'POST', '/v1/tasks/batch', {
      body: {
        tasks: [
          { agent: 'echo', input: { text: 'a' }, key: 'k' },
          { agent: 'nobody', input: {} },
          { agent: 'echo', input: {}, colour: 'red' },
          5,
        ],
      },
    });
    expect(status).toBe(200);
    expect(body.results.map((one: { status: number }) => one.status)).toEqual([201, 404, 400, 400]);
    expect(body.results[0].task).toMatchObject({ agent: 'echo', state: 'queued' });
    expect(body.results[1].error.code).toBe('UNKNOWN_AGENT');
    expect(body.results[2].error.message).toContain('colour');
  });

  it('takes 1,000 tasks and not one more', async () => {
    const api = await open();
    const tasks = Array.from({ length: 1_001 }, (_, i) => ({ agent: 'echo', input: { text: `${i}` } }));
    const full = await call(api, 'POST', '/v1/tasks/batch', { body: { tasks: tasks.slice(1) } });
    expect(full.body.results.filter((one: { status: number }) => one.status === 201)).toHaveLength(1_000);
    const over = await call(api, 'POST', '/v1/tasks/batch', { body: { tasks } });
    expect(over.status).toBe(400);
    expect(over.body.error.message).toContain('1001');
  });

  it.each([
    ['no tasks', {}],
    ['tasks that are no list', { tasks: {} }],
    ['another field', { tasks: [], atomic: true }],
  ])('refuses a batch with %s', async (_, request) => {
    const { status, body } = await call(await open(), 'POST', '/v1/tasks/batch', { body: request });
    expect(status).toBe(400);
    expect(body.error.code).toBe('BAD_REQUEST');
  });

  it('takes a body that is larger than one of a single task may be', async () => {
    const api = await open({ policy: { maxPayloadBytes: 100_000 } });
    const tasks = Array.from({ length: 5 }, () => ({ agent: 'summarise', input: 'x'.repeat(90_000) }));
    const batch = await call(api, 'POST', '/v1/tasks/batch', { body: { tasks } });
    expect(batch.status).toBe(200);
    const single = await call(api, 'POST', '/v1/tasks', { body: { agent: 'summarise', input: 'x'.repeat(450_000) } });
    expect(single.status).toBe(413);
  });
});

describe('reading tasks', () => {
  it('answers a task, and its history', async () => {
    const api = await open();
    const { body: task } = await call(api, 'POST', '/v1/tasks', { body: { agent: 'echo', input: { text: 'hi' } } });
    expect((await call(api, 'GET', `/v1/tasks/${task.id}`)).body).toEqual(task);
    const history = await call(api, 'GET', `/v1/tasks/${task.id}/history`);
    expect(history.status).toBe(200);
    expect(history.body).toMatchObject({
      task: task.id,
      history: [{ kind: 'transition', state: 'queued', version: 1 }],
    });
  });

  it.each(['', '/history', '/result'])(
    'answers 404 for a task that is not there, at /v1/tasks/{id}%s',
    async (rest) => {
      const { status, body } = await call(await open(), 'GET', `/v1/tasks/${NOBODY}${rest}`);
      expect(status).toBe(404);
      expect(body.error).toMatchObject({ code: 'NOT_FOUND', details: { id: NOBODY } });
    },
  );

  it('says what an id looks like when it is given something else', async () => {
    const { status, body } = await call(await open(), 'GET', '/v1/tasks/17');
    expect(status).toBe(404);
    expect(body.error.message).toContain('25 letters and digits');
  });

  it('lists newest first, filters, and goes on at the cursor', async () => {
    const api = await open();
    for (const [agent, team] of [
      ['echo', 'a'],
      ['summarise', 'a,b'],
      ['echo', 'b'],
    ]) {
      await call(api, 'POST', '/v1/tasks', { body: { agent, input: {}, labels: { team } } });
    }
    const all = await call(api, 'GET', '/v1/tasks?limit=2');
    expect(all.body.tasks.map((task: { labels: { team: string } }) => task.labels.team)).toEqual(['b', 'a,b']);
    const rest = await call(api, 'GET', `/v1/tasks?limit=2&cursor=${all.body.nextCursor}`);
    expect(rest.body).toMatchObject({ tasks: [{ labels: { team: 'a' } }], nextCursor: null });
    const found = async (query: string) => (await call(api, 'GET', `/v1/tasks?${query}`)).body.tasks.length;
    expect(await found('agent=echo')).toBe(2);
    expect(await found('label=team=a,b')).toBe(1);
    expect(await found('label=team=a&label=x=y')).toBe(0);
    expect(await found('state=queued,running')).toBe(3);
    expect(await found('state=failed&state=running')).toBe(0);
    expect(await found('tenant=other')).toBe(0);
    expect(await found('createdBefore=2001-01-01T00:00:00Z')).toBe(0);
  });

  it.each([
    ['stat=queued', 'state'],
    ['state=done', 'completed'],
    ['limit=0', '1 to 500'],
    ['limit=ten', 'limit: is "ten", wanted a whole number from 1 to 500'],
    ['limit=501', 'limit: is "501", wanted a whole number from 1 to 500'],
    ['cursor=abc', 'nextCursor'],
    ['label=red', 'name=value'],
    ['agent=a&agent=b', 'more than once'],
    ['agent=', 'empty'],
    ['createdBefore=yesterday', 'wanted an ISO 8601 time'],
    ['__proto__=1', '__proto__'],
    ['stat=queued&limit=0', '1 to 500'],
  ])('refuses the query %s', async (query, told) => {
    const { status, body } = await call(await open(), 'GET', `/v1/tasks?${query}`);
    expect(status).toBe(400);
    expect(body.error.message).toContain(told);
  });
});

describe('GET /v1/tasks/{id}/result', () => {
  it('answers 202 with the task while it has not ended and 200 when it has', async () => {
    const api = await open();
    const { body: task } = await call(api, 'POST', '/v1/tasks', { body: { agent: 'echo', input: {} } });
    const before = await call(api, 'GET', `/v1/tasks/${task.id}/result`);
    expect([before.status, before.body.state]).toEqual([202, 'queued']);
    await call(api, 'POST', `/v1/tasks/${task.id}/cancel`);
    const after = await call(api, 'GET', `/v1/tasks/${task.id}/result?waitMs=0`);
    expect([after.status, after.body.state]).toEqual([200, 'cancelled']);
  });

  it('answers a waiting client as soon as the task ends', async () => {
    const api = await open();
    const { body: task } = await call(api, 'POST', '/v1/tasks', { body: { agent: 'echo', input: {} } });
    const waiting = call(api, 'GET', `/v1/tasks/${task.id}/result?waitMs=60000`);
    await call(api, 'POST', `/v1/tasks/${task.id}/cancel`);
    expect((await waiting).body.state).toBe('cancelled');
  });

  it.each(['-1', '300001', '1.5', 'soon', ''])('refuses waitMs=%s', async (waitMs) => {
    const { status, body } = await call(await open(), 'GET', `/v1/tasks/${NOBODY}/result?waitMs=${waitMs}`);
    expect(status).toBe(400);
    expect(body.error.details.fields[0].field).toBe('waitMs');
  });
});

describe('cancel and retry', () => {
  it('cancels with a reason, again without effect, and retries', async () => {
    const api = await open();
    const { body: task } = await call(api, 'POST', '/v1/tasks', { body: { agent: 'echo', input: {} } });
    const cancelled = await call(api, 'POST', `/v1/tasks/${task.id}/cancel`, { body: { reason: 'changed my mind' } });
    expect(cancelled.status).toBe(200);
    expect(cancelled.body).toMatchObject({ state: 'cancelled', error: { message: 'changed my mind' } });
    const again = await call(api, 'POST', `/v1/tasks/${task.id}/cancel`);
    expect(again.body.version).toBe(cancelled.body.version);
    const retried = await call(api, 'POST', `/v1/tasks/${task.id}/retry`);
    expect([retried.status, retried.body.state]).toEqual([200, 'queued']);
    const twice = await call(api, 'POST', `/v1/tasks/${task.id}/retry`, { body: {} });
    expect(twice.status).toBe(409);
    expect(twice.body.error).toMatchObject({ code: 'WRONG_STATE', details: { state: 'queued' } });
  });

  it.each([
    ['cancel', { reasons: 'x' }],
    ['cancel', { reason: 5 }],
    ['cancel', []],
    ['retry', { reason: 'x' }],
  ])('refuses %s with the body %j', async (verb, request) => {
    const { status } = await call(await open(), 'POST', `/v1/tasks/${NOBODY}/${verb}`, { body: request });
    expect(status).toBe(400);
  });

  it.each(['cancel', 'retry'])('answers 404 when a task to %s is not there', async (verb) => {
    expect((await call(await open(), 'POST', `/v1/tasks/${NOBODY}/${verb}`)).status).toBe(404);
  });
});
