/**
 * Every secret that a system can be given is a canary here: a value of its own that must not be seen anywhere, in any
 * spelling, whatever goes wrong. Then a lot goes wrong, and everything that the system shows is searched.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { deriveWorkerKey, formatWorkerKey } from '../../src/message/worker-key.ts';
import { Authority } from '../support/certificates.ts';
import { type Cluster, emptyCluster } from './support/cluster.ts';
import { pause, within } from './support/eventually.ts';
import { RedisProcess } from './support/redis-process.ts';
import { BIN, RoleProcess } from './support/role-process.ts';
import { spoiled } from './support/spoiled.ts';

const AGENTS = fileURLToPath(new URL('./support/telling-agents.mjs', import.meta.url));
/** What is searched for. Around it stand characters that look otherwise in a URL and in JSON. */
const cores: string[] = [];

function canary(name: string): string {
  const core = createHash('sha256').update(name).digest('base64url').replaceAll(/[-_]/g, 'x').slice(0, 36);
  cores.push(core);
  return `${core}/+&%="`;
}

const secret = {
  redis: canary('redis'),
  wrongRedis: canary('wrong redis'),
  sentinel: canary('sentinel'),
  apiKey: canary('api key').replace('"', ''),
  wrongApiKey: canary('wrong api key').replace('"', ''),
  jwt: `${canary('jwt').slice(0, 36)}.${canary('jwt claims').slice(0, 36)}.${canary('jwt mac').slice(0, 36)}`,
  root: canary('root'),
  newRoot: canary('new root'),
  otherRoot: canary('other root'),
  tokenSecret: canary('token secret'),
  http: canary('http'),
  metrics: canary('metrics').replace('"', ''),
};

const roots = (...list: [string, string][]) =>
  list.map(([kid, text]) => `${kid}:${Buffer.from(text).toString('base64url')}`).join('\n');
const workerKey = (root: string) => {
  const key = deriveWorkerKey('w1', [{ kid: 'k1', secret: Buffer.from(root) }]);
  for (const generation of key.generations) for (let at = 0; at < 4; at++) keyCores.push(part(generation.secret, at));
  return formatWorkerKey(key);
};
const keyCores: Buffer[] = [];
const part = (bytes: string | Uint8Array, at: number) => Buffer.from(bytes).subarray(at * 32, at * 32 + 32);

/** The characters that stand for the inner bytes, wherever in something longer they begin. */
function base64(bytes: Buffer): string[] {
  return [0, 1, 2].flatMap((before) => {
    const padded = Buffer.concat([Buffer.alloc(before), bytes, Buffer.alloc(2)]);
    return (['base64', 'base64url'] as const).map((encoding) => padded.toString(encoding).slice(4, 40));
  });
}

function spellings(): string[] {
  const ofTexts = cores.flatMap((core) => [core, Buffer.from(core).toString('hex'), ...base64(Buffer.from(core))]);
  const ofKeys = keyCores.flatMap((key) => [key.toString('hex'), ...base64(key)]);
  return [...ofTexts, ...ofKeys, ...pemLines];
}

let authority: Authority;
let pemLines: string[] = [];
let folder: string;
let redis: RedisProcess;
let cluster: Cluster;
let deadUrl: string;
/** Where → what was shown there. */
const shown = new Map<string, string>();

