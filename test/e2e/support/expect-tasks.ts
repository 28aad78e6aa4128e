/** What must be true of tasks whatever was done to the processes. */
import { expect } from 'vitest';
import type { Cluster, Traced } from './cluster.ts';

const ENDS = ['completed', 'failed', 'cancelled'];

/**
 * Each of these tasks ended once, as completed, by its history and by the shard's event stream, and the result it has
 * came from an execution that its agent wrote down.
 */
export async function expectOneAcceptanceEach(cluster: Cluster, ids: string[]): Promise<void> {
  const wanted = new Set(ids);
  const ends = new Map<string, number>();
  for (const { id, state } of await events(cluster)) {
    if (wanted.has(id) && ENDS.includes(state)) ends.set(id, (ends.get(id) ?? 0) + 1);
  }
  expect(ids.filter((id) => ends.get(id) !== 1)).toEqual([]);
  const runs = runsOf(cluster.traces());
  const wrong = await cluster.each(ids, (id) => faultOf(cluster, id, runs.get(id) ?? new Set()));
  expect(wrong.filter((fault) => fault !== null)).toEqual([]);
}

async function faultOf(cluster: Cluster, id: string, runs: Set<string>): Promise<string | null> {
  const [task, history] = await Promise.all([cluster.task(id), cluster.history(id)]);
  const ends = history.filter(({ kind, state }) => kind === 'transition' && ENDS.includes(state ?? ''));
  if (ends.length !== 1 || ends[0]?.state !== 'completed') return `${id} has the ends ${JSON.stringify(ends)}`;
  const { run } = (task.result ?? {}) as { run?: string };
  return run !== undefined && runs.has(run)
    ? null
    : `${id} has a result of no execution: ${JSON.stringify(task.result)}`;
}

/** Executions that ran to their end, by task. */
function runsOf(traces: Traced[]): Map<string, Set<string>> {
  const runs = new Map<string, Set<string>>();
  for (const { event, task, run } of traces) {
    if (event !== 'ended') continue;
    const its = runs.get(task) ?? new Set();
    runs.set(task, its.add(run));
  }
  return runs;
}

/** Every change of state, as the shard's event stream told it. */
async function events(cluster: Cluster): Promise<{ id: string; state: string }[]> {
  const shards = await Promise.all(
    Array.from({ length: cluster.shards }, (_, at) => cluster.stream('events', '-', at)),
  );
  return shards.flat().flatMap(([, { e = '' }]) =>
    e.split(';').map((one) => {
      const [id = '', , state = ''] = one.split(' ');
      return { id, state };
    }),
  );
}

export async function countEnds(cluster: Cluster, ids: string[]): Promise<number> {
  const wanted = new Set(ids);
  return (await cluster.list()).filter(({ id, state }) => wanted.has(id) && ENDS.includes(state)).length;
}
