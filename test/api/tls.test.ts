import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createClient } from '../../src/client/http-client.ts';
import { Authority, type Certificate } from '../support/certificates.ts';
import { anApi, type TestApi } from './builders.ts';

/** Real sockets and real certificates. Everything is signed for 127.0.0.1, so only what a test is about can go wrong. */

const HERE = 'IP:127.0.0.1';
let ours: Authority;
let foreign: Authority;
let server: Certificate;
let client: Certificate;

beforeAll(() => {
  ours = new Authority('ours');
  foreign = new Authority('foreign');
  server = ours.sign('server', HERE);
  client = ours.sign('client', HERE);
});

afterAll(() => {
  ours.remove();
  foreign.remove();
});

let opened: (TestApi & { url: string; port: number }) | undefined;

async function listening(over: Parameters<typeof anApi>[0]) {
  const api = await anApi(over);
  opened = { ...api, ...(await api.api.listen({ host: '127.0.0.1', port: 0 })) };
  return opened;
}

const mutual = () => ({ tls: { cert: server.cert, key: server.key, ca: ours.pem } });

afterEach(async () => {
  await opened?.api.close();
  opened = undefined;
});

interface Reply {
  status: number;
  message: string;
}

function get(url: string, options: https.RequestOptions = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = https.get(url, { ca: ours.pem, agent: false, ...options }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, message: JSON.parse(text).error?.message ?? '' }),
      );
    });
    request.on('error', reject);
  });
}

describe('HTTPS', () => {
  it('is served with a certificate and a key, and says so in its URL', async () => {
    const { url, port } = await listening({ tls: { cert: server.cert, key: server.key, ca: null } });
    expect(url).toBe(`https://127.0.0.1:${port}`);
    expect((await get(`${url}/v1/tasks`)).status).toBe(200);
  });

  it('hangs up on who speaks no TLS, and goes on', async () => {
    const { url, port } = await listening(mutual());
    await expect(
      new Promise((resolve, reject) => http.get(`http://127.0.0.1:${port}/health`, resolve).on('error', reject)),
    ).rejects.toThrow();
    const socket = net.connect(port, '127.0.0.1', () => socket.write(Buffer.from([0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5])));
    socket.on('error', () => undefined).resume();
    await new Promise((resolve) => socket.on('close', resolve));
    expect((await get(`${url}/health`)).status).toBe(200);
  });
});

describe('slow clients over TLS', () => {
  it('are given up on as they are without it', async () => {
    const { port } = await listening({ ...mutual(), times: { headers: 100, request: 100, check: 20 } });
    const answer = await new Promise<string>((resolve) => {
      let text = '';
      const socket = tls.connect({ port, host: '127.0.0.1', ca: ours.pem }, () =>
        socket.write('GET /health HTTP/1.1\r\n'),
      );
      socket.on('data', (chunk) => {
        text += chunk;
      });
      socket.on('close', () => resolve(text));
      socket.on('error', () => undefined);
    });
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
  });

  it('that never finish shaking hands do not hold up the close', async () => {
    const { port, api } = await listening({ ...mutual(), times: { close: 50 } });
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => undefined).resume();
    const gone = new Promise((resolve) => socket.on('close', resolve));
    await new Promise((resolve) => setTimeout(resolve, 30));
    const began = performance.now();
    await api.close();
    await gone;
    expect(performance.now() - began).toBeLessThan(1_000);
  });
});

/** Signed by our authority, good from the year 2099 on. */
function ofTheFuture(): { cert: string; key: string } {
  const dir = mkdtempSync(join(tmpdir(), 'future-'));
  const at = (name: string) => join(dir, name);
  const run = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' });
  writeFileSync(at('index'), '');
  writeFileSync(at('serial'), '01');
  writeFileSync(
    at('conf'),
    `[ca]\ndefault_ca=c\n[c]\ndatabase=${at('index')}\nserial=${at('serial')}\nnew_certs_dir=${dir}\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n`,
  );
  run(
    'req',
    '-new',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-keyout',
    at('key'),
    '-out',
    at('csr'),
    '-subj',
    '/CN=future',
  );
  const times = ['-startdate', '20990101000000Z', '-enddate', '20991231000000Z'];
  const signer = ['-cert', ours.file, '-keyfile', ours.file.replace(/\.pem$/, '.key')];
  run('ca', '-batch', '-notext', '-config', at('conf'), ...signer, ...times, '-in', at('csr'), '-out', at('pem'));
  const made = { cert: readFileSync(at('pem'), 'utf8'), key: readFileSync(at('key'), 'utf8') };
  rmSync(dir, { recursive: true });
  return made;
}

