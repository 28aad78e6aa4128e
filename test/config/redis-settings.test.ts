import { describe, expect, it } from 'vitest';
import { filesOf, GOOD_SECRET, load, problemsOf } from './builders.ts';

const KEY = { A2A_TOKEN_SECRET: GOOD_SECRET };
const address = (env: Record<string, string>) => {
  const { redis } = load({ ...KEY, ...env });
  return redis && [redis.host, redis.port, redis.db, redis.username, redis.password, redis.tls !== null];
};

describe('where Redis is', () => {
  it.each<[Record<string, string>, unknown]>([
    [{}, null],
    [{ REDIS_KEY_PREFIX: 'x' }, null],
    [{ REDIS_USE_TLS: 'false' }, null],
    [{ REDIS_PASSWORD: '' }, null],
    [{ BROKER: 'redis' }, ['127.0.0.1', 6379, 0, null, null, false]],
    [{ BROKER: 'memory', REDIS_HOST: 'r' }, null],
    [{ REDIS_URL: 'redis://r' }, ['r', 6379, 0, null, null, false]],
    [{ REDIS_URL: 'redis://u:p%40ss@r:7/3' }, ['r', 7, 3, 'u', 'p@ss', false]],
    [{ REDIS_URL: 'redis://:pw1@r:7' }, ['r', 7, 0, null, 'pw1', false]],
    [{ REDIS_URL: 'redis://:100%@r' }, ['r', 6379, 0, null, '100%', false]],
    [{ REDIS_URL: 'rediss://[::1]:7/' }, ['::1', 7, 0, null, null, true]],
    [{ REDIS_URL: 'redis://r', REDIS_PASSWORD: 'pw1', REDIS_DB: '2' }, ['r', 6379, 2, null, 'pw1', false]],
    [{ REDIS_URL: 'redis://r', REDIS_USE_TLS: 'true' }, ['r', 6379, 0, null, null, true]],
    [{ REDIS_URL: 'redis://r/2', REDIS_DB: '2', REDIS_HOST: 'r' }, ['r', 6379, 2, null, null, false]],
    [{ REDIS_HOST: 'r' }, ['r', 6379, 0, null, null, false]],
    [{ REDIS_HOST: 'r:7' }, ['r', 7, 0, null, null, false]],
    [{ REDIS_HOST: '::1' }, ['::1', 6379, 0, null, null, false]],
    [{ REDIS_HOST: '[::1]:7' }, ['::1', 7, 0, null, null, false]],
    [{ REDIS_HOST: 'rediss://u:pw1@r:7/1' }, ['r', 7, 1, 'u', 'pw1', true]],
    [{ REDIS_PORT: '7' }, ['127.0.0.1', 7, 0, null, null, false]],
    [{ REDIS_HOST: 'r', REDIS_USE_TLS: 'true' }, ['r', 6379, 0, null, null, true]],
  ])('reads %j', (env, expected) => {
    expect(address(env)).toEqual(expected);
  });

  it.each<[Record<string, string>, string]>([
    [{ REDIS_URL: 'r:6379' }, 'REDIS_URL is "r:6379", wanted a URL such as redis://'],
    [{ REDIS_URL: 'http://r' }, 'REDIS_URL is "http://r", wanted a URL'],
    [{ REDIS_URL: 'redis://r/zero' }, 'REDIS_URL is "redis://r/zero", wanted a URL'],
    [{ REDIS_URL: 'redis://' }, 'REDIS_URL is "redis://", wanted a URL'],
    [{ REDIS_HOST: 'r:port' }, 'REDIS_HOST is "r:port", wanted a host, host:port, or a URL'],
    [{ REDIS_HOST: 'r:99999' }, 'REDIS_HOST is "r:99999", wanted a host'],
    [
      { REDIS_URL: 'redis://a', REDIS_HOST: 'b' },
      'The host of Redis is given twice and differs (REDIS_URL says "a", REDIS_HOST says "b")',
    ],
    [
      { REDIS_URL: 'redis://a:1', REDIS_PORT: '2' },
      'The port of Redis is given twice and differs (REDIS_URL says "1", REDIS_PORT says "2")',
    ],
    [
      { REDIS_URL: 'rediss://a', REDIS_USE_TLS: 'false' },
      'The tls of Redis is given twice and differs (REDIS_URL says "true", REDIS_USE_TLS says "false")',
    ],
    [{ REDIS_HOST: 'a', REDIS_KEY_PREFIX: 'a{b}' }, 'REDIS_KEY_PREFIX is "a{b}"'],
    [{ REDIS_URL: 'redis://:secret@a' }, 'The password in the URL of Redis is a placeholder'],
    [{ REDIS_HOST: 'a', REDIS_CA_FILE: '/ca.pem' }, 'REDIS_CA_FILE set but TLS is off'],
  ])('refuses %j', (env, problem) => {
    expect(problemsOf({ ...KEY, ...env })).toEqual([expect.stringContaining(problem)]);
  });

  it('never shows a password, wherever it stands', () => {
    const tries: Record<string, string>[] = [
      { REDIS_URL: 'redis://u:hunter2@r/zero' },
      { REDIS_HOST: 'hunter2@r:x' },
      { REDIS_URL: 'redis://:hunter2@r', REDIS_PASSWORD: 'hunter3' },
      { REDIS_HOST: 'redis://:hunter2@r?x=hunter2' },
    ];
    for (const env of tries) expect(problemsOf({ ...KEY, ...env }).join()).not.toMatch(/hunter/);
    expect(problemsOf({ ...KEY, ...tries[2]! })).toHaveLength(1);
    expect(load({ ...KEY, ...tries[3]! }).warnings).toEqual(['REDIS_HOST has a query (x), which has no effect']);
  });
});

