/**
 * Inputs and results up to MAX_PAYLOAD_BYTES through separate processes: each is stored once and travels through no mailbox
 * and no report, whoever is killed in between, and is gone with its task.
 */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Cluster, startCluster } from './support/cluster.ts';
import { within } from './support/eventually.ts';
import { DURABLE, RedisProcess } from './support/redis-process.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const AGENTS = fileURLToPath(new URL('./support/payload-agents.mjs', import.meta.url));
/** What the streams of a shard may take after megabytes went through its tasks. */
const STREAM_BYTES_MAX = 256 * KIB;
const KEPT_MS = 120_000;

let cluster: Cluster;
beforeAll(async () => {
  const settings = { AGENTS, MAX_PAYLOAD_BYTES: '16MiB', RETENTION_BYTES: '1GiB', WORKER_SLOTS: '4' };
  const redis = await RedisProcess.start(...DURABLE);
  cluster = await startCluster({ coordinators: 1, workers: 2, redis, settings });
}, 30_000);
afterAll(() => cluster?.stop());

const textOf = (bytes: number) => 'é😀"\\\n'.repeat(Math.floor(bytes / 12));

/** Waits until some worker has put so many results aside; answers their keys. */
async function putAside(count: number): Promise<string[]> {
  return within(10_000, `${count} results are put aside`, async () => {
    const keys = await cluster.keys('out:*');
    return keys.length >= count ? keys : null;
  }) as Promise<string[]>;
}

/** Entries of reports behind `after`, once there is one. */
async function reportedAfter(after: string): Promise<string[]> {
  return within(10_000, 'a report lies in the stream', async () => {
    const entries = await cluster.stream('reports', `(${after}`);
    return entries.length > 0 ? entries.map(([entry]) => entry) : null;
  }) as Promise<string[]>;
}

async function streamBytes(): Promise<number> {
  const keys = [...(await cluster.keys('mail:*')), cluster.key('reports'), cluster.key('events'), cluster.key('wake')];
  const sizes = await Promise.all(keys.map((key) => cluster.redis.call('MEMORY', 'USAGE', key)));
  return sizes.reduce<number>((sum, size) => sum + Number(size ?? 0), 0);
}

const timesAssigned = async (id: string) =>
  (await cluster.history(id)).filter(({ state }) => state === 'assigned').length;

const lengthOf = (result: unknown) => (result as string).length;

it('carries 64 KiB, 1 MiB and nearly 16 MiB there and back, unchanged', async () => {
  const texts = [64 * KIB, MIB, 15 * MIB].map(textOf);
  const ids: string[] = [];
  for (const text of texts) ids.push(await cluster.submit({ agent: 'echo', input: { text } }));
  for (const [n, id] of ids.entries()) {
    const task = await cluster.reaches(id, 'completed', 30_000);
    expect(JSON.stringify(task.input) === JSON.stringify({ text: texts[n] })).toBe(true);
    expect(JSON.stringify(task.result)).toContain(JSON.stringify(texts[n]).slice(1, 100));
    expect(JSON.stringify(task.result).length).toBeGreaterThanOrEqual(JSON.stringify(texts[n]).length);
  }
  expect(await cluster.keys('p:*')).toHaveLength(6);
  expect(await cluster.keys('out:*')).toEqual([]);
  expect(await streamBytes()).toBeLessThan(STREAM_BYTES_MAX);
}, 60_000);

it('carries many at once, and no stream grows with them', async () => {
  const requests = Array.from({ length: 60 }, (_, n) => ({ agent: 'echo', input: { n, text: textOf(64 * KIB) } }));
  const ids = await cluster.submitMany(requests);
  await cluster.allEnd(ids, 20_000);
  const tasks = await cluster.each(ids, (id) => cluster.task(id));
  expect(tasks.map(({ state, result }) => [state, (result as { n: number }).n])).toEqual(
    requests.map(({ input }) => ['completed', input.n]),
  );
  expect(await streamBytes()).toBeLessThan(2 * STREAM_BYTES_MAX);
}, 60_000);

it('refuses an input beyond the bound, and fails a task whose result is beyond it, at once and with nothing stored', async () => {
  const before = (await cluster.keys('p:*')).length;
  const { status, body } = await cluster.call('/v1/tasks', { agent: 'echo', input: 'x'.repeat(16 * MIB) });
  expect([status, (body as { error: { code: string } }).error.code]).toEqual([413, 'PAYLOAD_TOO_LARGE']);
  const id = await cluster.submit({ agent: 'grow', input: { bytes: 16 * MIB + 1 } });
  const task = await cluster.reaches(id, 'failed', 20_000);
  expect(task).toMatchObject({ attempt: 1, error: { code: 'result_too_large', retryable: false } });
  expect(await cluster.keys('out:*')).toEqual([]);
  expect(await cluster.keys('p:*')).toHaveLength(before);
}, 60_000);

