import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { LOG_LINES_MAX } from '../../../src/agent/http/answer.ts';
import { httpAgent } from '../../../src/agent/http/http-agent.ts';
import { AgentServer, attempt, deferred, lines, SECRET } from './support.ts';

let server: AgentServer;
beforeAll(async () => {
  server = await AgentServer.start();
});
afterAll(() => server.stop());
beforeEach(() => {
  server.asked.length = 0;
});

const outcomeOf = (over: Parameters<typeof attempt>[0] extends infer O ? Partial<O> : never = {}) =>
  attempt({ url: server.url, ...over }).outcome;

const failing = (code: string, retryable: boolean, message: unknown = expect.any(String)) => ({
  ok: false,
  error: expect.objectContaining({ code, retryable, message }),
});

describe('the request', () => {
  it('says which attempt of which task it is, and what it is about', async () => {
    server.answer = (response) => response.end('{"ok":true}');
    const facts = { tenant: 'acme', session: 's1', deadlineAt: 1_760_000_000_000 };
    const { outcome } = attempt({ url: `${server.url}?v=1`, methods: ['check'] }, { method: 'check', facts });
    expect(await outcome).toEqual({ ok: true, result: '{"ok":true}' });
    const [asked] = server.asked;
    expect(asked!.url).toBe('/run?v=1');
    expect(asked!.body).toEqual({
      ...{ task: 'task-1', agent: 'outside', method: 'check', attempt: 2, input: { text: 'a b' } },
      ...{ tenant: 'acme', session: 's1', deadline: 1_760_000_000_000 },
    });
    expect(asked!.headers).toMatchObject({
      'content-type': 'application/json',
      accept: 'application/x-ndjson, application/json',
      'idempotency-key': 'task-1/2',
      'x-agent-system-task': 'task-1',
      'x-agent-system-attempt': '2',
      host: `127.0.0.1:${server.port}`,
    });
    expect(asked!.headers).not.toHaveProperty('x-agent-system-signature');
  });

  it('is signed over its time, its id and its very bytes', async () => {
    server.answer = (response) => response.end('1');
    await attempt({ url: server.url, secret: SECRET }, { input: { text: 'grüße 𝄞' } }).outcome;
    await outcomeOf({ secret: SECRET });
    const [{ headers, text }, second] = server.asked as [(typeof server.asked)[0], (typeof server.asked)[0]];
    const timestamp = String(headers['x-agent-system-timestamp']);
    const id = String(headers['x-agent-system-id']);
    const mac = createHmac('sha256', SECRET).update(`${timestamp}.${id}.${text}`).digest('hex');
    expect(headers['x-agent-system-signature']).toBe(`v1=${mac}`);
    expect(Math.abs(Date.now() / 1_000 - Number(timestamp))).toBeLessThan(30);
    expect(second.headers['x-agent-system-id']).not.toBe(id);
  });

  it('carries the headers of the options', async () => {
    server.answer = (response) => response.end('1');
    await outcomeOf({ headers: { Authorization: 'Bearer x' } });
    expect(server.asked[0]!.headers.authorization).toBe('Bearer x');
  });
});

