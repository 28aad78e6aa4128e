import { afterEach, describe, expect, it } from 'vitest';
import { aHealth, anApi, call, type TestApi } from './builders.ts';

let opened: TestApi | undefined;

async function open(over?: Parameters<typeof anApi>[0]): Promise<TestApi> {
  opened = await anApi(over);
  return opened;
}

afterEach(async () => {
  await opened?.api.close();
  opened = undefined;
});

describe('what every role answers', () => {
  it.each(['healthy', 'degraded'] as const)('answers 200 to /health when %s', async (status) => {
    const api = await open({ health: () => aHealth({ status }) });
    const answer = await call(api, 'GET', '/health');
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual(aHealth({ status }));
  });

  it('answers 503 to /health only when unhealthy, to HEAD too', async () => {
    const api = await open({ health: () => aHealth({ status: 'unhealthy' }) });
    expect((await call(api, 'GET', '/health')).status).toBe(503);
    expect((await call(api, 'HEAD', '/health')).status).toBe(503);
  });

  it('answers 503 to /ready with the reasons', async () => {
    const api = await open({ readiness: () => ({ ready: false, reasons: ['the store is away'] }) });
    const { status, body } = await call(api, 'GET', '/ready');
    expect(status).toBe(503);
    expect(body).toEqual({ ready: false, reasons: ['the store is away'] });
  });

  it('answers /status and /metrics', async () => {
    const api = await open();
    expect((await call(api, 'GET', '/status')).body).toMatchObject({ role: 'coordinator', mode: 'distributed' });
    const metrics = await call(api, 'GET', '/metrics');
    expect(metrics.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(metrics.body).toBe('agent_leader 1\n');
  });

  it('sends callers of a worker to the coordinators', async () => {
    const api = await open({ tasks: null, cluster: null });
    const { status, body } = await call(api, 'GET', '/v1/tasks');
    expect(status).toBe(404);
    expect(body.error.message).toContain('served by coordinators');
    expect((await call(api, 'GET', '/health')).status).toBe(200);
  });
});

describe('the fleet', () => {
  it('answers lists under their names', async () => {
    const api = await open();
    await call(api, 'POST', '/v1/tasks', { body: { agent: 'echo', input: {} } });
    expect((await call(api, 'GET', '/v1/workers')).body).toEqual({ workers: [] });
    expect((await call(api, 'GET', '/v1/instances')).body).toEqual({ instances: [] });
    expect((await call(api, 'GET', '/v1/queues')).body.queues).toMatchObject([
      { agent: 'echo', pending: 1 },
      { agent: 'summarise', pending: 0 },
    ]);
    const names = (await call(api, 'GET', '/v1/agents')).body.agents.map((agent: { name: string }) => agent.name);
    expect(names).toEqual(['echo', 'summarise']);
  });

  it('refuses a query it does not know', async () => {
    expect((await call(await open(), 'GET', '/v1/workers?state=busy')).status).toBe(400);
  });
});

describe('paths and methods', () => {
  it('answers 404 with near paths', async () => {
    const { status, body } = await call(await open(), 'GET', '/v1/task');
    expect(status).toBe(404);
    expect(body.error).toMatchObject({ code: 'NOT_FOUND', details: { near: expect.arrayContaining(['/v1/tasks']) } });
  });

  it.each([
    ['DELETE', '/v1/tasks/0123', 'GET, HEAD'],
    ['PUT', '/v1/tasks', 'GET, HEAD, POST'],
    ['POST', '/health', 'GET, HEAD'],
    ['GET', '/v1/tasks/0123/cancel', 'POST'],
    ['HEAD', '/v1/events', 'GET'],
    ['HEAD', '/v1/tasks/0123/events', 'GET'],
    ['HEAD', '/v1/snapshot', 'GET'],
  ] as const)('answers 405 to %s %s and says what it takes', async (method, url, allow) => {
    const { status, headers, body } = await call(await open(), method, url);
    expect(status).toBe(405);
    expect(headers.allow).toBe(allow);
    // An answer to HEAD has none.
    if (method !== 'HEAD') expect(body.error.code).toBe('METHOD_NOT_ALLOWED');
  });

  it('answers 400 to a path that cannot be decoded', async () => {
    const { status, body } = await call(await open(), 'GET', '/v1/tasks/%zz');
    expect(status).toBe(400);
    expect(body.error.code).toBe('BAD_REQUEST');
  });

  it('answers 404 to an id of a thousand characters', async () => {
    const { status, body } = await call(await open(), 'GET', `/v1/tasks/${'a'.repeat(1_000)}`);
    expect(status).toBe(404);
    expect(body.error.message.length).toBeLessThan(300);
  });
});

describe('access', () => {
  const access = { apiKey: 'the-key-of-this-test', metricsToken: null };

  it.each([
    ['no key', {}],
    ['a wrong key', { 'x-api-key': 'the-key-of-another' }],
    ['a part of the key', { 'x-api-key': 'the-key' }],
    ['the key under another scheme', { authorization: `Basic ${access.apiKey}` }],
  ])('answers 401 to %s', async (_, headers) => {
    const api = await open({ access });
    const answer = await call(api, 'GET', '/v1/tasks', { headers });
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toBe('Bearer');
    expect(answer.body.error.code).toBe('UNAUTHORIZED');
    expect(answer.body.error.message).not.toContain(access.apiKey);
  });

  it.each<Record<string, string>>([
    { 'x-api-key': access.apiKey },
    { authorization: `Bearer ${access.apiKey}` },
    { authorization: `bearer ${access.apiKey}` },
  ])('lets in %j', async (headers) => {
    expect((await call(await open({ access }), 'GET', '/v1/tasks', { headers })).status).toBe(200);
  });

  it('asks for the key before it says which paths exist', async () => {
    expect((await call(await open({ access }), 'GET', '/v1/nothing')).status).toBe(401);
  });

  it('refuses without having read the body', async () => {
    const answer = await call(await open({ access }), 'POST', '/v1/tasks', { body: '{' });
    expect(answer.status).toBe(401);
  });

  it.each(['/health', '/ready', '/metrics'])('leaves %s open', async (path) => {
    expect((await call(await open({ access }), 'GET', path)).status).toBe(200);
  });

  it('asks for the metrics token where one is set, and for nothing else there', async () => {
    const api = await open({ access: { ...access, metricsToken: 'scrape-me-please' } });
    expect((await call(api, 'GET', '/metrics')).status).toBe(401);
    expect((await call(api, 'GET', '/metrics', { headers: { 'x-api-key': access.apiKey } })).status).toBe(401);
    const headers = { authorization: 'Bearer scrape-me-please' };
    expect((await call(api, 'GET', '/metrics', { headers })).status).toBe(200);
    expect((await call(api, 'GET', '/status', { headers })).status).toBe(401);
  });
});

describe('bodies', () => {
  const post = async (body: string | Buffer, headers?: Record<string, string>) =>
    call(await open(), 'POST', '/v1/tasks', { body, headers });

  it.each([
    ['text/plain', '{}'],
    ['application/x-www-form-urlencoded', 'agent=echo'],
    ['application/json; charset=latin1', '{}'],
    ['application/xml', '<a/>'],
  ])('answers 415 to %s', async (type, body) => {
    const answer = await post(body, { 'content-type': type });
    expect(answer.status).toBe(415);
    expect(answer.body.error).toMatchObject({ code: 'UNSUPPORTED_MEDIA_TYPE' });
    expect(answer.body.error.message).toContain('application/json');
  });

  it('answers 415 to a compressed body', async () => {
    expect((await post('{}', { 'content-encoding': 'gzip' })).status).toBe(415);
  });

  it('takes application/json with its charset named', async () => {
    const body = JSON.stringify({ agent: 'echo', input: { text: 'grüße 🎈' } });
    const answer = await post(body, { 'content-type': 'application/json; charset=UTF-8' });
    expect(answer.status).toBe(201);
    expect(answer.body.input.text).toBe('grüße 🎈');
  });

  it('answers 400 to an empty body, and to none', async () => {
    expect((await post('')).body.error.message).toContain('empty');
    expect((await call(opened!, 'POST', '/v1/tasks')).body.error.message).toContain('empty');
  });

  it('says where JSON breaks', async () => {
    const { status, body } = await post('{\n  "agent": "echo",\n  "input": {,}\n}');
    expect(status).toBe(400);
    expect(body.error.message).toContain('line 3, column 13');
    expect(body.error.details).toMatchObject({ line: 3, column: 13, position: 33 });
  });

  it('answers 400 to bytes that are not UTF-8', async () => {
    const { status, body } = await post(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]));
    expect([status, body.error.message]).toEqual([400, 'the body is not valid UTF-8']);
  });

  const nested = (levels: number) => `${'['.repeat(levels)}"[[\\"[["${']'.repeat(levels)}`;

  it('takes 32 levels and refuses 33, also in a batch, whose own two do not count', async () => {
    const task = (levels: number) => `{"agent":"summarise","input":${nested(levels - 1)}}`;
    expect((await post(task(32))).status).toBe(201);
    const { status, body } = await post(task(33));
    expect(status).toBe(400);
    expect(body.error.message).toContain('deeper than 32');
    const batch = (levels: number) => call(opened!, 'POST', '/v1/tasks/batch', { body: `{"tasks":[${task(levels)}]}` });
    expect((await batch(32)).body.results[0].status).toBe(201);
    expect((await batch(33)).status).toBe(400);
  });

  it('refuses half a million brackets at once', async () => {
    const { status, body } = await post('['.repeat(500_000));
    expect([status, body.error.details.position]).toEqual([400, 32]);
  });

  it.each([
    ['{"agent":"echo","input":{"__proto__":{"admin":true}}}', 'input.__proto__'],
    ['{"agent":"echo","input":{"\\u005f_proto__":{}}}', 'input.__proto__'],
    ['{"agent":"echo","input":[{"constructor":{"prototype":{}}}]}', 'input.0.constructor.prototype'],
    ['{"__proto__":{},"agent":"echo","input":{}}', '__proto__'],
  ])('refuses the key in %s', async (text, field) => {
    const { status, body } = await post(text);
    expect(status).toBe(400);
    expect(body.error.details.fields[0].field).toBe(field);
  });

  it.each([
    ['{"agent":"echo","input":{"n":1e400}}', 'input.n'],
    ['{"agent":"echo","input":[1,-1E+999]}', 'input.1'],
    [`{"agent":"echo","input":${'9'.repeat(400)}}`, 'input'],
  ])('refuses the number in %s, which would be stored as null', async (text, field) => {
    const { status, body } = await post(text);
    expect([status, body.error.details?.fields[0].field]).toEqual([400, field]);
  });

  it('takes large numbers that can be kept, and digits in a text', async () => {
    const text = `{"agent":"summarise","input":{"text":"1e400 ${'9'.repeat(400)}","n":1e300,"m":1e-400}}`;
    expect((await post(text)).status).toBe(201);
  });

  it('takes the same words where they are no keys', async () => {
    const text = '{"agent":"summarise","input":{"text":"__proto__","constructor":"Ford","say":"\\u00e9"}}';
    expect((await post(text)).status).toBe(201);
  });

  it('answers 413 from the length alone, with the limit', async () => {
    const api = await open({ limits: { maxPayloadBytes: 1_000 } });
    const body = JSON.stringify({ agent: 'echo', input: 'x'.repeat(70_000) });
    const answer = await call(api, 'POST', '/v1/tasks', { body });
    expect(answer.status).toBe(413);
    expect(answer.body.error).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', details: { max: 1_000 + 65_536 } });
  });
});

describe('failures of our own', () => {
  it('tells the caller nothing of them and the log everything', async () => {
    const api = await open({
      status: () => {
        throw new Error('password is hunter2');
      },
    });
    const { status, body } = await call(api, 'GET', '/status');
    expect(status).toBe(500);
    expect(JSON.stringify(body)).not.toContain('hunter2');
    expect(api.seen).toMatchObject([
      { type: 'fault', where: 'GET /status', error: { message: 'password is hunter2' } },
    ]);
  });
});
