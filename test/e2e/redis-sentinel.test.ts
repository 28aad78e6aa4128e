/** A master watched by sentinels: killed under load, its replica takes over, and no task that was answered is lost. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { MASTER_NAME, startWatched, type Watched } from '../support/redis-sentinels.ts';
import type { Cluster } from './support/cluster.ts';
import { pause } from './support/eventually.ts';
import { expectCompleted, refusal, requests, startRoles, systemAt } from './support/roads.ts';

const PASSWORD = 'e2e-pass-0815';

let watched: Watched;
let cluster: Cluster;
beforeAll(async () => {
  watched = await startWatched();
  const nodes = watched.sentinels.map(({ host, port }) => `${host}:${port}`).join(',');
  cluster = await systemAt({ REDIS_SENTINELS: nodes, REDIS_MASTER_NAME: MASTER_NAME });
}, 30_000);
afterAll(async () => {
  await cluster?.stop();
  await watched?.stop();
});

it('refuses a name that the sentinels do not know, and a password that the master does not want', async () => {
  const unknown = await refusal(cluster, { REDIS_MASTER_NAME: 'mymaster' });
  expect(unknown).toMatch(/knows no master .*mymaster.*as-master.*set REDIS_MASTER_NAME/);
  const user = await refusal(cluster, { REDIS_USERNAME: 'nobody', REDIS_PASSWORD: PASSWORD });
  expect(user).toMatch(/WRONGPASS.*check REDIS_USERNAME and REDIS_PASSWORD/);
});

it('loses no task that was taken when the master is killed under load', async () => {
  await startRoles(cluster, 2);
  const ids = await cluster.submitMany(requests(300, 20, 'before'));
  // Replication is asynchronous: what was answered a moment ago may be lost with the master, so that moment passes.
  await pause(300);
  await watched.master.kill();
  const from = Date.now();
  const later = await cluster.submitMany(requests(100, 5, 'after'));
  console.log(`tasks were taken again ${Date.now() - from} ms after the master was killed`);
  await expectCompleted(cluster, [...ids, ...later], 30_000);
}, 60_000);

it('stays with the new master when the old one comes back', async () => {
  const port = await watched.masterPort();
  await watched.master.kill();
  await watched.master.restart();
  await pause(1_500);
  expect(await watched.masterPort()).toBe(port);
  await expectCompleted(cluster, await cluster.submitMany(requests(50, 5, 'last')));
}, 30_000);
