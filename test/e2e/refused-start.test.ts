/** Starts that are refused: exit code 78, and what was found, what was wanted and what to do. */
import { hostname } from 'node:os';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Cluster, emptyCluster, INSTANCE_TTL_MS } from './support/cluster.ts';
import { within } from './support/eventually.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await emptyCluster();
});
afterAll(() => cluster?.stop());

const redis = (...args: string[]) => cluster.redis.call('CONFIG', 'SET', ...args);

async function refusal(settings: Record<string, string>): Promise<string> {
  const process = cluster.start('coordinator', 'refused', settings);
  const { code } = await process.exited;
  expect(code, process.text).toBe(78);
  return process.text;
}

it('refuses a Redis that evicts keys, unless told why that is accepted', async () => {
  await redis('maxmemory-policy', 'allkeys-lru');
  const text = await refusal({});
  expect(text).toContain('maxmemory-policy allkeys-lru, wanted noeviction');
  expect(text).toContain('CONFIG SET maxmemory-policy noeviction');
  const reason = 'a test with nothing to lose';
  const accepted = await cluster.start('coordinator', 'accepted', { ALLOW_UNSAFE_REDIS: reason }).ready();
  expect(accepted.text).toContain(reason);
  expect((await accepted.get('/health')).body.status).toBe('degraded');
  accepted.signal('SIGTERM');
  expect((await accepted.exited).code).toBe(0);
  await redis('maxmemory-policy', 'noeviction');
});

it('stops taking work from a Redis whose eviction policy is changed under it, and says why', async () => {
  const role = await cluster.start('coordinator', 'watchful', { CLEANUP_INTERVAL: '300ms' }).ready();
  await redis('maxmemory-policy', 'allkeys-lru');
  const unready = await within(5_000, 'the role is not ready', async () => {
    const { status, body } = await role.get('/ready');
    return status === 503 ? JSON.stringify(body) : null;
  });
  expect(unready).toContain('maxmemory-policy allkeys-lru, wanted noeviction');
  expect((await role.get('/health')).status).toBe(200);
  await redis('maxmemory-policy', 'noeviction');
  await role.ready();
  await role.kill();
});

it('refuses a Redis without an append-only file where one is required', async () => {
  expect(await refusal({ REDIS_REQUIRE_AOF: 'true' })).toContain('REDIS_REQUIRE_AOF');
});

it('refuses a wrong password', async () => {
  await redis('requirepass', 'the-right-password');
  try {
    const url = `redis://:the-wrong-password@127.0.0.1:${cluster.redis.port}/0`;
    const [wrong, none] = await Promise.all([refusal({ REDIS_URL: url }), refusal({})]);
    expect(wrong).toMatch(/password/i);
    expect(wrong).not.toContain('the-wrong-password');
    expect(none).toMatch(/password/i);
  } finally {
    await redis('requirepass', '');
  }
});

it('refuses another number of shards than the store was set up with', async () => {
  const first = await cluster.start('coordinator', 'first').ready();
  const text = await refusal({ SHARDS: '4' });
  expect(text).toContain('SHARDS=1');
  expect(text).toContain('SHARDS is 4');
  await first.kill();
});

it('refuses a missing, a short and a placeholder secret, and says how to make one', async () => {
  const [missing, short, placeholder] = await Promise.all([
    refusal({ A2A_TOKEN_SECRET: '' }),
    refusal({ A2A_TOKEN_SECRET: 'short' }),
    refusal({ A2A_TOKEN_SECRET: 'change-me-change-me-change-me-change-me' }),
  ]);
  expect(missing).toContain('agent-system keys generate');
  expect(short).toContain('has 5 bytes, wanted at least 32');
  expect(placeholder).toMatch(/placeholder/);
});

it('reports all wrong settings together', async () => {
  const text = await refusal({ HEARTBEAT_INTERVAL: '5', SHARDS: 'many', LEADER_TTL: '-1s', A2A_TOKEN_SECRET: 'short' });
  for (const name of ['HEARTBEAT_INTERVAL', 'SHARDS', 'LEADER_TTL', 'A2A_TOKEN_SECRET']) expect(text).toContain(name);
});

it('lets the second of two processes with one id wait, and refuses it while the first goes on', async () => {
  const first = await cluster.start('coordinator', 'twin').ready();
  const from = Date.now();
  const second = cluster.start('coordinator', 'twin');
  const waiting = await second.says('Waiting: another living process holds this id');
  expect(waiting).toMatchObject({ host: hostname(), pid: first.pid });
  const { code } = await second.exited;
  const tookMs = Date.now() - from;
  expect(code).toBe(78);
  expect(second.text).toContain(`pid ${first.pid}`);
  expect(tookMs).toBeGreaterThan(2 * INSTANCE_TTL_MS);
  expect(tookMs).toBeLessThan(2 * INSTANCE_TTL_MS + 4_000);
  expect((await first.get('/ready')).status).toBe(200);
  await first.kill();
});

it('lets the second of two processes with one id take over as soon as the first is dead', async () => {
  // So long that waiting for the entry to run out could not be what happened.
  const slow = { INSTANCE_TTL: '30s' };
  const first = await cluster.start('coordinator', 'twin', slow).ready();
  const second = cluster.start('coordinator', 'twin', slow);
  await second.says('Waiting: another living process holds this id');
  const from = Date.now();
  await first.kill();
  await second.ready();
  console.log(`an id was taken over ${Date.now() - from} ms after its holder was killed`);
  expect(Date.now() - from).toBeLessThan(3_000);
});