const url = (port: number, password: string) => `redis://app:${encodeURIComponent(password)}@127.0.0.1:${port}/0`;
const file = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'agent-system-canaries-'));
  authority = new Authority();
  redis = await RedisProcess.start();
  await redis.call('ACL', 'SETUSER', 'app', 'on', `>${secret.redis}`, '~*', '&*', '+@all');
  const dead = await RedisProcess.start();
  deadUrl = url(dead.port, secret.redis);
  await dead.stop();
  await writeFile(file('keys'), roots(['k1', secret.root]));
  await writeFile(file('worker-key'), workerKey(secret.root));
  const hash = createHash('sha256').update(secret.apiKey).digest('hex');
  await writeFile(file('api-keys'), JSON.stringify([{ name: 'ops', hash: `sha256:${hash}`, scopes: ['admin'] }]));
  const settings = {
    REDIS_URL: url(redis.port, secret.redis),
    A2A_TOKEN_SECRET: '',
    MESSAGE_KEYS_FILE: file('keys'),
    API_KEY: secret.apiKey,
    METRICS_TOKEN: secret.metrics,
    HTTP_AGENT_SECRET: secret.http,
    LOG_LEVEL: 'debug',
    AGENTS,
  };
  cluster = await emptyCluster({ redis, settings });
  cluster.start('coordinator', 'c1');
  cluster.start('distributor', 'd1');
  const worker = { MESSAGE_KEYS_FILE: '', WORKER_KEY_FILE: file('worker-key'), LOG_FILE: file('w1.log') };
  cluster.start('worker', 'w1', worker);
  cluster.start('worker', 'stranger', { MESSAGE_KEYS_FILE: '', MESSAGE_KEYS: roots(['k1', secret.otherRoot]) });
  await Promise.all(['c1', 'd1'].map((id) => cluster.role(id).ready()));
});
afterAll(async () => {
  await cluster?.stop();
  authority?.remove();
  await rm(folder, { recursive: true, force: true });
});

async function ask(path: string, headers: Record<string, string> = {}, body?: unknown): Promise<string> {
  const init =
    body === undefined ? {} : { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) };
  const all = { 'content-type': 'application/json', ...headers };
  const at = `${await cluster.role('c1').url()}${path}`;
  const response = await fetch(at, { ...init, headers: all, signal: AbortSignal.timeout(5_000) });
  const text = `${response.status} ${JSON.stringify([...response.headers])} ${await response.text()}`;
  shown.set(`${init.method ?? 'GET'} ${path} #${shown.size}`, text);
  return text;
}

const mine = { 'x-api-key': secret.apiKey };

async function command(args: string[], env: Record<string, string>): Promise<void> {
  const { PATH = '', HOME = '' } = process.env;
  const options = { env: { PATH, HOME, ...env }, timeout: 20_000, cwd: folder };
  await new Promise<void>((resolve) => {
    execFile(process.execPath, [BIN, ...args], options, (error, stdout, stderr) => {
      shown.set(`${args.join(' ').slice(0, 20)} #${shown.size}`, `${error?.code ?? 0}\n${stdout}\n${stderr}`);
      resolve();
    });
  });
}

/** Until it says so, or else until it ends by itself. */
async function role(id: string, env: Record<string, string>, until?: string): Promise<RoleProcess> {
  const started = cluster.start('coordinator', id, env);
  if (until) {
    await started.says(until);
    started.signal('SIGTERM');
  }
  await started.exited;
  shown.set(`role ${id}`, started.text);
  return started;
}

/** Everything that stands in Redis, as text. */
async function stored(): Promise<string> {
  const keys = (await redis.call('KEYS', '*')) as string[];
  const reads: Record<string, (key: string) => [string, ...(string | number)[]]> = {
    string: (key) => ['GET', key],
    hash: (key) => ['HGETALL', key],
    set: (key) => ['SMEMBERS', key],
    list: (key) => ['LRANGE', key, 0, -1],
    zset: (key) => ['ZRANGE', key, 0, -1],
    stream: (key) => ['XRANGE', key, '-', '+'],
  };
  const values = keys.map(async (key) => [
    key,
    await redis.call(...reads[String(await redis.call('TYPE', key))]!(key)),
  ]);
  return JSON.stringify(await Promise.all(values));
}

it('runs tasks whose agents show all they know', async () => {
  await within(15_000, 'the worker has brought its agents', async () =>
    (await ask('/v1/agents', mine)).includes('indiscreet'),
  );
  for (const agent of ['indiscreet', 'failing', 'indiscreet']) {
    const made = await ask('/v1/tasks', mine, { agent, input: {}, retry: { maxAttempts: 2, backoffMs: 50 } });
    const { id } = JSON.parse(made.slice(made.indexOf('{"id"'))) as { id: string };
    await within(15_000, `${agent} fails`, async () =>
      (await ask(`/v1/tasks/${id}`, mine)).includes('"state":"failed"'),
    );
    for (const end of ['', '/result', '/history', '/why']) await ask(`/v1/tasks/${id}${end}`, mine);
  }
  expect([...shown.values()].join()).toContain('no luck with');
  expect(await readFile(file('w1.log'), 'utf8')).toContain('the environment is');
});

