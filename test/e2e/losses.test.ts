/** Parts of what Redis holds disappear while work is under way: all but the records is made anew from the records. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { type Cluster, startCluster } from './support/cluster.ts';
import { pause, within } from './support/eventually.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ coordinators: 2, distributors: 1, workers: 1, settings: { WORKER_SLOTS: '3' } });
});
afterAll(() => cluster?.stop());

/** Keys that are not made from anything else. */
const TRUTH = /:(identity|m:|b:|catalog|u:)/;
const MADE_FROM_RECORDS = ['heads', 'lane:*', 'due', 'held:*', 'holders', 'deadline'];
const CARRIERS = ['mail:*', 'reports', 'wake', 'events', 'lease:*', 'beats'];

let running: string[] = [];
let waiting: string[] = [];

/** The worker is full, others wait for it or for their time: nothing but a repair brings back what is deleted now. */
beforeEach(async () => {
  running = await cluster.submitMany(Array.from({ length: 3 }, () => ({ agent: 'endless', input: { insist: true } })));
  for (const id of running) await cluster.reaches(id, 'running', 15_000);
  // Tasks that are due later stand in another lane: entering it, they would mend the one that was broken.
  const kinds = [{ agent: 'mark' }, { agent: 'deaf', delayMs: 600 }];
  waiting = await cluster.submitMany([...kinds, ...kinds, ...kinds].map((kind) => ({ ...kind, input: {} })));
});
afterEach(() => cluster.each([...running, ...waiting], (id) => cluster.call(`/v1/tasks/${id}/cancel`, {})));

async function expectAllToEnd(): Promise<number> {
  await pause(300);
  const from = Date.now();
  await cluster.each(running, (id) => cluster.call(`/v1/tasks/${id}/cancel`, {}));
  for (const id of [...running, ...waiting]) await cluster.reaches(id, 'completed cancelled', 20_000);
  return Date.now() - from;
}

async function drop(name: string): Promise<void> {
  const keys = await cluster.keys(name);
  expect(keys.length, `keys of ${name}`).toBeGreaterThan(0);
  await cluster.redis.call('DEL', ...keys);
}

it.each([...MADE_FROM_RECORDS, ...CARRIERS])(
  'ends all tasks after %s was deleted',
  async (name) => {
    await drop(name);
    console.log(`${name} deleted: all ended ${await expectAllToEnd()} ms later`);
  },
  40_000,
);

it('ends all tasks after everything but the records was deleted and the scripts were flushed', async () => {
  const keys = (await cluster.keys('*')).filter((key) => !TRUTH.test(key));
  await cluster.redis.call('DEL', ...keys);
  await cluster.redis.call('SCRIPT', 'FLUSH');
  console.log(`${keys.length} keys deleted: all ended ${await expectAllToEnd()} ms later`);
}, 40_000);

it('finds the tasks of a dead worker although every index that named them was deleted', async () => {
  await cluster.role('w1').kill();
  await drop('held:*');
  await drop('holders');
  await cluster.start('worker', 'w2').ready();
  const { pid } = cluster.role('w2');
  await within(12_000, 'they run again', () => {
    const again = cluster
      .traces()
      .filter((one) => one.event === 'began' && one.pid === pid && running.includes(one.task));
    return again.length === running.length;
  });
  await expectAllToEnd();
}, 40_000);

it('lists all tasks again after the index of blocks was deleted', async () => {
  await drop('blocks');
  await within(15_000, 'all are listed', async () => {
    const listed = new Set((await cluster.list()).map(({ id }) => id));
    return [...running, ...waiting].every((id) => listed.has(id));
  });
  await expectAllToEnd();
}, 40_000);

it('is loud about a flushed store, does nothing then, and works again once the coordinators were started anew', async () => {
  const since = Date.now();
  await cluster.redis.call('FLUSHALL');
  for (const id of ['c1', 'c2', 'd1', 'w2']) {
    const role = cluster.role(id);
    await role.says('The store is not the one this process worked with', { since });
    const { status, body } = await role.get('/ready');
    expect(status).toBe(503);
    expect(JSON.stringify(body)).toContain('lost its identity');
  }
  const { status } = await cluster.call('/v1/tasks', { agent: 'mark', input: {} });
  expect(status).toBe(503);
  for (const id of ['c1', 'c2']) await cluster.role(id).kill();
  for (const id of ['c1', 'c2']) cluster.start('coordinator', id);
  await cluster.allReady();
  const id = await cluster.submit({ agent: 'mark', input: {} });
  await cluster.reaches(id, 'completed');
}, 40_000);
