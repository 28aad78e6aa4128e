/** What tasks require of workers, how long they may take, and how much of what ended is kept: on real processes. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Cluster, startCluster } from './support/cluster.ts';
import { pause, within } from './support/eventually.ts';

let cluster: Cluster;
beforeAll(async () => {
  const settings = { RETENTION_BYTES: '256KiB' };
  cluster = await startCluster({ coordinators: 1, distributors: 1, workers: 0, settings });
  cluster.start('worker', 'plain');
  cluster.start('worker', 'gpu', { WORKER_LABELS: 'zone=eu,disk=ssd', WORKER_RESOURCES: 'gpu=1' });
  await cluster.allReady();
});
afterAll(() => cluster?.stop());

const mark = (ms: number, over: object = {}) => ({ agent: 'mark', input: { ms }, ...over });

it('runs pinned and labelled tasks only on the worker that is meant', async () => {
  const pinned = Array.from({ length: 10 }, () => mark(20, { require: { worker: 'plain' } }));
  const labelled = Array.from({ length: 10 }, () => mark(20, { require: { labels: { zone: 'eu', disk: 'ssd' } } }));
  const ids = await Promise.all([...pinned, ...labelled].map((request) => cluster.submit(request)));
  const ended = new Map((await cluster.allEnd(ids, 15_000)).map((task) => [task.id, task]));
  expect(ids.map((id) => ended.get(id)?.worker)).toEqual([...pinned.map(() => 'plain'), ...labelled.map(() => 'gpu')]);
  expect(ended.get(ids[0]!)).toMatchObject({ state: 'completed', require: { worker: 'plain' }, attempt: 1 });
});

it('runs two tasks that need the one GPU one after the other, while others run beside them', async () => {
  const needs = { require: { resources: { gpu: 1 } } };
  const [first, second] = await Promise.all([cluster.submit(mark(700, needs)), cluster.submit(mark(700, needs))]);
  await within(5_000, 'the GPU is in use', async () => {
    const { body } = await cluster.call('/v1/workers');
    const { workers } = body as { workers: { id: string; resources: object; used: object }[] };
    expect(workers.find(({ id }) => id === 'gpu')).toMatchObject({ resources: { gpu: 1 }, used: { gpu: 1 } });
    return true;
  });
  const beside = await cluster.submit(mark(0, { require: { worker: 'gpu' } }));
  await cluster.reaches(beside, 'completed', 3_000);
  const [one, other] = await Promise.all([first, second].map((id) => cluster.reaches(id!, 'completed', 10_000)));
  const [earlier, later] = [one!, other!].sort((a, b) => (a.startedAt! < b.startedAt! ? -1 : 1));
  expect(Date.parse(later!.startedAt!)).toBeGreaterThanOrEqual(Date.parse(earlier!.startedAt!) + 700);
  expect([earlier!.worker, later!.worker]).toEqual(['gpu', 'gpu']);
  // Counted right, nothing is ever handed back.
  const whys = (await Promise.all([first, second].map((id) => cluster.history(id!))))
    .flat()
    .map(({ reason }) => reason);
  expect(whys.filter((why) => why !== undefined)).toEqual([]);
});

it('lets a task for a worker that is gone wait, and ends it when it has waited too long', async () => {
  const patient = await cluster.submit(mark(0, { require: { worker: 'later' } }));
  const late = await cluster.submit(mark(0, { require: { worker: 'later' }, queueTimeoutMs: 1_500 }));
  const failed = await cluster.reaches(late, 'failed', 5_000);
  expect(failed.error).toMatchObject({
    code: 'expired',
    message: expect.stringMatching(/^waited (1\.[5-9]|2\.?\d?) s in the queue, at most 1\.5 s were allowed$/),
    retryable: false,
  });
  expect((await cluster.task(patient)).state).toBe('queued');
  await cluster.start('worker', 'later').ready();
  expect(await cluster.reaches(patient, 'completed', 5_000)).toMatchObject({ worker: 'later' });
});

it('tells an attempt when the total time of its task is over, and tries it no more', async () => {
  const id = await cluster.submit({ agent: 'endless', input: { ms: 50 }, totalTimeoutMs: 1_500 });
  const task = await cluster.reaches(id, 'failed', 5_000);
  expect(task).toMatchObject({ attempt: 1, error: { code: 'timeout', retryable: false } });
  const lasted = Date.parse(task.endedAt!) - Date.parse(task.createdAt);
  expect(lasted).toBeGreaterThanOrEqual(1_500);
  // Its worker ended it by its own clock: the owner would have given it 5 s more.
  expect(lasted).toBeLessThan(4_000);
  const traced = cluster.traces(id).map(({ event }) => event);
  expect(traced).toEqual(['began', 'told', 'ended']);
  const waiting = await cluster.submit(mark(0, { delayMs: 600_000, totalTimeoutMs: 600_001 }));
  expect((await cluster.task(waiting)).state).toBe('scheduled');
});

it('prunes the oldest ended tasks beyond RETENTION_BYTES, keeps the newest and all that live', async () => {
  const live = await cluster.submit(mark(0, { require: { worker: 'nobody' }, input: { text: 'x'.repeat(5_000) } }));
  const input = { ms: 0, text: 'y'.repeat(5_000) };
  const ids: string[] = [];
  // Over several blocks, which are open for a second each.
  for (let round = 0; round < 5; round++) {
    const requests = Array.from({ length: 20 }, (_, n) => ({ agent: 'mark', input, key: `r${round}-${n}` }));
    ids.push(...(await cluster.submitMany(requests)));
    await pause(1_100);
  }
  const kept = await within(20_000, 'the oldest are gone', async () => {
    const listed = new Set((await cluster.list()).map(({ id }) => id));
    const left = ids.filter((id) => listed.has(id));
    if (left.length * 5_000 > 256 * 1_024) throw new Error(`${left.length} of ${ids.length} are left`);
    return left;
  });
  expect(kept.length).toBeGreaterThanOrEqual(20);
  expect(kept).toEqual(ids.slice(-kept.length));
  expect((await cluster.task(live)).state).toBe('queued');
});