describe('an answer', () => {
  it('of JSON is the result', async () => {
    server.answer = (response) => response.setHeader('content-type', 'application/json').end('{"n":[1,"é"]}');
    expect(await outcomeOf()).toEqual({ ok: true, result: '{"n":[1,"é"]}' });
  });

  it('of 204 is null', async () => {
    server.answer = (response) => response.writeHead(204).end();
    expect(await outcomeOf()).toEqual({ ok: true, result: 'null' });
  });

  it('is checked by the output schema', async () => {
    server.answer = (response) => response.end('{"words":"many"}');
    expect(await outcomeOf({ output: z.object({ words: z.int() }) })).toEqual(failing('invalid_output', false));
  });

  it.each([
    ['<html>oops</html>', 'text/html', /text\/html that is not JSON: <html>oops/],
    ['', 'application/json', /an empty body/],
    [Buffer.from([0x22, 0xff, 0x22]), 'application/json', /not UTF-8/],
  ])('%j of 200 is refused for good', async (body, type, message) => {
    server.answer = (response) => response.setHeader('content-type', type).end(body);
    expect(await outcomeOf()).toEqual(failing('http_bad_answer', false, expect.stringMatching(message)));
  });

  it('that changes the protocol is refused for good, and holds up nobody', async () => {
    server.answer = (_response, _asked, socket) =>
      socket.end('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n');
    expect(await outcomeOf()).toEqual(failing('http_bad_answer', false, expect.stringContaining('status 101')));
  });

  it('that is encoded, which nobody asked for, is refused for good', async () => {
    server.answer = (response) => response.setHeader('content-encoding', 'gzip').end('x');
    expect(await outcomeOf()).toEqual(failing('http_bad_answer', false, expect.stringContaining('gzip')));
  });

  it('that is too large is refused for good, as JSON and as a line', async () => {
    server.answer = (response) => response.end(JSON.stringify('x'.repeat(2_000)));
    expect(await outcomeOf({ answerBytesMax: 1_000 })).toEqual(failing('result_too_large', false));
    server.answer = (response) => lines(response, '', 'x'.repeat(2_000));
    expect(await outcomeOf({ answerBytesMax: 1_000 })).toEqual(failing('result_too_large', false));
    await vi.waitFor(async () => expect(await server.connections()).toBe(0));
  });
});

describe('a stream', () => {
  it('reports progress, usage and logs before its result', async () => {
    server.answer = (response) => {
      lines(
        response,
        { progress: 0.25, note: 'one' },
        '',
        { log: 'half\nway', level: 'warn', fields: { page: 2 } },
        { usage: { inputTokens: 3 }, progress: 0.5, unknown: true },
        { usage: { inputTokens: 4, outputTokens: 1 }, log: 'on' },
      );
      response.end('{"result":{"words":2}}\n');
    };
    const ran = attempt({ url: server.url });
    expect(await ran.outcome).toEqual({ ok: true, result: '{"words":2}' });
    expect(ran.progress).toEqual([
      [0.25, 'one'],
      [0.5, undefined],
    ]);
    expect(ran.logged).toEqual([
      ['warn', 'half way', { page: 2 }],
      ['info', 'on', undefined],
    ]);
    expect(ran.context.used).toEqual({ inputTokens: 7, outputTokens: 1 });
  });

  it('tells of progress while the agent goes on', async () => {
    let finish: () => void = () => undefined;
    server.answer = (response) => {
      lines(response, { progress: 0.5 });
      finish = () => response.end('{"result":1}');
    };
    const ran = attempt({ url: server.url });
    await vi.waitFor(() => expect(ran.progress).toEqual([[0.5, undefined]]));
    finish();
    expect(await ran.outcome).toEqual({ ok: true, result: '1' });
  });

  it('is read in whatever pieces it comes', async () => {
    server.answer = (response, _asked, socket) => {
      socket.setNoDelay(true);
      lines(response);
      const bytes = Buffer.from('{"progress":0.5,"note":"grüße"}\n\n{"result":"é"}');
      const drip = (at: number) => {
        if (at === bytes.length) return void response.end();
        response.write(bytes.subarray(at, at + 1), () => setImmediate(drip, at + 1));
      };
      drip(0);
    };
    const ran = attempt({ url: server.url });
    expect(await ran.outcome).toEqual({ ok: true, result: '"é"' });
    expect(ran.progress).toEqual([[0.5, 'grüße']]);
  });

  it('ends with its last line, and the agent may close in peace', async () => {
    let cut = false;
    const { promise: closed, resolve: close } = deferred<void>();
    server.answer = (response, _asked, socket) => {
      socket.once('error', () => {
        cut = true;
      });
      response.once('close', () => {
        cut ||= !response.writableFinished;
        close();
      });
      lines(response, { result: 1 });
      setTimeout(() => response.end('more\n'), 20);
    };
    expect(await outcomeOf()).toEqual({ ok: true, result: '1' });
    await closed;
    expect(cut).toBe(false);
  });

  it('is cut when the agent does not close after its last line', async () => {
    server.answer = (response) => lines(response, { result: 1 });
    expect(await outcomeOf()).toEqual({ ok: true, result: '1' });
    await vi.waitFor(async () => expect(await server.connections()).toBe(0), 3_000);
  });

  it.each([
    [{ code: 'no_such_page', message: 'page 9', retryable: false }, failing('no_such_page', false, 'page 9')],
    [{ code: 'Not A Code', message: 'x' }, failing('handler_error', true, 'x')],
    ['just a text', failing('handler_error', true, 'just a text')],
    [null, failing('handler_error', true, expect.stringContaining('without a message'))],
  ])('may end with the error %j', async (error, expected) => {
    server.answer = (response) => {
      lines(response, { error });
      response.end();
    };
    expect(await outcomeOf()).toEqual(expected);
  });

  it('may ask to be tried again later', async () => {
    server.answer = (response) => {
      lines(response, { error: { code: 'busy', message: 'later', retryAfterMs: 5_000 } });
      response.end();
    };
    expect(await outcomeOf()).toMatchObject({ error: { code: 'busy', retryable: true, retryAfterMs: 5_000 } });
  });

  it('that ends without a last line is tried again', async () => {
    server.answer = (response) => {
      lines(response, { progress: 0.5 });
      response.end();
    };
    expect(await outcomeOf()).toEqual(failing('http_incomplete', true, expect.stringContaining('after 1 lines')));
  });

  it('that is cut in its middle is tried again', async () => {
    server.answer = (response, _asked, socket) => {
      lines(response, { progress: 0.5 });
      response.write('{"result":', () => socket.destroy());
    };
    expect(await outcomeOf()).toEqual(failing('http_incomplete', true, expect.stringContaining('was cut')));
  });

  it.each([
    ['not json', /line 1 of .* is not json, wanted a JSON object/],
    ['[1]', /wanted a JSON object/],
    ['{"progress":"half"}', /progress "half", wanted a number/],
    ['{"progress":1,"note":2}', /note 2, wanted a text/],
    ['{"usage":{"inputTokens":-1}}', /wrong usage: .*inputTokens/],
    ['{"usage":[]}', /usage \[\], wanted an object/],
    ['{"log":{}}', /log {}, wanted a text/],
  ])('with the line %s is refused for good', async (line, message) => {
    server.answer = (response) => lines(response, line);
    expect(await outcomeOf()).toEqual(failing('http_bad_answer', false, expect.stringMatching(message)));
    await vi.waitFor(async () => expect(await server.connections()).toBe(0));
  });

  it('fills no log', async () => {
    server.answer = (response) => {
      lines(response, ...Array.from({ length: LOG_LINES_MAX + 50 }, (_, at) => ({ log: `line ${at}` })));
      response.end('{"result":1}');
    };
    const ran = attempt({ url: server.url });
    await ran.outcome;
    expect(ran.logged).toHaveLength(LOG_LINES_MAX + 1);
    expect(ran.logged.at(-1)).toEqual(['warn', expect.stringContaining('left out'), expect.anything()]);
  });
});