it('shows the whole of its outside', async () => {
  const open = ['/health', '/ready', '/status', '/metrics', '/openapi.json'];
  const lists = ['tasks', 'agents', 'tools', 'workers', 'instances', 'queues', 'deadletters', 'schedules', 'snapshot'];
  for (const path of open) {
    await ask(path);
    await ask(path, { ...mine, authorization: `Bearer ${secret.metrics}` });
  }
  for (const list of lists) await ask(`/v1/${list}`, mine);
  const stream = await fetch(`${await cluster.role('c1').url()}/v1/events`, { headers: mine });
  const reader = stream.body!.getReader();
  void ask('/v1/tasks', mine, { agent: 'failing', input: {} });
  const texts: string[] = [];
  await Promise.race([
    pause(1_500),
    (async () => {
      for (let n = 0; n < 20; n++) texts.push(Buffer.from((await reader.read()).value ?? []).toString());
    })(),
  ]);
  await reader.cancel();
  expect(texts.join('')).toContain('task.');
  shown.set('events', texts.join(''));
});

it('refuses callers, bodies and messages', async () => {
  const wrong: Record<string, string>[] = [
    { 'x-api-key': secret.wrongApiKey },
    { authorization: `Bearer ${secret.jwt}` },
    { authorization: `Basic ${Buffer.from(`ops:${secret.wrongApiKey}`).toString('base64')}` },
  ];
  for (const headers of wrong) for (const path of ['/v1/tasks', '/metrics', '/status']) await ask(path, headers);
  await ask('/v1/tasks', mine, '{"agent":');
  await ask('/v1/tasks', mine, { agent: 'nobody', input: {} });
  await ask('/v1/nothing', mine);
  const [, fields] = (await cluster.stream('lease:w1')).at(-1) ?? [];
  await redis.call('XADD', cluster.key('reports'), '*', 'e', spoiled(fields?.c ?? 'a.b.c'));
  await redis.call('XADD', cluster.key('reports'), '*', 'e', 'no envelope');
  await cluster.role('c1').says('Message rejected');
  await cluster.role('c1').says('Message signature verification failed');
  const at = await cluster.role('c1').url();
  await command(['tasks', 'list', '--url', at, '--api-key', secret.wrongApiKey], {});
  await command(['tasks', 'list', '--url', at], { API_KEY: secret.apiKey });
});

it('takes over a new key from its file', async () => {
  await writeFile(file('keys'), roots(['k2', secret.newRoot], ['k1', secret.root]));
  await cluster.role('c1').says('Message keys changed');
});

it('finds Redis away, refusing, or wrongly set', async () => {
  const own = { MESSAGE_KEYS_FILE: '', A2A_TOKEN_SECRET: secret.tokenSecret };
  await role('away', { ...own, REDIS_URL: deadUrl }, 'Redis connection failed');
  const refused = await role('refused', { ...own, REDIS_URL: url(redis.port, secret.wrongRedis) });
  expect(refused.exit?.code, refused.text).toBe(78);
  const sentinels = `127.0.0.1:${new URL(deadUrl).port}`;
  const bySentinel = {
    REDIS_URL: '',
    REDIS_SENTINELS: sentinels,
    REDIS_MASTER_NAME: 'm',
    REDIS_PASSWORD: secret.redis,
  };
  await role(
    'sentinel',
    { ...own, ...bySentinel, REDIS_SENTINEL_PASSWORD: secret.sentinel },
    'Redis connection failed',
  );
  const wrong = {
    REDIS_URL: `redis://app:${encodeURIComponent(secret.redis)}@127.0.0.1:port/0`,
    A2A_TOKEN_SECRET: secret.tokenSecret.slice(0, 20),
    MESSAGE_KEYS: roots(['k1', secret.root]).replace(':', ';'),
    WORKER_KEY: workerKey(secret.otherRoot).slice(0, -3),
    API_KEY: `${secret.apiKey.slice(0, 36)}\n`,
    API_KEYS_FILE: file('keys'),
    METRICS_TOKEN: secret.metrics.slice(0, 22),
    HTTP_AGENT_SECRET: secret.http.slice(0, 24),
    A2A_TOKEN_SECRT: secret.tokenSecret,
    LOG_LEVEL: 'debug',
  };
  const misconfigured = await role('misconfigured', { ...wrong, MESSAGE_KEYS_FILE: '' });
  expect(misconfigured.exit?.code, misconfigured.text).toBe(78);
  const base = { REDIS_URL: url(redis.port, secret.redis), API_KEY: secret.apiKey, METRICS_TOKEN: secret.metrics };
  await command(['doctor', '--role', 'coordinator'], { ...base, ...own, MESSAGE_KEYS_FILE: '' });
  await command(['doctor'], { ...base, ...own, REDIS_URL: deadUrl });
  await command(['doctor'], { ...base, ...own, REDIS_URL: url(redis.port, secret.wrongRedis) });
  await command(['doctor'], wrong);
});

