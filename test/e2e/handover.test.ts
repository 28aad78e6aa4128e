/**
 * Work that passes from one process to another because somebody was told to end, came back at once, or lost a message.
 * INSTANCE_TTL is long here, so that none of it can be the work of an expired lease.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Cluster, startCluster } from './support/cluster.ts';
import { within } from './support/eventually.ts';
import { expectOneAcceptanceEach } from './support/expect-tasks.ts';
import type { RoleProcess } from './support/role-process.ts';

const DRAIN_MS = 3_000;
const TTL_MS = 15_000;

let cluster: Cluster;
beforeAll(async () => {
  const settings = { INSTANCE_TTL: `${TTL_MS}ms`, DRAIN_TIMEOUT: `${DRAIN_MS}ms` };
  cluster = await startCluster({ coordinators: 2, distributors: 1, workers: 1, settings });
});
afterAll(() => cluster?.stop());

async function ended(process: RoleProcess): Promise<{ code: number | null; ms: number }> {
  const from = Date.now();
  process.signal('SIGTERM');
  const { code } = await process.exited;
  return { code, ms: Date.now() - from };
}

async function attemptIds(id: string): Promise<(string | undefined)[]> {
  const history = await cluster.history(id);
  return history
    .filter(({ kind, state }) => kind === 'transition' && state === 'assigned')
    .map((line) => line.attemptId);
}

it('sends an assignment again that was deleted from the mailbox', async () => {
  const worker = cluster.role('w1');
  await cluster.cutOff(worker);
  const id = await cluster.submit({ agent: 'mark', input: {} });
  await cluster.reaches(id, 'assigned');
  for (const key of await cluster.keys('mail:w1@*')) await cluster.redis.call('DEL', key);
  worker.signal('SIGCONT');
  const task = await cluster.reaches(id, 'completed failed', 5_000);
  expect(task).toMatchObject({ state: 'completed', attempt: 1 });
  expect(cluster.traces(id).filter(({ event }) => event === 'began')).toHaveLength(1);
  expect(await attemptIds(id)).toHaveLength(1);
});

it('gets a report again that was deleted from the stream', async () => {
  const id = await cluster.submit({ agent: 'mark', input: { ms: 500 } });
  await cluster.reaches(id, 'running');
  const coordinators = cluster.living('coordinator');
  for (const one of coordinators) await cluster.cutOff(one);
  const worker = cluster.role('w1');
  await within(5_000, 'the handler ends', () => cluster.traces(id).some(({ event }) => event === 'ended'));
  const stats = async () => ((await worker.get('/status')).body as { workers: { done: number }[] }).workers[0]!;
  await within(2_000, 'the report was sent', async () => (await stats()).done === 1);
  await within(2_000, 'the report is in the stream', async () => (await cluster.stream('reports')).length > 0);
  await cluster.redis.call('DEL', cluster.key('reports'));
  for (const one of coordinators) one.signal('SIGCONT');
  const task = await cluster.reaches(id, 'completed failed', 5_000);
  expect(task).toMatchObject({ state: 'completed', attempt: 1 });
  await expectOneAcceptanceEach(cluster, [id]);
  expect(cluster.traces(id).map(({ event }) => event)).toEqual(['began', 'ended']);
});

it('runs the tasks of a worker again at once that came back under the same id', async () => {
  const ids = await cluster.submitMany([1, 2, 3].map(() => ({ agent: 'endless', input: {} })));
  const began = () => cluster.traces().filter(({ event, task }) => event === 'began' && ids.includes(task));
  await within(5_000, 'all run', () => began().length === 3);
  await cluster.role('w1').kill();
  const restartedAt = Date.now();
  const worker = await cluster.start('worker', 'w1').ready();
  await within(TTL_MS / 2, 'all run again', () => began().filter(({ pid }) => pid === worker.pid).length === 3);
  console.log(`a worker's tasks ran again ${Date.now() - restartedAt} ms after it was started anew`);
  await cluster.each(ids, (id) => cluster.call(`/v1/tasks/${id}/cancel`, {}));
});

it('lets a worker that is told to end finish what it can and hand the rest back, with no attempt used up', async () => {
  const short = await cluster.submit({ agent: 'deaf', input: { ms: 1_000 } });
  const long = await cluster.submit({ agent: 'endless', input: {} });
  const many = await cluster.submitMany(Array.from({ length: 10 }, () => ({ agent: 'mark', input: { ms: 5_000 } })));
  for (const id of [short, long]) await cluster.reaches(id, 'running');
  const { code, ms } = await ended(cluster.role('w1'));
  console.log(`a worker with 12 tasks ended ${ms} ms after SIGTERM`);
  const after = await Promise.all([long, ...many].map((id) => cluster.task(id)));
  await cluster.start('worker', 'w2', { WORKER_SLOTS: '20' }).ready();
  expect(code).toBe(0);
  expect(ms).toBeLessThan(DRAIN_MS + 1_000);
  expect(await cluster.task(short)).toMatchObject({ state: 'completed', attempt: 1 });
  expect(cluster.traces(short).map(({ event }) => event)).toEqual(['began', 'ended']);
  expect(after.filter(({ state }) => state !== 'queued')).toEqual([]);
  for (const id of [long, ...many]) expect(await cluster.reaches(id, 'running')).toMatchObject({ attempt: 1 });
  await cluster.each([long, ...many], (id) => cluster.call(`/v1/tasks/${id}/cancel`, {}));
});

it('goes on when the owner, and then the distributor, is told to end and another takes its place', async () => {
  cluster.start('distributor', 'd2');
  const requests = Array.from({ length: 400 }, () => ({ agent: 'mark', input: { ms: 60 } }));
  const ids = await cluster.submitMany(requests);
  const owner = await ended(await cluster.owner());
  const distributor = await ended(cluster.role('d1'));
  console.log(`after SIGTERM an owner ended in ${owner.ms} ms, a distributor in ${distributor.ms} ms`);
  for (const { code, ms } of [owner, distributor]) {
    expect(code).toBe(0);
    expect(ms).toBeLessThan(DRAIN_MS + 1_000);
  }
  const tasks = await cluster.allEnd(ids, 20_000);
  expect(tasks.filter(({ state, attempt }) => state !== 'completed' || attempt !== 1)).toEqual([]);
  await expectOneAcceptanceEach(cluster, ids);
});

it('ends at once on a second signal', async () => {
  const id = await cluster.submit({ agent: 'deaf', input: { ms: 2_000 } });
  await cluster.reaches(id, 'running');
  const worker = cluster.role('w2');
  const from = Date.now();
  worker.signal('SIGTERM');
  await worker.says('Draining');
  worker.signal('SIGTERM');
  const { code } = await worker.exited;
  expect(code).toBe(143);
  expect(Date.now() - from).toBeLessThan(1_000);
});