describe('a status', () => {
  it.each([
    [400, false],
    [401, false],
    [404, false],
    [408, true],
    [409, false],
    [425, true],
    [429, true],
    [500, true],
    [502, true],
    [503, true],
    [201, false],
  ])('of %i fails the attempt; tried again: %s', async (status, retryable) => {
    server.answer = (response) => response.writeHead(status).end('because  of\nthat');
    expect(await outcomeOf()).toEqual(
      failing(`http_${status}`, retryable, expect.stringMatching(`answered ${status} .*: because of that`)),
    );
  });

  it('may say when to come again, in seconds or with a date', async () => {
    server.answer = (response) => response.writeHead(429, { 'retry-after': '7' }).end();
    expect(await outcomeOf()).toMatchObject({ error: { code: 'http_429', retryable: true, retryAfterMs: 7_000 } });
    const date = new Date(Date.now() + 60_000).toUTCString();
    server.answer = (response) => response.writeHead(503, { 'retry-after': date }).end();
    const outcome = await outcomeOf();
    const { retryAfterMs } = (outcome as { error: { retryAfterMs: number } }).error;
    expect(retryAfterMs).toBeGreaterThan(50_000);
    expect(retryAfterMs).toBeLessThanOrEqual(60_000);
  });

  it('is explained, and overruled, by an error in the body', async () => {
    server.answer = (response) =>
      response.writeHead(500).end('{"error":{"code":"out_of_range","message":"no","retryable":false}}');
    expect(await outcomeOf()).toEqual(failing('out_of_range', false, 'no'));
    server.answer = (response) => response.writeHead(422).end('{"error":{"message":"soon","retryable":true}}');
    expect(await outcomeOf()).toEqual(failing('http_422', true, 'soon'));
  });

  it('counts even when its body never ends', async () => {
    server.answer = (response) => response.writeHead(404).write('x'.repeat(100_000));
    expect(await outcomeOf()).toEqual(failing('http_404', false));
    await vi.waitFor(async () => expect(await server.connections()).toBe(0), 3_000);
  });

  it.each([301, 302, 303, 307, 308])('of %i is not followed', async (status) => {
    server.answer = (response) => response.writeHead(status, { location: `${server.url}/else?key=hidden` }).end();
    const outcome = await outcomeOf({ secret: SECRET });
    expect(outcome).toEqual(failing('http_redirected', false, expect.stringContaining('/run/else; redirects')));
    expect(JSON.stringify(outcome)).not.toContain('hidden');
    expect(server.asked).toHaveLength(1);
  });
});

