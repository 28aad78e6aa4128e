import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openAccess, watchAccess } from '../src/access-files.ts';
import { type RunningSystem, startSystem } from '../src/app.ts';
import { createClient } from '../src/client/http-client.ts';
import { hashOfApiKey } from '../src/config/api-keys.ts';
import { type Config, loadConfig } from '../src/config/load.ts';
import type { Observation } from '../src/runtime/observer.ts';
import { systemRuntime } from '../src/runtime/system-runtime.ts';
import { Authority } from './support/certificates.ts';

/** A whole system on real files: what is written into them counts a moment later, what is broken changes nothing. */

let dir: string;
let ours: Authority;
let others: Authority;
let system: RunningSystem | undefined;
let seen: Observation[] = [];

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'access-'));
  ours = new Authority('ours');
  others = new Authority('others');
});

afterEach(async () => {
  await system?.stop();
  system = undefined;
});

afterAll(() => {
  rmSync(dir, { recursive: true });
  ours.remove();
  others.remove();
});

function write(name: string, content: unknown): string {
  const path = join(dir, name);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

function configOf(env: Record<string, string>): Config {
  return loadConfig({
    env: { AGENT_ROLE: 'all', COORDINATOR_PORT: '0', LOG_LEVEL: 'silent', ...env },
    readFile: (path) => readFileSync(path, 'utf8'),
    hostname: 'here',
    randomId: () => 'abcdef',
  })!;
}

async function start(env: Record<string, string>): Promise<string> {
  seen = [];
  system = await startSystem(configOf(env), { onObservation: (observation) => void seen.push(observation) });
  await system.ready;
  return system.url!;
}

/** Until it is so; the files are looked at every second. */
async function eventually(check: () => boolean | Promise<boolean>): Promise<void> {
  for (let tried = 0; tried < 100; tried++) {
    if (await check()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('it did not become so within 5 s');
}

const told = (type: Observation['type']) => seen.filter((observation) => observation.type === type);
const keyEntry = (key: string) => ({ name: key, hash: `sha256:${hashOfApiKey(key)}`, scopes: ['tasks:read'] });

describe('a running system', () => {
  it('reads its keys again when their file changes, and keeps them when it is broken', async () => {
    const file = write('keys.json', [keyEntry('first')]);
    const url = await start({ API_KEYS_FILE: file });
    const ask = async (key: string) => (await fetch(`${url}/v1/tasks`, { headers: { 'x-api-key': key } })).status;
    expect([await ask('first'), await ask('second')]).toEqual([200, 401]);
    write('keys.json', '[{');
    await eventually(() => told('access.unreadable').length === 1);
    expect(await ask('first')).toBe(200);
    write('keys.json', [keyEntry('second')]);
    await eventually(async () => (await ask('second')) === 200);
    expect(await ask('first')).toBe(401);
    expect(told('access.changed')).toEqual([{ type: 'access.changed', files: [file] }]);
  });

  it('reads the keys of tokens again', async () => {
    const [old, next] = [await generateKeyPair('EdDSA'), await generateKeyPair('EdDSA')];
    const jwks = async (pair: typeof old) => ({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'k' }] });
    const file = write('jwks.json', await jwks(old));
    const url = await start({ JWT_ISSUER: 'https://i', JWT_AUDIENCE: 'us', JWKS_FILE: file });
    const token = (pair: typeof old) =>
      new SignJWT({ scope: 'tasks:write', tenant: 'acme' })
        .setProtectedHeader({ alg: 'EdDSA', kid: 'k' })
        .setIssuer('https://i')
        .setAudience('us')
        .setSubject('ann')
        .setExpirationTime('5m')
        .sign(pair.privateKey);
    const ask = async (pair: typeof old) =>
      (await fetch(`${url}/v1/tasks`, { headers: { authorization: `Bearer ${await token(pair)}` } })).status;
    expect([await ask(old), await ask(next)]).toEqual([200, 401]);
    write('jwks.json', await jwks(next));
    await eventually(async () => (await ask(next)) === 200);
    expect(await ask(old)).toBe(401);
    const mine = createClient({ url, apiKey: await token(next) });
    const handle = await mine.submit('echo', { text: 'hi' });
    expect([(await handle.task()).tenant, await handle.result()]).toEqual(['acme', { text: 'hi' }]);
  });

  it('serves HTTPS with another certificate once its files hold it, and not with half of one', async () => {
    const serve = (authority: Authority, name: string) => authority.sign(name, 'IP:127.0.0.1');
    const [first, next] = [serve(ours, 'first'), serve(others, 'next')];
    const A2A_CERT_PATH = write('cert.pem', first.cert);
    const A2A_KEY_PATH = write('key.pem', first.key);
    const A2A_CA_PATH = write('ca.pem', ours.pem);
    const url = await start({ A2A_USE_MTLS: 'true', A2A_CERT_PATH, A2A_KEY_PATH, A2A_CA_PATH });
    expect(url).toMatch(/^https:/);
    const as = ({ cert, key }: { cert: string; key: string }, ca: string) =>
      createClient({ url, tls: { ca, cert, key } });
    expect(await as(first, ours.pem).agents()).not.toEqual([]);
    write('cert.pem', next.cert);
    await eventually(() => told('access.unreadable').length === 1);
    expect(await as(first, ours.pem).agents()).not.toEqual([]);
    write('key.pem', next.key);
    write('ca.pem', others.pem);
    // The files are written one after the other, so a look in between may see only some of them.
    await eventually(() =>
      as(next, others.pem)
        .agents()
        .then(
          () => true,
          () => false,
        ),
    );
    await expect(as(first, others.pem).retry('0'.repeat(25))).rejects.toThrow(/its authority is not one of ours/);
  });

  it('takes another certificate over, and not again the one it serves: that would cut connections', async () => {
    const [first, next] = [ours.sign('same', 'IP:127.0.0.1'), ours.sign('next', 'IP:127.0.0.1')];
    const env = {
      A2A_CERT_PATH: write('same-cert.pem', first.cert),
      A2A_KEY_PATH: write('same-key.pem', first.key),
    };
    const config = configOf(env);
    const replaced: string[] = [];
    const stop = new AbortController();
    const replaceTls = ({ cert }: { cert: string }) => void replaced.push(cert);
    const parts = openAccess(config, systemRuntime);
    watchAccess({ config, parts, replaceTls, runtime: systemRuntime, signal: stop.signal, observe: () => undefined });
    // Long enough for two looks.
    await new Promise((resolve) => setTimeout(resolve, 1_300));
    expect(replaced).toEqual([]);
    write('same-cert.pem', next.cert);
    write('same-key.pem', next.key);
    await eventually(() => replaced.length > 0);
    stop.abort();
    expect(replaced).toEqual([next.cert]);
  });
});
