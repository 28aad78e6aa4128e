import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashOfApiKey } from '../../src/config/api-keys.ts';
import { Authority, type Certificate } from '../support/certificates.ts';
import { filesOf, load, problemsOf } from './builders.ts';

const HASH = `sha256:${hashOfApiKey('a-key')}`;
const entry = (over: object = {}) => ({ name: 'ci', hash: HASH, scopes: ['tasks:write'], ...over });
const withFile = (text: string) => ({ readFile: filesOf({ '/f': text }) });

describe('API_KEYS_FILE', () => {
  it('is read as a list of entries, or an object with one', () => {
    const wanted = { name: 'ci', hash: hashOfApiKey('a-key'), scopes: ['tasks:write'], tenant: 'acme', expiresAt: 0 };
    const given = [
      entry({ hash: HASH.toUpperCase().replace('SHA', 'sha'), tenant: 'acme', expiresAt: '1970-01-01T00:00:00Z' }),
    ];
    for (const text of [JSON.stringify(given), JSON.stringify({ keys: given })]) {
      const { access } = load({ API_KEYS_FILE: '/f' }, withFile(text));
      expect(access.apiKeys).toEqual({ file: '/f', keys: [wanted] });
    }
  });

  it.each<[string, unknown, string]>([
    ['text', 'keys', 'it is not JSON'],
    ['no list', {}, 'keys: Invalid input'],
    ['no hash', [entry({ hash: 'a-key-itself' })], '[0].hash: wanted sha256: and 64 hexadecimal digits'],
    ['an unknown scope', [entry({ scopes: ['root'] })], '[0].scopes[0]: wanted tasks:read, tasks:write, admin'],
    ['no scope', { keys: [entry({ scopes: [] })] }, 'keys[0].scopes: Too small'],
    ['no name', [entry(), entry({ name: '' })], '[1].name: Too small'],
    ['an unknown field', [entry({ key: 'a-key' })], '[0]: Unrecognized key: "key"'],
    ['an empty tenant', [entry({ tenant: '' })], '[0].tenant: Too small'],
    ['a time that is none', [entry({ expiresAt: 'tomorrow' })], '[0].expiresAt: wanted a time such as'],
    ['an admin of a tenant', [entry({ tenant: 'acme', scopes: ['admin'] })], '[0]: has a tenant and the scope admin'],
    ['one key twice', [entry(), entry({ name: 'other' })], 'the hash of "other" is there more than once'],
  ])('with %s is refused by place, without showing what was found', (_, content, problem) => {
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    const problems = problemsOf({ API_KEYS_FILE: '/f' }, withFile(text));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(`API_KEYS_FILE names /f: ${problem}`);
    expect(problems[0]).not.toContain('a-key');
  });

  it('that is not there is refused', () => {
    expect(problemsOf({ API_KEYS_FILE: '/g' })).toEqual(['API_KEYS_FILE names /g, which cannot be read (ENOENT)']);
  });
});

describe('tokens', () => {
  const JWT = { JWT_ISSUER: 'https://i', JWT_AUDIENCE: 'a', JWKS_FILE: '/f' };
  const jwks = { keys: [{ kty: 'EC', crv: 'P-256', x: 'x', y: 'y' }] };

  it('need issuer, audience and keys together', () => {
    expect(load(JWT, withFile(JSON.stringify(jwks))).access.jwt).toEqual({
      issuer: 'https://i',
      audience: 'a',
      file: '/f',
      jwks,
    });
    expect(problemsOf({ JWT_ISSUER: 'i' })).toEqual([
      'JWT_ISSUER, JWT_AUDIENCE, JWKS_FILE belong together: set JWT_AUDIENCE and JWKS_FILE too',
    ]);
  });

  it.each<[string, string]>([
    ['{', 'it is not JSON'],
    ['[]', 'wanted a JWK set'],
    ['{"keys":[]}', 'wanted a JWK set'],
    ['{"keys":[{"kty":"oct","k":"AAAA"}]}', 'keys[0] is of the kind "oct", wanted a JWK set'],
    ['{"keys":[{"kty":"EC","d":"secret"}]}', 'keys[0] holds a private key, wanted public ones only'],
  ])('are refused with the keys %s', (text, problem) => {
    expect(problemsOf(JWT, withFile(text))[0]).toContain(`JWKS_FILE names /f: ${problem}`);
  });
});

describe('a public HOST', () => {
  const PUBLIC = { HOST: '0.0.0.0' };

  it.each<[string, Record<string, string>]>([
    ['a file of keys', { API_KEYS_FILE: '/f' }],
    ['a key', { API_KEY: 'k7Jw2mQx9vB4nR8t' }],
    ['a reason', { ALLOW_NO_AUTH: 'a closed network' }],
  ])('is taken with %s', (_, env) => {
    expect(problemsOf({ ...PUBLIC, ...env }, withFile('[]'))).toEqual([]);
  });

  it.each<[string, Record<string, string>]>([
    ['nothing', {}],
    ['a token for metrics', { METRICS_TOKEN: 'k7Jw2mQx9vB4nR8t' }],
    ['a limit', { RATE_LIMIT: '1/1s' }],
    ['client certificates turned off', { A2A_USE_MTLS: 'false' }],
  ])('is refused with %s', (_, env) => {
    expect(problemsOf({ ...PUBLIC, ...env })[0]).toMatch(/^HOST "0.0.0.0" can be reached .* set API_KEY/);
  });
});