describe('time', () => {
  it('is up when the answer does not begin', async () => {
    server.answer = () => undefined;
    expect(await outcomeOf({ headersTimeoutMs: 50 })).toEqual(
      failing('http_timeout', true, expect.stringContaining('did not begin to answer within 50 ms')),
    );
    await vi.waitFor(async () => expect(await server.connections()).toBe(0));
  });

  it('is up when the agent goes silent', async () => {
    server.answer = (response) => lines(response, { progress: 0.5 });
    expect(await outcomeOf({ silenceTimeoutMs: 50 })).toEqual(
      failing('http_timeout', true, expect.stringContaining('went silent')),
    );
  });

  it('begins anew with each sign of life', async () => {
    server.answer = (response) => {
      lines(response);
      let left = 8;
      const beat = setInterval(() => {
        left -= 1;
        if (left > 0) return void response.write('\n');
        clearInterval(beat);
        response.end('{"result":1}');
      }, 100);
    };
    expect(await outcomeOf({ silenceTimeoutMs: 500 })).toEqual({ ok: true, result: '1' });
  });

  it('is up when the host is not resolved', async () => {
    const never = () => new Promise<never>(() => undefined);
    const { outcome } = attempt({ url: 'http://slow.example/', connectTimeoutMs: 50 }, { resolve: never });
    expect(await outcome).toEqual(failing('http_timeout', true, expect.stringContaining('within 50 ms')));
  });

  it('is up when a host does not greet as TLS does', async () => {
    const mute = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(mute, 'listening');
    const { port } = mute.address() as { port: number };
    const outcome = await outcomeOf({ url: `https://127.0.0.1:${port}/`, connectTimeoutMs: 100 });
    mute.close();
    expect(outcome).toEqual(failing('http_timeout', true, expect.stringContaining('did not accept a connection')));
  });
});

describe('a cancel', () => {
  it.each(['before the answer', 'in the middle of the answer'])('%s closes the connection', async (when) => {
    const { promise: came, resolve: come } = deferred<void>();
    const { promise: closed, resolve: close } = deferred<number>();
    server.answer = (response, _asked, socket) => {
      socket.once('close', () => close(Date.now()));
      if (when !== 'before the answer') lines(response, { progress: 0.5 });
      come();
    };
    const ran = attempt({ url: server.url });
    await came;
    if (when !== 'before the answer') await vi.waitFor(() => expect(ran.progress).toHaveLength(1));
    const from = Date.now();
    ran.context.abort('cancelled', 'no longer wanted');
    expect(await ran.outcome).toMatchObject({ ok: false, error: { code: 'cancelled', message: 'no longer wanted' } });
    expect((await closed) - from).toBeLessThan(1_000);
  });

  it('before the attempt began calls nobody', async () => {
    const ran = attempt({ url: server.url, headers: {} }, {});
    ran.context.abort('shutdown', 'ends');
    expect(await ran.outcome).toMatchObject({ ok: false, error: { code: 'shutdown' } });
    expect(server.asked).toHaveLength(0);
  });
});

