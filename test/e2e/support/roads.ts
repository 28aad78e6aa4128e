/** A system whose roles reach Redis by settings of the test's own, and what must be true of the tasks it runs. */
import { expect } from 'vitest';
import { type Cluster, emptyCluster } from './cluster.ts';

const ENDS = ['completed', 'failed', 'cancelled'];

/** @param settings all that says where Redis is; the redis-server that comes with every system of a test stands by */
export function systemAt(settings: Record<string, string>): Promise<Cluster> {
  return emptyCluster({ settings: { REDIS_URL: '', ...settings } });
}

export async function startRoles(cluster: Cluster, coordinators = 1): Promise<void> {
  for (let n = 1; n <= coordinators; n++) cluster.start('coordinator', `c${n}`);
  cluster.start('distributor', 'd1');
  cluster.start('worker', 'w1');
  await cluster.allReady();
}

/** Tasks with a key each, so that they may be submitted again when the answer is lost. */
export function requests(count: number, ms: number, name = 't') {
  return Array.from({ length: count }, (_, n) => ({ agent: 'mark', input: { ms }, key: `${name}${n}` }));
}

/** Each of these tasks was completed, once. */
export async function expectCompleted(cluster: Cluster, ids: string[], ms = 15_000): Promise<void> {
  const tasks = await cluster.allEnd(ids, ms);
  expect(tasks.filter(({ state }) => state !== 'completed')).toEqual([]);
  const histories = await cluster.each(ids, (id) => cluster.history(id));
  const ends = histories.map((lines) => lines.filter(({ state }) => ENDS.includes(state ?? '')).length);
  expect(ends).toEqual(ids.map(() => 1));
}

/** What a role says that is refused at its start, with exit code 78. */
export async function refusal(cluster: Cluster, settings: Record<string, string>): Promise<string> {
  const process = cluster.start('coordinator', 'refused', settings);
  const { code } = await process.exited;
  expect(code, process.text).toBe(78);
  return process.text;
}