describe('HTTPS', () => {
  let authority: Authority;
  let server: Certificate;
  let other: Certificate;

  beforeAll(() => {
    authority = new Authority();
    server = authority.sign('server', 'IP:127.0.0.1');
    other = authority.sign('other', 'IP:127.0.0.1');
  });

  afterAll(() => authority.remove());

  const files = () => ({
    readFile: filesOf({ '/c': server.cert, '/k': server.key, '/ca': authority.pem, '/x': other.key, '/n': 'nothing' }),
  });
  const ALL = { A2A_USE_MTLS: 'true', A2A_CERT_PATH: '/c', A2A_KEY_PATH: '/k', A2A_CA_PATH: '/ca' };

  it('is off by default, on with a certificate and its key, and asks clients with A2A_USE_MTLS', () => {
    expect(load({}).tls).toBeNull();
    const plain = load({ A2A_CERT_PATH: '/c', A2A_KEY_PATH: '/k' }, files()).tls;
    expect(plain).toEqual({
      files: { cert: '/c', key: '/k', ca: null },
      pem: { cert: server.cert, key: server.key, ca: null },
    });
    expect(load(ALL, files()).tls?.pem.ca).toBe(authority.pem);
  });

  it('counts as what keeps strangers out only where clients are asked', () => {
    expect(problemsOf({ HOST: '0.0.0.0', ...ALL }, files())).toEqual([]);
    const plain = { HOST: '0.0.0.0', A2A_CERT_PATH: '/c', A2A_KEY_PATH: '/k' };
    expect(problemsOf(plain, files())).toHaveLength(1);
  });

  it('warns of authorities that nobody asks', () => {
    const { A2A_USE_MTLS: _, ...rest } = ALL;
    expect(load(rest, files()).warnings[0]).toContain('A2A_CA_PATH has no effect on a role without A2A_USE_MTLS=true');
  });

  it.each<[string, Record<string, string>, string]>([
    ['nothing but A2A_USE_MTLS', { A2A_USE_MTLS: 'true' }, 'set A2A_CERT_PATH and A2A_KEY_PATH and A2A_CA_PATH too'],
    [
      'no authority',
      { ...ALL, A2A_CA_PATH: '' },
      'A2A_USE_MTLS, A2A_CERT_PATH, A2A_KEY_PATH, A2A_CA_PATH belong together: set A2A_CA_PATH too',
    ],
    ['no key', { A2A_CERT_PATH: '/c' }, 'A2A_CERT_PATH, A2A_KEY_PATH belong together: set A2A_KEY_PATH too'],
    ['a file that is not there', { ...ALL, A2A_KEY_PATH: '/gone' }, 'A2A_KEY_PATH names /gone, which cannot be read'],
    ['the key of another', { ...ALL, A2A_KEY_PATH: '/x' }, 'they make no certificate with its key'],
    ['a key as certificate', { ...ALL, A2A_CERT_PATH: '/k' }, 'they make no certificate with its key'],
    ['authorities that are none', { ...ALL, A2A_CA_PATH: '/n' }, 'the authorities of A2A_CA_PATH hold no certificate'],
  ])('is refused with %s', (_, env, problem) => {
    const problems = problemsOf(env, files());
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(problem);
  });
});

describe('limits', () => {
  it('are read with their unit', () => {
    const read = (RATE_LIMIT: string) => load({ RATE_LIMIT }).access.rateLimit;
    expect([read('600/1m'), read('50 / 1s'), read('off')]).toEqual([
      { max: 600, perMs: 60_000 },
      { max: 50, perMs: 1_000 },
      null,
    ]);
  });

  it.each(['600', '0/1m', '-1/1m', '600/m', '600/0s', '600/2d', '1e3/1m', '600/1m/1'])('are refused as %s', (text) => {
    expect(problemsOf({ RATE_LIMIT: text })).toEqual([
      `RATE_LIMIT is "${text}", wanted a count per time from 1ms to 24h, such as 600/1m or 50/1s, or off`,
    ]);
  });

  it('take the word of named proxies only', () => {
    expect(load({ TRUST_PROXY: '10.0.0.0/8, ::1,loopback' }).access.trustProxy).toEqual([
      '10.0.0.0/8',
      '::1',
      'loopback',
    ]);
    for (const text of ['true', '*', '0.0.0.0/0', '::/0', '10.0.0.0/33', '10.0.0.0/8/8', 'proxy.example', '10.0.0'])
      expect([text, problemsOf({ TRUST_PROXY: text }).length]).toEqual([text, 1]);
  });
});
