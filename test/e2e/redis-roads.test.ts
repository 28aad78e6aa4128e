/** One Redis by every road to it: URL with password, host and port with a user, mutual TLS, and a user for each role. */
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { Authority } from '../support/certificates.ts';
import { freePort } from '../support/redis-server.ts';
import type { Cluster } from './support/cluster.ts';
import { RedisProcess } from './support/redis-process.ts';
import { expectCompleted, refusal, requests, startRoles, systemAt } from './support/roads.ts';

const PASSWORD = 'e2e-pass-0815';
const USERS = fileURLToPath(new URL('../../redis/users.acl', import.meta.url));

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function opened(settings: Record<string, string>, redis: RedisProcess): Promise<Cluster> {
  undo.push(() => redis.stop());
  const cluster = await systemAt(settings);
  undo.push(() => cluster.stop());
  return cluster;
}

async function expectWork(cluster: Cluster): Promise<void> {
  await startRoles(cluster);
  await expectCompleted(cluster, await cluster.submitMany(requests(50, 5)));
}

it('runs tasks by a URL with a password, and refuses a wrong or a missing one', async () => {
  const redis = await RedisProcess.start('--requirepass', PASSWORD);
  const cluster = await opened({ REDIS_URL: `redis://:${PASSWORD}@127.0.0.1:${redis.port}/1` }, redis);
  await expectWork(cluster);
  const wrong = await refusal(cluster, { REDIS_URL: `redis://:not-${PASSWORD}@127.0.0.1:${redis.port}/1` });
  expect(wrong).toMatch(/WRONGPASS.*check REDIS_USERNAME and REDIS_PASSWORD/);
  expect(wrong).not.toContain(PASSWORD);
  const missing = await refusal(cluster, { REDIS_URL: redis.url });
  expect(missing).toMatch(/NOAUTH.*check REDIS_USERNAME and REDIS_PASSWORD/);
}, 60_000);

it('runs tasks by host, port and a user of the ACL, and names what a lesser user may not', async () => {
  const redis = await RedisProcess.start();
  await redis.call('ACL', 'SETUSER', 'other', 'on', `>${PASSWORD}`, '~{as:*', '+@all', '-@admin', '+config|get');
  const road = { REDIS_HOST: '127.0.0.1', REDIS_PORT: String(redis.port), REDIS_USERNAME: 'other' };
  const cluster = await opened({ ...road, REDIS_PASSWORD: PASSWORD }, redis);
  await expectWork(cluster);
  await redis.call('ACL', 'SETUSER', 'lesser', 'on', `>${PASSWORD}`, '~*', '+info', '+config|get', '+select');
  const text = await refusal(cluster, { REDIS_USERNAME: 'lesser' });
  expect(text).toMatch(/NOPERM.*'eval'/);
}, 60_000);

it('runs tasks with one user for each role, of whom the worker can write no task state', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'agent-system-acl-'));
  undo.push(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, 'users.acl');
  await copyFile(USERS, file);
  const redis = await RedisProcess.start('--aclfile', file);
  const roles = ['coordinator', 'distributor', 'worker'] as const;
  for (const role of roles) await redis.call('ACL', 'SETUSER', `as-${role}`, 'on', `>${PASSWORD}-${role}`);
  const cluster = await opened({ REDIS_HOST: '127.0.0.1', REDIS_PORT: String(redis.port), SHARDS: '2' }, redis);
  const as = (role: string) => ({ REDIS_USERNAME: `as-${role}`, REDIS_PASSWORD: `${PASSWORD}-${role}` });
  for (const role of roles) cluster.start(role, `${role[0]}1`, as(role));
  await cluster.allReady();
  await expectCompleted(cluster, await cluster.submitMany(requests(50, 5)));
  const large = await cluster.submit({ agent: 'echo', input: 'x'.repeat(100_000) });
  expect((await cluster.reaches(large, 'completed')).result).toHaveLength(100_000);
  const late = await cluster.submit({ agent: 'mark', input: { ms: 60_000 } });
  await cluster.reaches(late, 'running');
  await cluster.call(`/v1/tasks/${late}/cancel`, {});
  await cluster.reaches(late, 'cancelled');
  const worker = cluster.role('w1');
  worker.signal('SIGTERM');
  expect((await worker.exited).code).toBe(0);
  expect(await redis.call('ACL', 'LOG')).toEqual([]);
  for (const command of [
    'HSET {as:0}:m:x f v',
    'ZADD {as:0}:lane:x 1 y',
    'XADD {as:1}:events * e x',
    'SET {as:0}:cursor 1',
    'SET {as:0}:p:x:i y',
  ]) {
    expect(await redis.call('ACL', 'DRYRUN', 'as-worker', ...command.split(' '))).toMatch(/no permissions/);
  }
}, 60_000);

it('runs tasks over mutual TLS, and says which certificate is missing or not known', async () => {
  const authority = new Authority();
  undo.push(() => authority.remove());
  const [server, client] = [authority.sign('server', 'IP:127.0.0.1'), authority.sign('client', 'DNS:client')];
  const port = String(await freePort());
  const files = ['--tls-cert-file', server.certFile, '--tls-key-file', server.keyFile];
  const redis = await RedisProcess.start('--tls-port', port, ...files, '--tls-ca-cert-file', authority.file);
  const ours = { REDIS_CA_FILE: authority.file, REDIS_CERT_FILE: client.certFile, REDIS_KEY_FILE: client.keyFile };
  const cluster = await opened({ REDIS_URL: `rediss://127.0.0.1:${port}`, ...ours }, redis);
  await expectWork(cluster);
  expect(await refusal(cluster, { REDIS_CA_FILE: '' })).toMatch(/not known here.*set REDIS_CA_FILE/);
  const bare = await refusal(cluster, { REDIS_CERT_FILE: '', REDIS_KEY_FILE: '' });
  expect(bare).toMatch(/wants a certificate of its clients and got none: set REDIS_CERT_FILE and REDIS_KEY_FILE/);
}, 60_000);
