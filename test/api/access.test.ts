import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { afterEach, describe, expect, it } from 'vitest';
import { ApiKeys } from '../../src/api/api-keys.ts';
import { createGuard } from '../../src/api/auth.ts';
import { Tokens } from '../../src/api/tokens.ts';
import { hashOfApiKey, readApiKeys } from '../../src/config/api-keys.ts';
import { type Answer, anApi, call, type TestApi } from './builders.ts';

let opened: TestApi | undefined;

async function open(over?: Parameters<typeof anApi>[0]): Promise<TestApi> {
  opened = await anApi(over);
  return opened;
}

afterEach(async () => {
  await opened?.api.close();
  opened = undefined;
});

/** Keys by what they may do, as a file would name them. */
const KEYS = {
  reader: { scopes: ['tasks:read'] },
  writer: { scopes: ['tasks:write'] },
  admin: { scopes: ['admin'] },
  acme: { scopes: ['tasks:read', 'tasks:write'], tenant: 'acme' },
  globex: { scopes: ['tasks:read', 'tasks:write'], tenant: 'globex' },
  late: { scopes: ['admin'], expiresAt: '2020-01-01T00:00:00Z' },
};

type Name = keyof typeof KEYS;
const keyOf = (name: string) => `key-of-${name}-0123456789abcdef`;
const as = (name: Name) => ({ 'x-api-key': keyOf(name) });

function someKeys(): ApiKeys {
  const entries = Object.entries(KEYS).map(([name, rest]) => ({
    name,
    hash: `sha256:${hashOfApiKey(keyOf(name))}`,
    ...rest,
  }));
  const read = readApiKeys(JSON.stringify(entries));
  if ('problems' in read) throw new Error(read.problems.join());
  return new ApiKeys(read.keys);
}

const withKeys = () => open({ access: { apiKey: null, metricsToken: null, apiKeys: someKeys() } });

describe('keys of the file', () => {
  it.each<[Name, string, 'GET' | 'POST', number]>([
    ['reader', '/v1/tasks', 'GET', 200],
    ['reader', '/v1/tasks', 'POST', 403],
    ['reader', '/v1/tasks/batch', 'POST', 403],
    ['reader', '/v1/workers', 'GET', 200],
    ['writer', '/v1/tasks', 'GET', 200],
    ['writer', '/v1/tasks', 'POST', 201],
    ['admin', '/v1/tasks', 'POST', 201],
    ['admin', '/v1/instances', 'GET', 200],
    ['acme', '/v1/tasks', 'POST', 201],
    ['acme', '/v1/agents', 'GET', 200],
    ['acme', '/v1/workers', 'GET', 403],
    ['reader', '/status', 'GET', 200],
    ['acme', '/status', 'GET', 403],
    ['acme', '/v1/instances', 'GET', 403],
    ['acme', '/v1/queues', 'GET', 403],
    ['late', '/v1/tasks', 'GET', 401],
  ])('%s: %s by %s is answered %i', async (name, url, method, status) => {
    const body = method === 'POST' ? { agent: 'echo', input: {} } : undefined;
    const answer = await call(await withKeys(), method, url, { headers: as(name), body });
    expect(answer.status).toBe(status);
    if (status === 403) expect(answer.body.error.code).toBe('FORBIDDEN');
    if (status === 401) expect(answer.body.error.message).toBe('the key has expired');
  });

  it('names the scope that is missing', async () => {
    const { body } = await call(await withKeys(), 'POST', '/v1/tasks', { headers: as('reader'), body: {} });
    expect(body.error.message).toBe('this needs the scope tasks:write, reader has tasks:read');
    expect(body.error.details).toEqual({ scope: 'tasks:write', has: ['tasks:read'] });
  });

  it('are others from the moment they are replaced', async () => {
    const apiKeys = someKeys();
    const api = await open({ access: { apiKey: null, metricsToken: null, apiKeys } });
    expect((await call(api, 'GET', '/v1/tasks', { headers: as('reader') })).status).toBe(200);
    apiKeys.replace([]);
    expect((await call(api, 'GET', '/v1/tasks', { headers: as('reader') })).status).toBe(401);
  });

  it('stand beside API_KEY, and X-API-Key counts where both headers are there', async () => {
    const api = await open({ access: { apiKey: 'the-one-key', metricsToken: null, apiKeys: someKeys() } });
    const both = { authorization: 'Bearer the-one-key', ...as('reader') };
    expect((await call(api, 'POST', '/v1/tasks', { headers: both, body: {} })).status).toBe(403);
    const bearer = { authorization: `Bearer ${keyOf('reader')}` };
    expect((await call(api, 'GET', '/v1/tasks', { headers: bearer })).status).toBe(200);
  });
});

