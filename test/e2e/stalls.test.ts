/** Processes that stand still, or are told to stop what they do: no attempt is run twice for it, no late word counts. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Cluster, INSTANCE_TTL_MS, LEADER_TTL_MS, startCluster } from './support/cluster.ts';
import { pause, within } from './support/eventually.ts';
import { expectOneAcceptanceEach } from './support/expect-tasks.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ coordinators: 2, distributors: 1, workers: 1 });
});
afterAll(() => cluster?.stop());

it('refuses the writes of an owner that stood still for 3 × LEADER_TTL', async () => {
  const ids = await cluster.submitMany(Array.from({ length: 400 }, () => ({ agent: 'mark', input: { ms: 20 } })));
  const owner = await cluster.owner();
  const other = cluster.living('coordinator').find((one) => one !== owner)!;
  owner.signal('SIGSTOP');
  const stoppedAt = Date.now();
  const acquired = await other.says('Shard ownership acquired', { since: stoppedAt });
  await pause(3 * LEADER_TTL_MS - (Date.now() - stoppedAt));
  const continuedAt = Date.now();
  owner.signal('SIGCONT');
  const lost = await owner.says('Shard ownership lost', { since: continuedAt });
  console.log(`owned again ${acquired.readAt - stoppedAt} ms after the stop; the stopped one: ${lost.why}`);
  await cluster.allEnd(ids, 20_000);
  await expectOneAcceptanceEach(cluster, ids);
  expect(await cluster.owner()).toBe(other);
});

it('takes the shard from an owner whose epoch is no longer the stored one, and goes on', async () => {
  const owner = await cluster.owner();
  const since = Date.now();
  await cluster.redis.call('HSET', cluster.key('owner'), 'epoch', '999999-foreign');
  const ids = await cluster.submitMany(Array.from({ length: 20 }, () => ({ agent: 'mark', input: {} })));
  const lost = await owner.says('Shard ownership lost', { since });
  expect(lost.why).toBe('another owner has the epoch');
  await cluster.allEnd(ids, 10_000);
  await expectOneAcceptanceEach(cluster, ids);
});

it('runs a handler that holds the event loop for 4 × INSTANCE_TTL once', async () => {
  const id = await cluster.submit({ agent: 'hog', input: { ms: 4 * INSTANCE_TTL_MS } });
  const task = await cluster.reaches(id, 'completed failed', 15_000);
  expect(task.state).toBe('completed');
  expect(cluster.traces(id).map(({ event }) => event)).toEqual(['began', 'ended']);
  const assigned = (await cluster.history(id)).filter(
    ({ kind, state }) => kind === 'transition' && state === 'assigned',
  );
  expect(assigned).toHaveLength(1);
});

it('tells the handler of a cancelled task within 1 s, frees its slot when it ends, and refuses what it says then', async () => {
  const worker = cluster.role('w1');
  const running = async () => {
    const { workers } = (await worker.get('/status')).body as { workers: { running: number }[] };
    return workers[0]!.running;
  };
  const id = await cluster.submit({ agent: 'endless', input: { ms: 500, insist: true } });
  await cluster.reaches(id, 'running');
  expect(await running()).toBe(1);
  const cancelledAt = Date.now();
  const { status } = await cluster.call(`/v1/tasks/${id}/cancel`, { reason: 'changed my mind' });
  expect(status).toBe(200);
  const event = (name: string) => cluster.traces(id).find((one) => one.event === name);
  const told = await within(5_000, 'the handler is told', () => event('told'));
  console.log(`a cancelled handler was told after ${told!.at - cancelledAt} ms`);
  expect(told!.at - cancelledAt).toBeLessThan(1_000);
  // It still needs its half second: until then the slot is its own.
  if (!event('ended')) expect(await running()).toBe(1);
  await within(5_000, 'the handler ends', () => event('ended'));
  await within(2_000, 'the slot is free', async () => (await running()) === 0);
  const done = async () => ((await worker.get('/status')).body as { workers: { done: number }[] }).workers[0]!.done;
  await within(5_000, 'its report is decided', async () => (await done()) === 0);
  const task = await cluster.task(id);
  expect(task.state).toBe('cancelled');
  expect(task.result).toBeUndefined();
});
