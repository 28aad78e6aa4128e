/* Schedules with real processes: whichever coordinator owns the shard, each time makes one task. */
import { afterEach, expect, it } from 'vitest';
import type { ScheduleView } from '../../src/service/schedule-service.ts';
import { type Cluster, startCluster } from './support/cluster.ts';
import { pause, within } from './support/eventually.ts';

let cluster: Cluster;
afterEach(() => cluster?.stop());

it('makes one task for each time, although the owner is killed again and again', async () => {
  cluster = await startCluster({ coordinators: 2, workers: 1 });
  const made = await cluster.call('/v1/schedules', {
    id: 'tick',
    everyMs: 1_000,
    overlap: 'allow',
    missed: 'all',
    task: { agent: 'echo', input: { n: 1 } },
  });
  expect(made.status).toBe(201);
  for (let kill = 1; kill <= 3; kill++) {
    await pause(1_500);
    const owner = await cluster.owner();
    await owner.kill();
    cluster.start('coordinator', owner.id);
    await cluster.owner();
  }
  await pause(1_500);
  const schedule = await within(10_000, 'the schedule is read', async () => {
    const { status, body } = await cluster.call('/v1/schedules/tick/pause', {});
    return status === 200 ? (body as ScheduleView) : null;
  });
  const tasks = (await cluster.list()).filter(({ labels }) => labels.schedule === 'tick');
  const times = tasks.map(({ metadata }) => Date.parse(String(metadata.scheduledFor))).sort((a, b) => a - b);
  expect(times.length).toBeGreaterThanOrEqual(6);
  // From the first to the last, every second once: none was left out, none came twice.
  expect(times).toEqual(times.map((_, n) => times[0]! + n * 1_000));
  expect(times.at(-1)).toBe(Date.parse(schedule!.last!.at));
  expect(times[0]! - Date.parse(schedule!.createdAt)).toBe(1_000);
  await cluster.allEnd(
    tasks.map(({ id }) => id),
    20_000,
  );
}, 90_000);