describe('strange Authorization headers', () => {
  it.each([
    '',
    ' ',
    'Bearer',
    'Bearer ',
    'Bearer  ',
    'bearer\t',
    `Bearer${keyOf('admin')}`,
    `Basic ${Buffer.from(`admin:${keyOf('admin')}`).toString('base64')}`,
    `Bearer ${keyOf('admin')} ${keyOf('admin')}`,
    `Bearer ${keyOf('admin')},`,
    `Bearer "${keyOf('admin')}"`,
    `Bearer ${keyOf('admin').toUpperCase()}`,
    `Bearer sha256:${hashOfApiKey(keyOf('admin'))}`,
    `Bearer ${hashOfApiKey(keyOf('admin'))}`,
    'Bearer null',
    'Bearer undefined',
    'Bearer [object Object]',
    'Bearer __proto__',
    'Bearer constructor',
    'Bearer ..',
    'Bearer a.b.c',
    'Bearer eyJhbGciOiJub25lIn0.e30.',
    `Bearer ${'a'.repeat(15_000)}`,
    `Bearer \u00ff\u00fe`,
    'Digest username="admin"',
  ])('answers 401 to %j', async (authorization) => {
    const { key } = await anIssuer();
    const tokens = new Tokens({ issuer: 'i', audience: 'a', jwks: { keys: [await publicJwk(key)] }, now: Date.now });
    const api = await open({ access: { apiKey: null, metricsToken: 'm', apiKeys: someKeys(), tokens } });
    for (const path of ['/v1/tasks', '/metrics', '/status', '/v1/nothing']) {
      const answer = await call(api, 'GET', path, { headers: { authorization } });
      expect([path, answer.status, answer.body.error.code]).toEqual([path, 401, 'UNAUTHORIZED']);
    }
  });
});

type Pair = Awaited<ReturnType<typeof generateKeyPair>>;

async function publicJwk({ publicKey }: Pair, over: object = {}) {
  return { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256', use: 'sig', ...over };
}

const NOW = Math.floor(Date.now() / 1_000);
const ISSUER = 'https://issuer.example';
const AUDIENCE = 'agent-system';

async function anIssuer() {
  return { key: await generateKeyPair('ES256', { extractable: true }) };
}

const GOOD: JWTPayload = {
  iss: ISSUER,
  aud: AUDIENCE,
  sub: 'ann',
  iat: NOW,
  nbf: NOW,
  exp: NOW + 60,
  tenant: 'acme',
  scope: 'openid tasks:read tasks:write',
};

async function withTokens() {
  const { key } = await anIssuer();
  const tokens = new Tokens({
    issuer: ISSUER,
    audience: AUDIENCE,
    jwks: { keys: [await publicJwk(key)] },
    now: () => NOW * 1_000,
  });
  const api = await open({ access: { apiKey: null, metricsToken: null, tokens } });
  const sign = (claims: JWTPayload, header: object = {}, by: Pair = key) =>
    new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'k1', ...header }).sign(by.privateKey);
  const ask = (token: string, method: 'GET' | 'POST' = 'GET', url = '/v1/tasks') =>
    call(api, method, url, {
      headers: { authorization: `Bearer ${token}` },
      ...(method === 'POST' && { body: { agent: 'echo', input: {} } }),
    });
  return { api, key, tokens, sign, ask };
}