describe('servers that sentinels or a cluster name', () => {
  const redis = (env: Record<string, string>) => load({ ...KEY, SHARDS: '6', ...env }).redis;

  it('reads sentinels with the name of the master, and who they are asked as', () => {
    const env = { REDIS_SENTINELS: 's1, s2:7,[::1]:8', REDIS_MASTER_NAME: 'm', REDIS_PASSWORD: 'pw1', REDIS_DB: '2' };
    const nodes = [
      { host: 's1', port: 26_379 },
      { host: 's2', port: 7 },
      { host: '::1', port: 8 },
    ];
    const sentinel = { nodes, masterName: 'm', username: null, password: null };
    expect(redis(env)).toMatchObject({ sentinel, cluster: null, password: 'pw1', db: 2 });
    const asked = { ...env, REDIS_SENTINEL_USERNAME: 'u', REDIS_SENTINEL_PASSWORD: 'pw2' };
    expect(redis(asked)?.sentinel).toEqual({ ...sentinel, username: 'u', password: 'pw2' });
  });

  it('reads nodes of a cluster', () => {
    const env = { REDIS_CLUSTER_NODES: 'a,b:7000', REDIS_USERNAME: 'u', REDIS_PASSWORD: 'pw1' };
    const nodes = [
      { host: 'a', port: 6_379 },
      { host: 'b', port: 7_000 },
    ];
    expect(redis(env)).toMatchObject({ cluster: { nodes }, sentinel: null, username: 'u', password: 'pw1' });
    expect(load({ ...KEY, ...env }).warnings).toEqual([expect.stringContaining('SHARDS is 1: one node')]);
    expect(load({ ...KEY, ...env, SHARDS: '6' }).warnings).toEqual([]);
  });

  it.each<[Record<string, string>, string]>([
    [{ REDIS_SENTINELS: 'a:x' }, 'REDIS_SENTINELS is "a:x", wanted at most 32 of host:port'],
    [{ REDIS_CLUSTER_NODES: 'redis://a:1' }, 'REDIS_CLUSTER_NODES is "redis://a:1", wanted at most 64 of host:port'],
    [{ REDIS_SENTINELS: 'a' }, 'REDIS_SENTINELS is set without REDIS_MASTER_NAME'],
    [{ REDIS_MASTER_NAME: 'm' }, 'REDIS_MASTER_NAME set without REDIS_SENTINELS'],
    [{ REDIS_URL: 'redis://r', REDIS_SENTINEL_PASSWORD: 'pw1' }, 'REDIS_SENTINEL_PASSWORD set without REDIS_SENTINELS'],
    [
      { REDIS_SENTINELS: 'a', REDIS_MASTER_NAME: 'm', REDIS_URL: 'redis://r', REDIS_PORT: '6379' },
      'REDIS_URL, REDIS_PORT set beside REDIS_SENTINELS: keep one of them',
    ],
    [{ REDIS_CLUSTER_NODES: 'a', REDIS_HOST: 'r' }, 'REDIS_HOST set beside REDIS_CLUSTER_NODES: keep one of them'],
    [
      { REDIS_CLUSTER_NODES: 'a', REDIS_SENTINELS: 'b', REDIS_MASTER_NAME: 'm' },
      'REDIS_SENTINELS and REDIS_CLUSTER_NODES are both set',
    ],
    [{ REDIS_CLUSTER_NODES: 'a', REDIS_DB: '1' }, 'REDIS_DB is 1, wanted 0'],
  ])('refuses %j', (env, problem) => {
    expect(problemsOf({ ...KEY, SHARDS: '6', ...env })).toEqual([expect.stringContaining(problem)]);
  });
});

describe('TLS to Redis', () => {
  const readFile = filesOf({ '/ca': '-----BEGIN CERTIFICATE-----', '/key': '-----BEGIN PRIVATE KEY-----', '/no': 'x' });
  const BASE = { ...KEY, REDIS_URL: 'rediss://r' };

  it('reads its files, and checks the certificate unless told not to', () => {
    const tls = (env: Record<string, string>) => load({ ...BASE, ...env }, { readFile }).redis?.tls;
    expect(tls({})).toEqual({ verify: true, ca: null, cert: null, key: null });
    expect(tls({ REDIS_SSL_CERT_REQS: 'optional' })?.verify).toBe(true);
    expect(tls({ REDIS_SSL_CERT_REQS: 'none' })?.verify).toBe(false);
    expect(tls({ REDIS_CA_FILE: '/ca', REDIS_CERT_FILE: '/ca', REDIS_KEY_FILE: '/key' })).toEqual({
      verify: true,
      ca: '-----BEGIN CERTIFICATE-----',
      cert: '-----BEGIN CERTIFICATE-----',
      key: '-----BEGIN PRIVATE KEY-----',
    });
  });

  it.each<[Record<string, string>, string]>([
    [{ REDIS_CA_FILE: '/gone' }, 'REDIS_CA_FILE names /gone, which cannot be read (ENOENT)'],
    [{ REDIS_CA_FILE: '/no' }, 'REDIS_CA_FILE names /no, which is no PEM file'],
    [{ REDIS_CERT_FILE: '/ca' }, 'REDIS_CERT_FILE and REDIS_KEY_FILE belong together'],
    [{ REDIS_SSL_CERT_REQS: 'maybe' }, 'REDIS_SSL_CERT_REQS is "maybe", wanted one of required, optional, none'],
  ])('refuses %j', (env, problem) => {
    expect(problemsOf({ ...BASE, ...env }, { readFile })).toEqual([expect.stringContaining(problem)]);
  });
});
