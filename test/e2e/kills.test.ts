/** Roles killed without a word, in the middle of work: nothing is lost, nothing is accepted twice, and it is quick. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { aMoment, type Cluster, INSTANCE_TTL_MS, LEADER_TTL_MS, startCluster } from './support/cluster.ts';
import { within } from './support/eventually.ts';
import { countEnds, expectOneAcceptanceEach } from './support/expect-tasks.ts';

const TASKS = 2_000;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ coordinators: 2, distributors: 2, workers: 3, settings: { WORKER_SLOTS: '8' } });
});
afterAll(() => cluster?.stop());

/** Kills a process and starts another one with its id a moment later. */
async function replace(id: string): Promise<void> {
  const { role } = cluster.role(id);
  await cluster.role(id).kill();
  await aMoment();
  cluster.start(role, id);
}

it('runs the tasks of a killed worker again within INSTANCE_TTL + 2 s', async () => {
  const ids = await cluster.submitMany(Array.from({ length: 12 }, () => ({ agent: 'endless', input: {} })));
  const began = () => cluster.traces().filter(({ task, event }) => event === 'began' && ids.includes(task));
  await within(10_000, 'all 12 run', () => began().length === 12);
  const victim = cluster.living('worker').find(({ pid }) => pid === began()[0]!.pid)!;
  const its = began().filter(({ pid }) => pid === victim.pid);
  const killedAt = Date.now();
  await victim.kill();
  const again = await within(10_000, 'its tasks run elsewhere', () => {
    const later = began().filter(({ task, pid }) => pid !== victim.pid && its.some((one) => one.task === task));
    return later.length === its.length ? later : null;
  });
  const tookMs = Math.max(...again!.map(({ at }) => at)) - killedAt;
  console.log(`tasks of a killed worker ran again after ${tookMs} ms`);
  expect(tookMs).toBeLessThan(INSTANCE_TTL_MS + 2_000);
  cluster.start('worker', victim.id);
  await cluster.each(ids, (id) => cluster.call(`/v1/tasks/${id}/cancel`, {}));
});

it('gives the shard of a killed owner another owner within LEADER_TTL + 1 s', async () => {
  const owner = await cluster.owner();
  const killedAt = Date.now();
  await owner.kill();
  const [other] = cluster.living('coordinator');
  const line = await other!.says('Shard ownership acquired', { since: killedAt });
  const tookMs = line.readAt - killedAt;
  console.log(`the shard of a killed owner was owned again after ${tookMs} ms`);
  expect(tookMs).toBeLessThan(LEADER_TTL_MS + 1_000);
  await cluster.start('coordinator', owner.id).ready();
});

it('completes 2,000 tasks, one acceptance each, while every role is killed in turn', async () => {
  const requests = Array.from({ length: TASKS }, (_, n) => ({
    agent: 'mark',
    input: { ms: 60 + (n % 80) },
    key: `k${n}`,
  }));
  const startedAt = Date.now();
  const submitting = cluster.submitMany(requests);
  for (const id of ['w1', 'd1', 'c1', 'w2', 'd2', 'c2', 'w3']) {
    await aMoment();
    await replace(id);
  }
  const ids = await submitting;
  expect(new Set(ids).size).toBe(TASKS);
  const openAtLastKill = TASKS - (await countEnds(cluster, ids));
  const tasks = await cluster.allEnd(ids, 40_000);
  console.log(`${TASKS} tasks with 7 kills: ${Date.now() - startedAt} ms, ${openAtLastKill} open after the last kill`);
  expect(openAtLastKill).toBeGreaterThan(0);
  expect(tasks.filter(({ state }) => state !== 'completed')).toEqual([]);
  await expectOneAcceptanceEach(cluster, ids);
}, 90_000);
