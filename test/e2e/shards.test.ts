/** Four shards under two coordinators: each shard has one owner at a time, and a killed one's go to the other. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Cluster, startCluster } from './support/cluster.ts';
import { within } from './support/eventually.ts';
import { expectOneAcceptanceEach } from './support/expect-tasks.ts';

const SHARDS = 4;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ coordinators: 2, distributors: 1, workers: 2, settings: { SHARDS: String(SHARDS) } });
});
afterAll(() => cluster?.stop());

const each = Array.from({ length: SHARDS }, (_, shard) => shard);

it('completes the tasks of all shards through the kill of a coordinator', async () => {
  await Promise.all(each.map((shard) => cluster.owner(shard)));
  const requests = Array.from({ length: 600 }, (_, n) => ({ agent: 'mark', input: { ms: 40 }, key: `k${n}` }));
  const ids = await cluster.submitMany(requests);
  const victim = await cluster.owner(0);
  await victim.kill();
  const survivor = cluster.living('coordinator')[0]!;
  await within(5_000, 'the survivor owns all shards', async () => {
    const owners = await Promise.all(each.map((shard) => cluster.owner(shard)));
    return owners.every((owner) => owner === survivor);
  });
  const tasks = await cluster.allEnd(ids, 20_000);
  expect(tasks.filter(({ state }) => state !== 'completed')).toEqual([]);
  await expectOneAcceptanceEach(cluster, ids);
  const used = await Promise.all(each.map(async (shard) => (await cluster.keys('m:*', shard)).length));
  expect(used.every((blocks) => blocks > 0)).toBe(true);
});