describe('tokens', () => {
  it('let in whom they name, into the tenant they name', async () => {
    const { ask, sign } = await withTokens();
    const created = await ask(await sign(GOOD), 'POST');
    expect([created.status, created.body.tenant]).toEqual([201, 'acme']);
  });

  it.each<[string, JWTPayload, 'GET' | 'POST', number]>([
    ['scp as a list', { scope: undefined, scp: ['tasks:read'] }, 'GET', 200],
    ['scp as a text', { scope: undefined, scp: 'tasks:write' }, 'POST', 201],
    ['permissions', { scope: undefined, permissions: ['tasks:write', 'x'] }, 'POST', 201],
    ['no nbf', { nbf: undefined }, 'GET', 200],
    ['one of several audiences', { aud: ['other', AUDIENCE] }, 'GET', 200],
    ['expired 4 seconds ago', { exp: NOW - 4 }, 'GET', 200],
    ['scopes that are not ours', { scope: 'openid profile' }, 'GET', 403],
    ['scopes of strange kinds', { scope: { a: 1 }, scp: [1, null], permissions: 7 } as JWTPayload, 'GET', 403],
    ['no tenant and no admin', { tenant: undefined }, 'GET', 403],
    ['no tenant but admin', { tenant: undefined, scope: 'admin' }, 'POST', 201],
    ['read only', { scope: 'tasks:read' }, 'POST', 403],
  ])('with %s are answered as they deserve', async (_, over, method, status) => {
    const { ask, sign } = await withTokens();
    expect((await ask(await sign({ ...GOOD, ...over }), method)).status).toBe(status);
  });

  it('give nobody of a tenant the whole system, whatever scope they name', async () => {
    const { ask, sign } = await withTokens();
    const token = await sign({ ...GOOD, scope: 'admin' });
    expect((await ask(token, 'GET', '/v1/workers')).status).toBe(403);
    expect((await ask(token, 'POST')).body.tenant).toBe('acme');
  });

  it.each<[string, JWTPayload]>([
    ['another issuer', { iss: 'https://other.example' }],
    ['no issuer', { iss: undefined }],
    ['another audience', { aud: 'other' }],
    ['no audience', { aud: undefined }],
    ['no end', { exp: undefined }],
    ['an end that is no number', { exp: 'never' as unknown as number }],
    ['a beginning in a minute', { nbf: NOW + 60 }],
    ['no subject', { sub: undefined }],
    ['an empty subject', { sub: '' }],
    ['a subject of 300 characters', { sub: 's'.repeat(300) }],
    ['an empty tenant', { tenant: '' }],
    ['a list of tenants', { tenant: ['acme'] }],
    ['a number as tenant', { tenant: 0 }],
  ])('with %s are refused, and the caller is told no reason', async (_, over) => {
    const { api, ask, sign } = await withTokens();
    const { status, body } = await ask(await sign({ ...GOOD, ...over }));
    expect([status, body.error]).toEqual([
      401,
      { code: 'UNAUTHORIZED', message: expect.stringMatching(/^no valid key/) },
    ]);
    expect(api.seen).toMatchObject([{ type: 'access.refused', where: 'GET /v1/tasks', address: '127.0.0.1' }]);
  });

  it('that have expired are told so', async () => {
    const { ask, sign } = await withTokens();
    const { status, body } = await ask(await sign({ ...GOOD, exp: NOW - 6 }));
    expect([status, body.error.message]).toEqual([401, 'the token has expired']);
  });

  it('are taken with the algorithm of a key and no other', async () => {
    const { ask, sign, key } = await withTokens();
    const text = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const none = `${text({ alg: 'none', kid: 'k1' })}.${text(GOOD)}.`;
    const spki = JSON.stringify(await publicJwk(key));
    const symmetric = (alg: string) =>
      new SignJWT(GOOD).setProtectedHeader({ alg, kid: 'k1' }).sign(new TextEncoder().encode(spki));
    const stranger = await generateKeyPair('ES256');
    const good = await sign(GOOD);
    const [head, claims, signature] = good.split('.') as [string, string, string];
    const forged: [string, string][] = [
      ['none', none],
      ['none with a signature', `${text({ alg: 'none', kid: 'k1' })}.${claims}.${signature}`],
      ['HS256', await symmetric('HS256')],
      ['HS512', await symmetric('HS512')],
      ['unknown kid', await sign(GOOD, { kid: 'k2' })],
      ['another key', await sign(GOOD, {}, stranger)],
      ['key in the header', await sign(GOOD, { jwk: await exportJWK(stranger.publicKey) }, stranger)],
      [
        'b64 false',
        await sign(GOOD, { b64: false, crit: ['b64'] }).catch(
          () => `${text({ alg: 'ES256', kid: 'k1', b64: false, crit: ['b64'] })}.${claims}.${signature}`,
        ),
      ],
      ['unknown crit', `${text({ alg: 'ES256', kid: 'k1', crit: ['x'], x: 1 })}.${claims}.${signature}`],
      ['other claims', `${head}.${text({ ...GOOD, tenant: 'globex' })}.${signature}`],
      ['no signature', `${head}.${claims}.`],
      ['half a signature', good.slice(0, -40)],
      ['claims that are no object', `${head}.${text([])}.${signature}`],
    ];
    expect((await ask(good)).status).toBe(200);
    for (const [what, token] of forged) {
      const { status, body } = await ask(token);
      expect([what, status, body.error.code]).toEqual([what, 401, 'UNAUTHORIZED']);
    }
  });

  it('that were verified a moment ago are not verified again, and still end', async () => {
    const { key } = await anIssuer();
    let now = NOW * 1_000;
    const options = { issuer: ISSUER, audience: AUDIENCE, now: () => now };
    const tokens = new Tokens({ ...options, jwks: { keys: [await publicJwk(key)] } });
    const token = await new SignJWT(GOOD).setProtectedHeader({ alg: 'ES256', kid: 'k1' }).sign(key.privateKey);
    expect(tokens.recall(token)).toBeNull();
    const caller = await tokens.verify(token);
    expect(tokens.recall(token)).toBe(caller);
    expect(tokens.recall(`${token.slice(0, -4)}AAAA`)).toBeNull();
    now += 60_000;
    expect(tokens.recall(token)).toBeNull();
  });

  it('are forgotten with their keys, also those that are being verified', async () => {
    const { tokens, sign } = await withTokens();
    const [seen, late] = [await sign(GOOD), await sign({ ...GOOD, sub: 'bob' })];
    await tokens.verify(seen);
    const verifying = tokens.verify(late);
    tokens.replace({ keys: [await publicJwk(await generateKeyPair('ES256', { extractable: true }))] });
    await verifying.catch(() => undefined);
    expect([tokens.recall(seen), tokens.recall(late)]).toEqual([null, null]);
  });

  it('are checked against other keys from the moment those are replaced', async () => {
    const { ask, sign, tokens } = await withTokens();
    const next = await generateKeyPair('ES256', { extractable: true });
    const [old, fresh] = [await sign(GOOD), await sign(GOOD, {}, next)];
    tokens.replace({ keys: [await publicJwk(next)] });
    expect([(await ask(old)).status, (await ask(fresh)).status]).toEqual([401, 200]);
  });
});