it('accepts a result whose worker was killed after its report', async () => {
  const { id, owner, worker } = await undecided(2 * MIB);
  await worker.kill();
  owner.signal('SIGCONT');
  const task = await cluster.reaches(id, 'completed', 20_000);
  expect([task.attempt, lengthOf(task.result)]).toEqual([1, 2 * MIB - 2]);
  expect(await timesAssigned(id)).toBe(1);
  await cluster.start('worker', worker.id).ready();
}, 60_000);

it('accepts a result whose owner was killed before it decided', async () => {
  const { id, owner } = await undecided(MIB);
  await owner.kill();
  await cluster.start('coordinator', owner.id).ready();
  const task = await cluster.reaches(id, 'completed', 20_000);
  expect(lengthOf(task.result)).toBe(MIB - 2);
  expect(await timesAssigned(id)).toBe(1);
}, 60_000);

it('runs a task again whose worker was killed between its result and its report', async () => {
  const { id, owner, worker, key, entries } = await undecided(MIB);
  await worker.kill();
  // As if the append had never arrived.
  await cluster.redis.call('XDEL', cluster.key('reports'), ...entries);
  owner.signal('SIGCONT');
  const task = await cluster.reaches(id, 'completed', 20_000);
  expect(lengthOf(task.result)).toBe(MIB - 2);
  expect(await timesAssigned(id)).toBe(2);
  // What the dead worker left ends by itself.
  const left = Number(await cluster.redis.call('PTTL', key));
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThanOrEqual(KEPT_MS);
  await cluster.redis.call('DEL', key);
  await cluster.start('worker', worker.id).ready();
}, 60_000);

it('asks for a result again that was no longer there when it was to be adopted', async () => {
  const { id, owner, key } = await undecided(MIB);
  await cluster.redis.call('DEL', key);
  owner.signal('SIGCONT');
  const task = await cluster.reaches(id, 'completed', 30_000);
  expect(lengthOf(task.result)).toBe(MIB - 2);
  expect(await timesAssigned(id)).toBe(1);
}, 60_000);

it('keeps payloads over a restart of Redis', async () => {
  const text = textOf(MIB);
  const id = await cluster.submit({ agent: 'echo', input: { text } });
  await cluster.reaches(id, 'completed', 20_000);
  await cluster.redis.kill();
  await cluster.redis.restart();
  const task = await cluster.reaches(id, 'completed', 30_000);
  expect((task.input as { text: string }).text === text).toBe(true);
  const next = await cluster.submit({ agent: 'echo', input: { text } });
  await cluster.reaches(next, 'completed', 30_000);
}, 60_000);

it('does not run an input that somebody wrote over', async () => {
  for (const worker of cluster.living('worker')) worker.signal('SIGSTOP');
  const id = await cluster.submit({ agent: 'echo', input: { text: textOf(64 * KIB) } });
  const key = cluster.key(`p:${id}:i`);
  const length = Number(await cluster.redis.call('STRLEN', key));
  await cluster.redis.call('SET', key, JSON.stringify('z'.repeat(length - 2)));
  for (const worker of cluster.living('worker')) worker.signal('SIGCONT');
  await within(20_000, 'the task is rejected', async () => {
    const { tasks } = (await cluster.call('/v1/tasks?state=failed&limit=500')).body as { tasks: { id: string }[] };
    return tasks.some((task) => task.id === id);
  });
  const reasons = (await cluster.stream('quarantine')).map(([, fields]) => fields.reason);
  expect(reasons).toContain('payload');
}, 60_000);

it('leaves nothing behind when tasks are removed', async () => {
  await cluster.stop();
  const settings = { AGENTS, RETENTION_COMPLETED: '1s', RETENTION_FAILED: '1s', WORKER_SLOTS: '4' };
  cluster = await startCluster({ coordinators: 1, workers: 1, settings });
  const requests = Array.from({ length: 20 }, () => ({ agent: 'echo', input: { text: textOf(64 * KIB) } }));
  await cluster.submitMany(requests);
  await within(10_000, 'payloads are stored apart', async () => (await cluster.keys('p:*')).length > 20);
  await within(30_000, 'all payloads are gone', async () => {
    const patterns = ['p:*', 'l:*', 'out:*', 'm:*', 'b:*'];
    const left = (await Promise.all(patterns.map((pattern) => cluster.keys(pattern)))).flat();
    if (left.length > 0) throw new Error(`${left.length} are left, such as ${left[0]}`);
    return true;
  });
}, 60_000);

/** Lets a task run to its report while its owner stands still, so nobody decides. */
async function undecided(bytes: number) {
  const owner = await cluster.owner();
  const workers = cluster.living('worker');
  for (const worker of workers) worker.signal('SIGSTOP');
  const id = await cluster.submit({ agent: 'grow', input: { bytes } });
  const { worker } = await cluster.reaches(id, 'assigned', 5_000);
  const last = (await cluster.stream('reports')).at(-1)?.[0] ?? '0-0';
  await cluster.cutOff(owner);
  for (const one of workers) one.signal('SIGCONT');
  const keys = await putAside(1);
  const entries = await reportedAfter(last);
  return { id, owner, worker: cluster.role(worker!), key: keys[0]!, entries };
}
