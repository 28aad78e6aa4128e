/** Limits of agents, concurrency keys and tenants over three workers with room for twelve attempts, on one shard and on four. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, startCluster, type Traced } from './support/cluster.ts';

const AGENTS = ['agents', 'capped-agents'].map((name) =>
  fileURLToPath(new URL(`./support/${name}.mjs`, import.meta.url)),
);

describe.each([1, 4])('with shards: %i', (shards) => {
  let cluster: Cluster;
  beforeAll(async () => {
    const settings = {
      AGENTS: AGENTS.join(','),
      SHARDS: String(shards),
      WORKER_SLOTS: '4',
      TENANT_CONCURRENCY: '3',
    };
    cluster = await startCluster({ coordinators: 1, distributors: 1, workers: 3, settings });
  });
  afterAll(() => cluster?.stop());

  it('runs no more attempts of an agent at once than it says, and lets others pass', async () => {
    const narrow = await cluster.submitMany(requests(10, { agent: 'narrow', input: { ms: 150 } }, ['a', 'b']));
    const others = await cluster.submitMany(requests(10, { agent: 'mark', input: { ms: 20 } }, ['c', 'd', 'e']));
    await cluster.allEnd([...narrow, ...others], 40_000);
    expect(mostAtOnce(traceOf(narrow))).toBe(2);
    const lastOther = Math.max(...traceOf(others).map(({ at }) => at));
    expect(lastOther).toBeLessThan(Math.max(...traceOf(narrow).map(({ at }) => at)));
  });

  it('runs tasks of one concurrency key one after another, and different keys side by side', async () => {
    const [left, right] = await Promise.all(
      ['left', 'right'].map((concurrencyKey) => {
        return cluster.submitMany(requests(5, { agent: 'mark', input: { ms: 150 }, concurrencyKey }, ['keyed']));
      }),
    );
    const tasks = await cluster.allEnd([...left!, ...right!], 30_000);
    expect(tasks.map(({ concurrencyKey }) => concurrencyKey)).toContain('left');
    expect(mostAtOnce(traceOf(left!))).toBe(1);
    expect(mostAtOnce(traceOf(right!))).toBe(1);
    expect(mostAtOnce(traceOf([...left!, ...right!]))).toBeLessThanOrEqual(2);
  });

  it('runs no more attempts of a tenant at once than TENANT_CONCURRENCY', async () => {
    const ids = await cluster.submitMany(requests(12, { agent: 'mark', input: { ms: 150 } }, ['busy']));
    await cluster.allEnd(ids, 40_000);
    const most = mostAtOnce(traceOf(ids));
    expect(most).toBeLessThanOrEqual(3);
    expect(most).toBeGreaterThan(1);
  });

  function traceOf(ids: string[]): Traced[] {
    const wanted = new Set(ids);
    return cluster.traces().filter(({ task }) => wanted.has(task));
  }
});

function requests(count: number, request: { agent: string; [more: string]: unknown }, tenants: string[]) {
  return Array.from({ length: count }, (_, n) => ({ ...request, tenant: tenants[n % tenants.length] }));
}

/** An end and a beginning in the same millisecond do not overlap. */
function mostAtOnce(trace: Traced[]): number {
  const steps = trace
    .filter(({ event }) => event !== 'told')
    .map(({ event, at }) => [at, event === 'began' ? 1 : -1] as const);
  steps.sort(([atA, a], [atB, b]) => atA - atB || a - b);
  let now = 0;
  let most = 0;
  for (const [, step] of steps) {
    now += step;
    most = Math.max(most, now);
  }
  return most;
}
