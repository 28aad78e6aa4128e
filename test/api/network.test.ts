import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { anApi, type TestApi } from './builders.ts';

/** Real sockets: what the server does with slow, rude and departing clients. */

let opened: (TestApi & { url: string; port: number }) | undefined;

async function listening(over?: Parameters<typeof anApi>[0]) {
  const api = await anApi(over);
  opened = { ...api, ...(await api.api.listen({ host: '127.0.0.1', port: 0 })) };
  return opened;
}

afterEach(async () => {
  await opened?.api.close();
  opened = undefined;
});

async function post(url: string, body: unknown): Promise<Response> {
  return fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
}

/** Sends bytes as they are and answers all that comes back until the server closes. */
function send(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let received = '';
    const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.on('data', (chunk) => {
      received += chunk.toString('utf8');
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(received));
  });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

describe('listening', () => {
  it('says where, and serves there', async () => {
    const { url, port } = await listening();
    expect(url).toBe(`http://127.0.0.1:${port}`);
    const created = await post(`${url}/v1/tasks`, { agent: 'echo', input: { text: 'hi' } });
    expect(created.status).toBe(201);
    expect(created.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(created.headers.get('cache-control')).toBe('no-store');
    const got = await fetch(new URL(created.headers.get('location') ?? '', url));
    expect(await got.json()).toEqual(await created.json());
  });

  it('rejects when the port is taken, and listens on another one after that', async () => {
    const { port } = await listening();
    const second = await anApi();
    await expect(second.api.listen({ host: '127.0.0.1', port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
    const other = await second.api.listen({ host: '127.0.0.1', port: 0 });
    expect((await fetch(`${other.url}/health`)).status).toBe(200);
    await second.api.close();
  });
});

describe('rude clients', () => {
  it('answers 413 to a body of ten times the limit, announced or not', async () => {
    const { url } = await listening({ limits: { maxPayloadBytes: 100_000 } });
    const big = await post(`${url}/v1/tasks`, { agent: 'echo', input: 'x'.repeat(2_000_000) });
    expect(big.status).toBe(413);
    expect(await big.json()).toMatchObject({ error: { code: 'PAYLOAD_TOO_LARGE' } });
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });

  it('stops reading a body that goes on beyond the limit', async () => {
    const { port } = await listening({ limits: { maxPayloadBytes: 1_000 } });
    const head =
      'POST /v1/tasks HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n';
    const chunk = `${(40_000).toString(16)}\r\n${'x'.repeat(40_000)}\r\n`;
    const answer = await send(port, head + chunk + chunk);
    expect(answer).toContain('413');
    expect(answer).toContain('PAYLOAD_TOO_LARGE');
  });

  it('answers 400 in the usual form to what is no HTTP', async () => {
    const { port } = await listening();
    const answer = await send(port, 'hello there\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({ error: { code: 'BAD_REQUEST' } });
  });

  it('answers 431 to headers of 20 KiB', async () => {
    const { port } = await listening();
    const answer = await send(port, `GET /health HTTP/1.1\r\nhost: a\r\nx-long: ${'x'.repeat(20_480)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    expect(answer).toContain('HEADERS_TOO_LARGE');
  });

  it('gives up on headers and on bodies that do not come', async () => {
    const { port } = await listening({ times: { headers: 100, request: 100, check: 20 } });
    const head = 'POST /v1/tasks HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{';
    const answers = await Promise.all([send(port, 'GET /health HTTP/1.1\r\nhost:'), send(port, head)]);
    for (const answer of answers) {
      expect(answer).toMatch(/^HTTP\/1\.1 408 /);
      expect(answer).toContain('REQUEST_TIMEOUT');
    }
  });

  it('closes a connection on which nothing moves', async () => {
    const { port } = await listening({ times: { silence: 50 } });
    expect(await send(port, '')).toBe('');
  });
});

describe('waiting clients', () => {
  it('stops waiting for one that went away', async () => {
    const { url, waiters } = await listening();
    const task = (await (await post(`${url}/v1/tasks`, { agent: 'echo', input: {} })).json()) as { id: string };
    const leaving = new AbortController();
    const waiting = fetch(`${url}/v1/tasks/${task.id}/result?waitMs=60000`, { signal: leaving.signal });
    await until(() => waiters.ids().length === 1);
    leaving.abort();
    await expect(waiting).rejects.toThrow();
    await until(() => waiters.ids().length === 0);
  });

  it('answers those that wait with 202 when the server closes, and closes at once', async () => {
    const { url, api, waiters } = await listening();
    const task = (await (await post(`${url}/v1/tasks`, { agent: 'echo', input: {} })).json()) as { id: string };
    const waiting = fetch(`${url}/v1/tasks/${task.id}/result?waitMs=60000`);
    await until(() => waiters.ids().length === 1);
    const began = performance.now();
    await api.close();
    expect(performance.now() - began).toBeLessThan(1_000);
    const answer = await waiting;
    expect(answer.status).toBe(202);
    expect(await answer.json()).toMatchObject({ id: task.id, state: 'queued' });
    await expect(fetch(`${url}/health`)).rejects.toThrow();
  });

  it('does not let a request that never ends hold up the close', async () => {
    const { port, api } = await listening({ times: { close: 50 } });
    const head = 'POST /v1/tasks HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{';
    const hanging = send(port, head);
    await new Promise((resolve) => setTimeout(resolve, 30));
    await api.close();
    await hanging;
  });

  it('finishes what is under way when it closes, and answers 503 to what comes meanwhile', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const slow = async () => {
      await held;
      return { contentType: 'text/plain', text: 'done' };
    };
    const { port, api } = await listening({ metrics: slow });
    const request = (path: string) => `GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`;
    const first = send(port, request('/metrics'));
    let answer = '';
    const second = net.connect(port, '127.0.0.1');
    second.on('data', (chunk) => {
      answer += chunk.toString('utf8');
    });
    await new Promise((resolve) => setTimeout(resolve, 30));
    const closed = api.close();
    second.write(request('/status'));
    await until(() => answer.includes('SHUTTING_DOWN'));
    expect(answer).toMatch(/^HTTP\/1\.1 503 /);
    expect(answer).toContain('retry-after: 1');
    release();
    await closed;
    const finished = await first;
    expect(finished).toMatch(/^HTTP\/1\.1 200 /);
    expect(finished).toMatch(/done$/);
  });
});
