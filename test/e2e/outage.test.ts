/** Redis away: before the start, killed, and standing still. Everybody says so, waits, and goes on by itself. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Cluster, callOne, emptyCluster } from './support/cluster.ts';
import { pause, within } from './support/eventually.ts';
import { expectOneAcceptanceEach } from './support/expect-tasks.ts';
import { DURABLE, RedisProcess } from './support/redis-process.ts';

const RESUMES_MS = 3_000;

let cluster: Cluster;
beforeAll(async () => {
  const redis = await RedisProcess.start(...DURABLE);
  await redis.kill();
  cluster = await emptyCluster({ redis });
});
afterAll(() => cluster?.stop());

/** Work of every kind: running, queued, and due later. */
async function someWork(): Promise<{ ids: string[]; running: string }> {
  const running = await cluster.submit({ agent: 'deaf', input: { ms: 4_000 } });
  const quick = Array.from({ length: 300 }, (_, n) => ({ agent: 'mark', input: { ms: 20 }, delayMs: n % 3 ? 0 : 800 }));
  const ids = await cluster.submitMany(quick);
  await cluster.reaches(running, 'running');
  return { ids: [...ids, running], running };
}

/** How long after `from` a task could first be submitted and was completed. */
async function resumedAfter(from: number): Promise<number> {
  const id = await within(10_000, 'a submit is taken', () =>
    cluster.submit({ agent: 'mark', input: {}, priority: 10 }),
  );
  await cluster.reaches(id, 'completed');
  return Date.now() - from;
}

async function expectNothingLost(ids: string[], running: string): Promise<void> {
  const tasks = await cluster.allEnd(ids, 20_000);
  expect(tasks.filter(({ state, attempt }) => state !== 'completed' || attempt !== 1)).toEqual([]);
  await expectOneAcceptanceEach(cluster, ids);
  expect(cluster.traces(running).map(({ event }) => event)).toEqual(['began', 'ended']);
}

it('says that Redis is away at the start, stays alive, and works once it is there', async () => {
  const roles = [cluster.start('coordinator', 'c1'), cluster.start('distributor', 'd1'), cluster.start('worker', 'w1')];
  for (const role of roles) {
    await role.says('Redis connection failed');
    const { status, body } = await role.get('/health');
    expect({ status, ...body }).toMatchObject({ status: 'degraded', redis_connected: false });
    expect(status).toBe(200);
    const ready = await role.get('/ready');
    expect(ready.status).toBe(503);
    expect(JSON.stringify(ready.body)).toContain('Redis is away');
  }
  const { status, headers } = await callOne(roles[0]!, '/v1/tasks', { agent: 'mark', input: {} });
  expect(status).toBe(503);
  expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
  await cluster.redis.restart();
  const from = Date.now();
  await cluster.allReady();
  console.log(`all ready ${Date.now() - from} ms after Redis first appeared`);
  expect(Date.now() - from).toBeLessThan(RESUMES_MS);
  const id = await cluster.submit({ agent: 'mark', input: {} });
  await cluster.reaches(id, 'completed');
});

it('loses nothing when Redis is killed and comes back, and goes on within 3 s', async () => {
  const { ids, running } = await someWork();
  await cluster.redis.kill();
  const [coordinator] = cluster.living('coordinator');
  await within(3_000, 'a submit is answered with 503', async () => {
    const { status, headers } = await callOne(coordinator!, '/v1/tasks', { agent: 'mark', input: {} });
    return status === 503 && Number(headers.get('retry-after')) > 0;
  });
  const { status, body } = await coordinator!.get('/health');
  expect([status, body.status]).toEqual([200, 'degraded']);
  expect((await coordinator!.get('/ready')).status).toBe(503);
  await pause(2_500);
  await cluster.redis.restart();
  const tookMs = await resumedAfter(Date.now());
  console.log(`work went on ${tookMs} ms after a killed Redis was back`);
  expect(tookMs).toBeLessThan(RESUMES_MS);
  await expectNothingLost(ids, running);
}, 60_000);

it('loses nothing when Redis stands still for longer than every lease, and goes on within 3 s', async () => {
  const { ids, running } = await someWork();
  cluster.redis.signal('SIGSTOP');
  await pause(2_500);
  cluster.redis.signal('SIGCONT');
  const tookMs = await resumedAfter(Date.now());
  console.log(`work went on ${tookMs} ms after a stopped Redis was continued`);
  expect(tookMs).toBeLessThan(RESUMES_MS);
  await expectNothingLost(ids, running);
}, 60_000);
