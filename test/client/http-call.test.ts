import { afterEach, describe, expect, it } from 'vitest';
import { createApi } from '../../src/api/server.ts';
import { ResponseError, UnreachableError } from '../../src/client/errors.ts';
import { createClient } from '../../src/client/http-client.ts';
import { createVirtualRuntime, type VirtualRuntime } from '../../src/runtime/virtual-runtime.ts';
import { aServedSystem, type ServedSystem } from './builders.ts';

/** A network that answers what it is told to, one answer after the other, the last one for good. */
function aNetwork(...answers: (() => Promise<Response> | Response)[]) {
  const runtime = createVirtualRuntime(1);
  const calls: { url: string; at: number; init: RequestInit }[] = [];
  const fetch = (async (url: string, init: RequestInit) => {
    calls.push({ url, at: runtime.now(), init });
    return (answers[calls.length - 1] ?? answers.at(-1)!)();
  }) as typeof globalThis.fetch;
  const client = createClient({ url: 'http://127.0.0.1:1/base/', apiKey: 'k', fetch, runtime });
  return { client, runtime, calls };
}

const answer = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  Response.json(body, { status, headers });
const away = (seconds?: number) =>
  answer(503, { error: { code: 'QUEUE_FULL', message: 'full' } }, seconds ? { 'retry-after': `${seconds}` } : {});
const refused = () => Promise.reject(new TypeError('fetch failed', { cause: { code: 'ECONNREFUSED' } }));
const A_TASK = { id: '0'.repeat(25), state: 'queued' };

async function settled<T>(promise: Promise<T>, runtime: VirtualRuntime): Promise<T | Error> {
  const result = promise.catch((error: Error) => error);
  await runtime.advance(120_000);
  return result;
}