describe('the guard', () => {
  const unguarded = (url: string, over: { allow?: string[] } = {}) => attempt({ url, allow: [], ...over }).outcome;

  it.each([
    ['127.0.0.1', 'loopback'],
    ['2130706433', 'loopback'],
    ['0x7f.1', 'loopback'],
    ['[::1]', 'loopback'],
    ['[::ffff:127.0.0.1]', 'loopback'],
    ['0.0.0.0', 'unspecified'],
    ['169.254.169.254', 'link-local'],
    ['10.0.0.1', 'private'],
  ])('keeps the system from %s', async (host, kind) => {
    expect(await unguarded(`http://${host}:${server.port}/`)).toEqual(
      failing('http_forbidden_address', false, expect.stringMatching(`${kind} address.*HTTP_AGENT_ALLOW`)),
    );
    expect(server.asked).toHaveLength(0);
  });

  it('judges a name by what it leads to', async () => {
    const resolve = async () => [{ address: '127.0.0.1', family: 4 }];
    const url = `http://inside.example:${server.port}/`;
    const refused = attempt({ url, allow: ['10.0.0.0/8'] }, { resolve });
    expect(await refused.outcome).toEqual(
      failing('http_forbidden_address', false, expect.stringContaining('inside.example')),
    );
    server.answer = (response) => response.end('1');
    const allowed = attempt({ url, allow: [`inside.example:${server.port}`] }, { resolve });
    expect(await allowed.outcome).toEqual({ ok: true, result: '1' });
    expect(server.asked.map(({ headers }) => headers.host)).toEqual([`inside.example:${server.port}`]);
  });

  it('asks for a name once and connects to what it checked', async () => {
    // The name does not exist: had anybody but this function been asked, there would be no connection.
    let times = 0;
    const resolve = async () => {
      times += 1;
      return [{ address: times === 1 ? '127.0.0.1' : '127.0.0.2', family: 4 }];
    };
    server.answer = (response) => response.end('1');
    const { outcome } = attempt({ url: `http://rebound.invalid:${server.port}/`, allow: ['127.0.0.1'] }, { resolve });
    expect(await outcome).toEqual({ ok: true, result: '1' });
    expect(times).toBe(1);
  });

  it('passes on that a name is unknown, and that nobody listens', async () => {
    const resolve = async () => {
      throw Object.assign(new Error('getaddrinfo ENOTFOUND nowhere.invalid'), { code: 'ENOTFOUND' });
    };
    expect(await attempt({ url: 'http://nowhere.invalid/' }, { resolve }).outcome).toEqual(
      failing('http_unreachable', true, expect.stringContaining('ENOTFOUND')),
    );
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as { port: number };
    closed.close();
    await once(closed, 'close');
    expect(await outcomeOf({ url: `http://127.0.0.1:${port}/?token=hidden` })).toEqual(
      failing('http_unreachable', true, expect.stringMatching(/ECONNREFUSED(?!.*hidden)/)),
    );
  });
});

describe('wrong options', () => {
  it('are all named at once', () => {
    const make = () =>
      httpAgent({
        name: 'outside',
        url: 'ftp://x',
        secret: 'short',
        allow: ['10.0.0.1/8'],
        headers: { 'X-Agent-System-Task': '1', 'bad name': 'x', ok: 'a\nb' },
        silenceTimeoutMs: 0,
      });
    expect(make).toThrow(/`url` is "ftp:\/\/x"/);
    expect(make).toThrow(/`secret` has 5 bytes, wanted at least 32/);
    expect(make).toThrow(/`allow` has 10.0.0.1\/8/);
    expect(make).toThrow(/may not set X-Agent-System-Task/);
    expect(make).toThrow(/"bad name"/);
    expect(make).toThrow(/"ok"/);
    expect(make).toThrow(/`silenceTimeoutMs` is 0/);
  });

  it('do not show the password in a URL', () => {
    const make = () => httpAgent({ name: 'outside', url: 'http://user:hidden@x/' });
    expect(make).toThrow(/user or password/);
    expect(make).not.toThrow(/hidden/);
  });

  it('are refused as those of any other agent are', () => {
    expect(() => httpAgent({ name: 'Not A Name', url: 'http://x/' })).toThrow(/agent name/);
    expect(() => httpAgent({ name: 'a', url: 'http://x/', methods: ['Bad Name'] })).toThrow(/method name/);
  });
});
