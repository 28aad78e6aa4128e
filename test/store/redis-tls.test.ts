/** TLS to a real server: what is let in, and the sentence for each thing that can be wrong with it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RedisAddress } from '../../src/store/redis/address.ts';
import { createRedisStore } from '../../src/store/redis/redis-store.ts';
import { Authority, type Certificate } from '../support/certificates.ts';
import { freePort, type RedisServer, startRedis } from '../support/redis-server.ts';

let authority: Authority;
let foreign: Authority;
let good: Certificate;
let client: Certificate;
let plain: RedisServer;
const servers: RedisServer[] = [];

beforeAll(async () => {
  authority = new Authority();
  foreign = new Authority('foreign-authority');
  good = authority.sign('server', 'IP:127.0.0.1');
  client = authority.sign('client', 'DNS:client');
  plain = await startRedis();
  servers.push(plain);
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  authority.remove();
  foreign.remove();
});

/** The port of a server that speaks TLS with this certificate. */
async function tlsPort(certificate: Certificate, authClients: 'yes' | 'no'): Promise<number> {
  const port = await freePort();
  const { certFile, keyFile } = certificate;
  const files = ['--tls-cert-file', certFile, '--tls-key-file', keyFile, '--tls-ca-cert-file', authority.file];
  servers.push(await startRedis('--tls-port', String(port), ...files, '--tls-auth-clients', authClients));
  return port;
}

async function check(connection: RedisAddress) {
  const store = createRedisStore({ connection, prefix: 'tls', shards: 1 });
  try {
    return await store.check();
  } finally {
    await store.close();
  }
}

const tls = (over: Partial<NonNullable<RedisAddress['tls']>> = {}) => ({ verify: true, ca: authority.pem, ...over });

describe('TLS', () => {
  let port: number;
  let mutual: number;
  beforeAll(async () => {
    port = await tlsPort(good, 'no');
    mutual = await tlsPort(good, 'yes');
  });

  it('works with an authority of its own, with a client certificate where one is wanted, and unchecked', async () => {
    const { cert, key } = client;
    expect((await check({ port, tls: tls() })).problems).toEqual([]);
    expect((await check({ port: mutual, tls: tls({ cert, key }) })).problems).toEqual([]);
    expect((await check({ port, tls: { verify: false } })).problems).toEqual([]);
  });

  it.each<[what: string, address: () => RedisAddress | Promise<RedisAddress>, sentence: RegExp]>([
    [
      'an authority that is not known',
      () => ({ port, tls: { verify: true } }),
      /signed by an authority that is not known here.*REDIS_CA_FILE/,
    ],
    ['a foreign authority', () => ({ port, tls: tls({ ca: foreign.pem }) }), /not known here.*REDIS_CA_FILE/],
    [
      'a certificate that has run out',
      async () => ({ port: await tlsPort(authority.sign('old', 'IP:127.0.0.1', -1), 'no'), tls: tls() }),
      /certificate has expired; wanted a certificate of Redis that is valid now: renew it/,
    ],
    [
      'a certificate for another host',
      async () => ({ port: await tlsPort(authority.sign('other', 'DNS:redis.example'), 'no'), tls: tls() }),
      /127\.0\.0\.1 is not in the cert's list.*use a host that it names/,
    ],
    [
      'no client certificate where one is wanted',
      () => ({ port: mutual, tls: tls() }),
      /Redis wants a certificate of its clients and got none: set REDIS_CERT_FILE and REDIS_KEY_FILE/,
    ],
    [
      'a client certificate of a foreign authority',
      () => {
        const { cert, key } = foreign.sign('client', 'DNS:client');
        return { port: mutual, tls: tls({ cert, key }) };
      },
      /Redis refused the certificate of this process.*REDIS_CERT_FILE/,
    ],
    [
      'a key of another certificate',
      () => ({ port: mutual, tls: tls({ cert: client.cert, key: good.key }) }),
      /TLS to Redis cannot be prepared.*REDIS_CERT_FILE and REDIS_KEY_FILE/,
    ],
    ['TLS to a plain port', () => ({ port: plain.port, tls: tls() }), /speaks no TLS.*REDIS_USE_TLS=false/],
    ['plain text to a port for TLS', () => ({ port }), /the port speaks TLS.*REDIS_USE_TLS=true/],
  ])('refuses %s, and says what to change', async (_, address, sentence) => {
    const failure = check(await address());
    await expect(failure).rejects.toMatchObject({ code: 'STORE_MISCONFIGURED' });
    await expect(failure).rejects.toThrow(sentence);
  });
});