describe('a call over HTTP', () => {
  it('goes below the path of the URL, with the key, and follows no redirect', async () => {
    const { client, calls } = aNetwork(() => answer(200, A_TASK));
    await client.task('a b');
    expect(calls[0]).toMatchObject({
      url: 'http://127.0.0.1:1/base/v1/tasks/a%20b',
      init: { method: 'GET', headers: { 'x-api-key': 'k' }, redirect: 'manual' },
    });
  });

  it('asks again when the server said, and no later than in ten seconds', async () => {
    const { client, runtime, calls } = aNetwork(
      () => away(2),
      () => away(9_999),
      () => answer(200, A_TASK),
    );
    expect(await settled(client.task('a'), runtime)).toEqual(A_TASK);
    expect(calls.map(({ at }) => at - calls[0]!.at)).toEqual([0, 2_000, 12_000]);
  });

  it('gives up after four tries', async () => {
    const { client, runtime, calls } = aNetwork(() => away());
    expect(await settled(client.task('a'), runtime)).toMatchObject({
      code: 'QUEUE_FULL',
      status: 503,
      retryable: true,
    });
    expect(calls).toHaveLength(4);
  });

  it('repeats only what does no harm when it is done twice', async () => {
    const repeated = async (call: (client: ReturnType<typeof aNetwork>['client']) => Promise<unknown>) => {
      const { client, runtime, calls } = aNetwork(refused);
      const failure = await settled(call(client), runtime);
      expect(failure).toBeInstanceOf(UnreachableError);
      return calls.length > 1;
    };
    expect(await repeated((client) => client.list())).toBe(true);
    expect(await repeated((client) => client.cancel('a'))).toBe(true);
    expect(await repeated((client) => client.submit('echo', 1, { key: 'k' }))).toBe(true);
    expect(await repeated((client) => client.submit('echo', 1))).toBe(false);
    expect(await repeated((client) => client.retry('a'))).toBe(false);
    expect(await repeated((client) => client.submitMany([{ agent: 'a', input: 1, key: 'k' }]))).toBe(true);
    expect(
      await repeated((client) =>
        client.submitMany([
          { agent: 'a', input: 1, key: 'k' },
          { agent: 'a', input: 2 },
        ]),
      ),
    ).toBe(false);
  });

  it('does not repeat what was refused', async () => {
    const { client, runtime, calls } = aNetwork(() => answer(404, { error: { code: 'NOT_FOUND', message: 'no' } }));
    const failure = (await settled(client.task('a'), runtime)) as ResponseError;
    expect(failure).toMatchObject({ code: 'NOT_FOUND', status: 404, retryable: false, message: 'no' });
    expect(calls).toHaveLength(1);
  });

  it('says when something else answers', async () => {
    const html = () => new Response('<h1>hi</h1>', { headers: { 'content-type': 'text/html; charset=utf-8' } });
    const elsewhere = () => new Response(null, { status: 302, headers: { location: 'http://x.example/' } });
    const said = async (reply: () => Response) => {
      const { client, runtime } = aNetwork(reply);
      return settled(client.task('a'), runtime);
    };
    expect(await said(html)).toMatchObject({
      code: 'UNEXPECTED_ANSWER',
      message: expect.stringContaining('status 200 and text/html'),
    });
    expect(await said(elsewhere)).toMatchObject({
      message: expect.stringContaining('a redirect to http://x.example/'),
    });
    expect(await said(() => answer(500, { oops: true }))).toMatchObject({ code: 'UNEXPECTED_ANSWER', status: 500 });
  });

  it('gives up on a server that does not answer within 30 seconds', async () => {
    const never = (_url: unknown, init?: RequestInit) =>
      new Promise<Response>((_, reject) => {
        init!.signal!.addEventListener('abort', () => reject(init!.signal!.reason));
      });
    const runtime = createVirtualRuntime(1);
    const client = createClient({ url: 'http://127.0.0.1:1', fetch: never as typeof fetch, runtime });
    const failure = await settled(client.submit('echo', 1), runtime);
    expect(failure).toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringContaining('no answer within 30000 ms'),
    });
  });

  it('has a bounded number of calls on the way at once', async () => {
    let open = 0;
    let most = 0;
    const answers: (() => void)[] = [];
    const fetch = (async () => {
      most = Math.max(most, ++open);
      await new Promise<void>((resolve) => answers.push(resolve));
      open--;
      return answer(200, A_TASK);
    }) as unknown as typeof globalThis.fetch;
    const client = createClient({ url: 'http://127.0.0.1:1', fetch, runtime: createVirtualRuntime(1) });
    const all = Promise.all(Array.from({ length: 200 }, () => client.task('a')));
    for (let i = 0; i < 200; i++) {
      while (answers.length === 0) await new Promise((resolve) => setImmediate(resolve));
      answers.shift()!();
    }
    expect(await all).toHaveLength(200);
    expect(most).toBe(64);
  });

  it('refuses a URL that is none, and one with a password, without showing it', () => {
    expect(() => createClient({ url: 'localhost:8001' })).toThrow(
      /url is "localhost:8001", wanted an http or https URL/,
    );
    expect(() => createClient({ url: 'http://me:secret@127.0.0.1' })).toThrow(/wanted apiKey instead/);
    expect(() => createClient({ url: 'http://127.0.0.1/?a=1' })).toThrow(/wanted one without \? and #/);
  });
});

describe('a call to a real server', () => {
  let opened: ServedSystem | undefined;
  afterEach(async () => {
    await opened?.close();
    opened = undefined;
  });

  it('is refused without the right key', async () => {
    opened = await aServedSystem({ access: { apiKey: 'right', metricsToken: null } });
    const { url } = opened;
    await expect(createClient({ url }).agents()).rejects.toMatchObject({ status: 401, code: 'UNAUTHORIZED' });
    await expect(createClient({ url, apiKey: 'wrong' }).agents()).rejects.toBeInstanceOf(ResponseError);
    expect(await createClient({ url, apiKey: 'right' }).agents()).toHaveLength(2);
  });

  it('says that nothing listens there', async () => {
    const { url, close } = await aServedSystem();
    await close();
    await expect(createClient({ url }).agents()).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: `cannot reach ${url}: nothing listens there (connection refused)`,
    });
  });

  it('waits for a result through a restart of the coordinator', async () => {
    const first = await aServedSystem();
    const handle = await createClient({ url: first.url }).submit('echo', { text: 'hi' });
    const result = handle.result({ timeout: '20s' });
    await first.close();
    const again = createApi(first.context);
    opened = { ...first, close: () => again.close() };
    await again.listen({ host: '127.0.0.1', port: Number(new URL(first.url).port) });
    await first.finish(handle.id, { result: 'done' });
    expect(await result).toBe('done');
  });
});