describe('mutual TLS', () => {
  it.each<[string, () => { cert?: string; key?: string }, string]>([
    ['no certificate', () => ({}), 'none was shown'],
    ['one of a foreign authority', () => foreign.sign('stranger', HERE), 'its authority is not one of ours'],
    ['one that has expired', () => ours.sign('old', HERE, -1), 'it has expired'],
    ['one that is not valid yet', ofTheFuture, 'it is not valid yet'],
  ])('refuses %s with 401, and still answers probes', async (_, made, why) => {
    const { url, seen } = await listening(mutual());
    const { cert, key } = made();
    for (const path of ['/v1/tasks', '/status', '/metrics', '/v1/nothing', '/v1/workers']) {
      const { status, message } = await get(url + path, { cert, key });
      expect([path, status, message]).toEqual([path, 401, `wanted a client certificate of this system: ${why}`]);
    }
    expect(seen[0]).toMatchObject({ type: 'access.refused', reason: `client certificate: ${why}` });
    for (const probe of ['/health', '/ready']) expect((await get(url + probe, { cert, key })).status).toBe(200);
  });

  it('lets in who shows one of our authority', async () => {
    const { url } = await listening(mutual());
    for (const path of ['/v1/tasks', '/status', '/v1/workers'])
      expect([path, (await get(url + path, client)).status]).toEqual([path, 200]);
    expect((await get(`${url}/v1/nothing`, client)).status).toBe(404);
  });

  it('asks for the key as well where there is one', async () => {
    const { url } = await listening({ ...mutual(), access: { apiKey: 'the-key', metricsToken: null } });
    expect((await get(`${url}/v1/tasks`, client)).message).toMatch(/^no valid key/);
    const headers = { 'x-api-key': 'the-key' };
    expect((await get(`${url}/v1/tasks`, { ...client, headers })).status).toBe(200);
    expect((await get(`${url}/v1/tasks`, { headers })).message).toContain('none was shown');
  });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('is not fooled by a %s session that nobody authorized', async (version) => {
    const { url, port } = await listening(mutual());
    const session = await new Promise<Buffer | undefined>((resolve) => {
      const socket = tls.connect({ port, host: '127.0.0.1', ca: ours.pem, maxVersion: version }, () =>
        socket.write('GET /health HTTP/1.1\r\nhost: a\r\n\r\n'),
      );
      socket.on('session', (ticket) => resolve(ticket));
      socket.on('data', () => setTimeout(() => resolve(socket.getSession()), 50));
    });
    const resumed = { session, maxVersion: version };
    expect((await get(`${url}/v1/tasks`, resumed)).status).toBe(401);
    expect((await get(`${url}/v1/tasks`, resumed)).status).toBe(401);
  });

  it('takes other certificates and authorities from the moment they are replaced', async () => {
    const { url, api } = await listening(mutual());
    const stranger = foreign.sign('stranger-two', HERE);
    const agent = new https.Agent({ keepAlive: true });
    expect((await get(`${url}/v1/tasks`, { ...client, agent })).status).toBe(200);
    const next = foreign.sign('server-two', HERE);
    api.replaceTls({ cert: next.cert, key: next.key, ca: foreign.pem });
    const trusts = { ca: foreign.pem };
    expect((await get(`${url}/v1/tasks`, { ...stranger, ...trusts })).status).toBe(200);
    expect((await get(`${url}/v1/tasks`, { ...client, ...trusts })).status).toBe(401);
    await expect(get(`${url}/v1/tasks`, { ...client, agent })).rejects.toThrow(/self-signed|unable to verify/);
    agent.destroy();
  });
});

describe('the client', () => {
  it('reaches a system that asks for a certificate, with texts of PEM', async () => {
    const { url } = await listening(mutual());
    const system = createClient({ url, tls: { ca: ours.pem, cert: client.cert, key: client.key } });
    const handle = await system.submit('echo', { text: 'grüße' });
    expect(await handle.task()).toMatchObject({ input: { text: 'grüße' }, state: 'queued' });
    await expect(system.task('0'.repeat(25))).rejects.toMatchObject({ code: 'NOT_FOUND', status: 404 });
    const aborted = handle.result({ signal: AbortSignal.timeout(30) });
    await expect(aborted).rejects.toMatchObject({ name: 'TimeoutError' });
  });

  it.each<[string, () => Parameters<typeof createClient>[0], RegExp]>([
    ['no certificate', () => ({ url: opened!.url, tls: { ca: ours.pem } }), /none was shown/],
    [
      'an unknown authority',
      () => ({ url: opened!.url, tls: { ca: foreign.pem } }),
      /authority that is not known here/,
    ],
    ['no authority', () => ({ url: opened!.url }), /authority that is not known here/],
    [
      'another name',
      () => ({ url: opened!.url.replace('127.0.0.1', 'localhost'), tls: { ca: ours.pem } }),
      /another name/,
    ],
  ])('is told what is wrong with %s', async (_, options, message) => {
    await listening(mutual());
    await expect(createClient(options()).retry('0'.repeat(25))).rejects.toThrow(message);
  });

  it('is told that a server speaks no TLS', async () => {
    const { port } = await listening({});
    const system = createClient({ url: `https://127.0.0.1:${port}`, tls: { ca: ours.pem } });
    await expect(system.retry('0'.repeat(25))).rejects.toThrow(/does not speak TLS/);
  });

  it('refuses certificates that are none, and certificates for http', () => {
    expect(() => createClient({ url: 'https://a', tls: { cert: 'x', key: 'y' } })).toThrow(/PEM/);
    expect(() => createClient({ url: 'https://a', tls: { cert: client.cert } })).toThrow(/only one of cert and key/);
    expect(() => createClient({ url: 'http://a', tls: { ca: ours.pem } })).toThrow(/wanted https/);
  });
});