describe('guessing', () => {
  const guess = (api: TestApi, n: number) => call(api, 'GET', '/v1/tasks', { headers: { 'x-api-key': `guess-${n}` } });

  it('is over for a while after twenty different keys, even with the right one', async () => {
    const api = await withKeys();
    for (let n = 0; n < 20; n++) expect((await guess(api, n)).status).toBe(401);
    const { status, headers, body } = await guess(api, 20);
    expect([status, body.error.code]).toEqual([429, 'RATE_LIMITED']);
    expect(Number(headers['retry-after'])).toBeGreaterThan(50);
    expect((await call(api, 'GET', '/v1/tasks', { headers: as('admin') })).status).toBe(429);
    expect((await call(api, 'GET', '/health')).status).toBe(200);
  });

  it('is not repeating one wrong key, or showing none, or an expired token', async () => {
    const { api, ask, sign } = await withTokens();
    for (let n = 0; n < 30; n++) {
      expect((await guess(api, 1)).status).toBe(401);
      expect((await call(api, 'GET', '/v1/tasks')).status).toBe(401);
      expect((await ask(await sign({ ...GOOD, exp: NOW - 100 - n }))).status).toBe(401);
    }
    expect((await ask(await sign(GOOD))).status).toBe(200);
  });

  it('of one address does not bar another, as far as a trusted proxy tells them apart', async () => {
    const from = (address: string, key: string) => ({ 'x-forwarded-for': address, 'x-api-key': key });
    const access = { apiKey: 'right', metricsToken: null };
    const trusting = await open({ access, trustProxy: ['loopback'] });
    for (let n = 0; n < 20; n++)
      await call(trusting, 'GET', '/v1/tasks', { headers: from('203.0.113.7', `guess-${n}`) });
    expect((await call(trusting, 'GET', '/v1/tasks', { headers: from('203.0.113.7', 'right') })).status).toBe(429);
    expect((await call(trusting, 'GET', '/v1/tasks', { headers: from('203.0.113.8', 'right') })).status).toBe(200);
    await trusting.api.close();
    const wary = await open({ access });
    for (let n = 0; n < 20; n++)
      await call(wary, 'GET', '/v1/tasks', { headers: from(`203.0.113.${n}`, `guess-${n}`) });
    expect((await call(wary, 'GET', '/v1/tasks', { headers: from('203.0.113.99', 'right') })).status).toBe(429);
  });
});