it('serves HTTPS on the embedded store', async () => {
  const { certFile, keyFile, cert, key } = authority.sign('role', 'IP:127.0.0.1');
  pemLines = key.split('\n').filter((line) => line.length > 30 && !line.startsWith('-----'));
  const env = {
    A2A_USE_MTLS: 'true',
    A2A_CERT_PATH: certFile,
    A2A_KEY_PATH: keyFile,
    A2A_CA_PATH: authority.file,
    A2A_TOKEN_SECRET: secret.tokenSecret,
    COORDINATOR_PORT: '0',
    LOG_LEVEL: 'debug',
    LOG_FORMAT: 'pretty',
    LOG_FILE: file('all.log'),
    BROKER: 'memory',
    AGENTS,
  };
  const all = new RoleProcess('all', 'all', env);
  try {
    const at = await within(
      15_000,
      'it listens',
      async () => /url=(https:\S+)/.exec(await readFile(file('all.log'), 'utf8'))?.[1],
    );
    for (const path of ['/health', '/status', '/metrics', '/v1/instances', '/v1/snapshot']) {
      shown.set(`tls ${path}`, await askTls(`${at}${path}`, { ca: authority.pem, cert, key }));
    }
    await askTls(`${at}/health`, { ca: authority.pem }).catch((error: unknown) =>
      shown.set('tls refused', String(error)),
    );
    await writeFile(keyFile, 'no key any more');
    await within(15_000, 'the key is refused', async () =>
      (await readFile(file('all.log'), 'utf8')).includes('Access files not read'),
    );
  } finally {
    all.signal('SIGTERM');
    await all.exited;
  }
  shown.set('all', `${all.text}\n${await readFile(file('all.log'), 'utf8')}`);
});

function askTls(at: string, tls: { ca: string; cert?: string; key?: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request(at, { ...tls, timeout: 5_000 }, (response) => {
      let text = `${response.statusCode} `;
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve(text));
    });
    sent.on('error', reject);
    sent.end();
  });
}

it('has shown none of its secrets, nowhere and in no spelling', async () => {
  shown.set('redis', await stored());
  for (const one of cluster.roles) {
    one.signal('SIGTERM');
    await one.exited;
    shown.set(`output of ${one.id} #${shown.size}`, one.text);
  }
  shown.set('w1.log', await readFile(file('w1.log'), 'utf8'));
  // That there was something to find: the search itself is worth nothing where nothing was redacted.
  expect(shown.get('w1.log')).toContain('[redacted]');
  const wanted = spellings();
  const found = [...shown].flatMap(([where, text]) =>
    wanted.filter((spelling) => text.includes(spelling)).map((spelling) => `${where}: ${around(text, spelling)}`),
  );
  expect(found).toEqual([]);
});

function around(text: string, spelling: string): string {
  const at = text.indexOf(spelling);
  return text.slice(Math.max(0, at - 120), at + spelling.length + 40);
}