/** All of an answer that a caller could see, without what differs by the id that was asked for. */
function faceOf({ status, headers, body }: Answer, id: string) {
  const { date: _, 'content-length': length, ...rest } = headers;
  return { status, rest, length, body: JSON.parse(JSON.stringify(body).replaceAll(id, 'ID')) };
}

describe('a caller that was let in before', () => {
  it('is sent away once its key is taken back, and not because others guess keys', () => {
    const apiKeys = someKeys();
    const parts = { apiKey: null, metricsToken: null, apiKeys };
    const guard = createGuard({ parts, now: Date.now, onRefused: () => undefined });
    const request = { headers: as('acme'), ip: '192.0.2.1' };
    for (let i = 0; i < 20; i++) {
      const guess = { headers: { 'x-api-key': `guess ${i}` }, ip: request.ip };
      expect(() => guard('tasks:read', guess)).toThrow(/no valid key/);
    }
    expect(() => guard('tasks:read', request)).toThrow(/too many different wrong keys/);
    expect(guard('tasks:read', request, true)).toMatchObject({ tenant: 'acme' });
    apiKeys.replace([]);
    expect(() => guard('tasks:read', request, true)).toThrow(/no valid key/);
  });
});

describe('tenants', () => {
  const submit = async (api: TestApi, name: Name, more: object = {}) =>
    call(api, 'POST', '/v1/tasks', { headers: as(name), body: { agent: 'echo', input: { text: name }, ...more } });

  it.each([
    ['GET', ''],
    ['GET', '/result'],
    ['GET', '/result?waitMs=5'],
    ['GET', '/history'],
    ['POST', '/cancel'],
    ['POST', '/retry'],
  ] as const)('get the same answer to %s …%s of another as of none at all', async (method, rest) => {
    const api = await withKeys();
    const theirs = (await submit(api, 'globex')).body.id as string;
    const none = `${theirs.slice(0, -8)}00000000`;
    const ask = (id: string) =>
      call(api, method, `/v1/tasks/${id}${rest}`, { headers: as('acme'), ...(method === 'POST' && { body: {} }) });
    const [hidden, missing] = [await ask(theirs), await ask(none)];
    expect(hidden.status).toBe(404);
    expect(faceOf(hidden, theirs)).toEqual(faceOf(missing, none));
    const { body } = await call(api, 'GET', `/v1/tasks/${theirs}`, { headers: as('globex') });
    expect(body).toMatchObject({ id: theirs, state: 'queued', version: 1 });
  });

  it('list their own tasks alone, with whatever filter', async () => {
    const api = await withKeys();
    await submit(api, 'globex', { correlationId: 'c', labels: { a: 'b' } });
    const own = (await submit(api, 'acme', { correlationId: 'c', labels: { a: 'b' } })).body.id;
    const ids = async (query: string) =>
      (await call(api, 'GET', `/v1/tasks${query}`, { headers: as('acme') })).body.tasks.map(
        (t: { id: string }) => t.id,
      );
    for (const query of ['', '?tenant=acme', '?correlationId=c', '?label=a%3Db', '?state=queued'])
      expect([query, await ids(query)]).toEqual([query, [own]]);
    const foreign = await call(api, 'GET', '/v1/tasks?tenant=globex', { headers: as('acme') });
    const unknown = await call(api, 'GET', '/v1/tasks?tenant=nobody', { headers: as('acme') });
    expect(foreign.body).toEqual(unknown.body);
    expect(foreign.body).toEqual({ tasks: [], nextCursor: null });
    const all = await call(api, 'GET', '/v1/tasks', { headers: as('reader') });
    expect(all.body.tasks).toHaveLength(2);
  });

  it('are shown no id of another in a cursor', async () => {
    const api = await withKeys();
    const theirs = (await submit(api, 'globex')).body.id as string;
    await submit(api, 'acme');
    const { body } = await call(api, 'GET', '/v1/tasks?limit=1', { headers: as('acme') });
    expect(body.nextCursor).toMatch(/0{8}$/);
    expect(theirs).not.toBe(body.nextCursor);
  });

  it('submit into their own, said or not, and into no other, alone and in a batch', async () => {
    const api = await withKeys();
    expect((await submit(api, 'acme')).body.tenant).toBe('acme');
    expect((await submit(api, 'acme', { tenant: 'acme' })).body.tenant).toBe('acme');
    const refused = await submit(api, 'acme', { tenant: 'globex' });
    expect([refused.status, refused.body.error.code]).toEqual([403, 'FORBIDDEN']);
    const tasks = ['acme', 'globex', undefined].map((tenant) => ({ agent: 'echo', input: {}, tenant }));
    const { body } = await call(api, 'POST', '/v1/tasks/batch', { headers: as('acme'), body: { tasks } });
    expect(body.results.map(({ status }: { status: number }) => status)).toEqual([201, 403, 201]);
    expect((await submit(api, 'writer', { tenant: 'globex' })).body.tenant).toBe('globex');
  });

  it('have keys of their own for the same task', async () => {
    const api = await withKeys();
    const [a, b] = [await submit(api, 'acme', { key: 'k' }), await submit(api, 'globex', { key: 'k' })];
    expect([a.status, b.status]).toEqual([201, 201]);
    expect(a.body.id).not.toBe(b.body.id);
    const again = await submit(api, 'acme', { key: 'k', tenant: 'acme' });
    expect([again.status, again.body.id]).toEqual([200, a.body.id]);
  });
});
