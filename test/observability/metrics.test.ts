import { describe, expect, it } from 'vitest';
import { METRICS } from '../../src/observability/metric-table.ts';
import { createMetrics, LABEL_VALUES_MAX, type Metrics } from '../../src/observability/metrics.ts';
import type { WatchedSystem } from '../../src/observability/watched-gauges.ts';
import { createVirtualRuntime } from '../../src/runtime/virtual-runtime.ts';

const runtime = createVirtualRuntime(1);

async function samples(metrics: Metrics, name: string): Promise<string[]> {
  const { text } = await metrics.render();
  return text.split('\n').filter((line) => new RegExp(`^${name}[ {]`).test(line));
}

describe('metrics', () => {
  it('are all there under their names, with those of the process', async () => {
    const { contentType, text } = await createMetrics({ redis: true, runtime }).render();
    expect(contentType).toContain('text/plain');
    for (const name of Object.keys(METRICS))
      expect(text).toContain(`# TYPE ${name} ${METRICS[name as keyof typeof METRICS].kind}\n`);
    expect(text).toContain('process_cpu_seconds_total');
    expect(text).toContain('nodejs_eventloop_lag_p99_seconds');
  });

  it('name nothing twice', async () => {
    createMetrics({ redis: true, runtime });
    const { text } = await createMetrics({ redis: true, runtime }).render();
    const types = text.split('\n').filter((line) => line.startsWith('# TYPE '));
    expect(new Set(types).size).toBe(types.length);
  });

  it('of two systems in one process do not mix', async () => {
    const [one, two] = [createMetrics({ redis: false, runtime }), createMetrics({ redis: false, runtime })];
    one.count('agent_retries_total', {}, 3);
    expect(await samples(one, 'agent_retries_total')).toEqual(['agent_retries_total 3']);
    expect(await samples(two, 'agent_retries_total')).toEqual(['agent_retries_total 0']);
  });

  it('have nothing of Redis on the embedded store', async () => {
    const metrics = createMetrics({ redis: false, runtime });
    metrics.storeHooks.onCommand('GET', 1, { waits: false });
    expect((await metrics.render()).text).not.toContain('redis_');
  });

  it('count and measure under their labels', async () => {
    const metrics = createMetrics({ redis: false, runtime });
    metrics.count('agent_tasks_total', { agent: 'echo', state: 'completed' });
    metrics.count('agent_tasks_total', { agent: 'echo', state: 'completed' }, 2);
    metrics.observe('task_duration_seconds', { agent: 'echo' }, 0.2);
    metrics.observe('task_duration_seconds', { agent: 'echo' }, -5);
    expect(await samples(metrics, 'agent_tasks_total')).toEqual([
      'agent_tasks_total{agent="echo",state="completed"} 3',
    ]);
    expect(await samples(metrics, 'task_duration_seconds_count')).toEqual([
      'task_duration_seconds_count{agent="echo"} 2',
    ]);
    expect(await samples(metrics, 'task_duration_seconds_sum')).toEqual([
      'task_duration_seconds_sum{agent="echo"} 0.2',
    ]);
  });

  it('call agents beyond the bound "other" and lose none of what they count', async () => {
    const metrics = createMetrics({ redis: false, runtime });
    const agents = Array.from({ length: LABEL_VALUES_MAX + 7 }, (_, i) => `agent-${i}`);
    for (const agent of agents) metrics.count('agent_tasks_total', { agent, state: 'queued' });
    metrics.gauges({ pending_tasks: () => agents.map((agent) => ({ labels: { agent }, value: 2 })) });
    const counted = await samples(metrics, 'agent_tasks_total');
    expect(counted).toHaveLength(LABEL_VALUES_MAX + 1);
    expect(counted).toContain('agent_tasks_total{agent="other",state="queued"} 7');
    expect(await samples(metrics, 'pending_tasks')).toContain('pending_tasks{agent="other"} 14');
  });
});

describe('gauges', () => {
  it('are asked anew at each scrape and shown only while somebody tells', async () => {
    const metrics = createMetrics({ redis: true, runtime });
    let connected: boolean | null = true;
    metrics.watch(aSystem({ connected: () => connected }));
    expect(await samples(metrics, 'redis_connected')).toEqual(['redis_connected 1']);
    connected = false;
    expect(await samples(metrics, 'redis_connected')).toEqual(['redis_connected 0']);
    connected = null;
    expect(await samples(metrics, 'redis_connected')).toEqual([]);
  });

  it('do not add up when two scrapes meet', async () => {
    const metrics = createMetrics({ redis: false, runtime });
    metrics.gauges({ agent_leader: async () => [{ labels: {}, value: 1 }] });
    await Promise.all([metrics.render(), metrics.render()]);
    expect(await samples(metrics, 'agent_leader')).toEqual(['agent_leader 1']);
  });

  it('do not hold up a scrape when a source fails or never answers', async () => {
    const failed: string[] = [];
    const clock = createVirtualRuntime(2);
    const metrics = createMetrics({ redis: false, runtime: clock, onError: (gauge) => void failed.push(gauge) });
    metrics.gauges({
      pending_tasks: () => Promise.reject(new Error('away')),
      agent_workers: () => new Promise(() => {}),
      agent_leader: () => [{ labels: {}, value: 1 }],
    });
    const scrape = metrics.render();
    await clock.advance(1_000);
    const { text } = await scrape;
    expect(text).toContain('\nagent_leader 1\n');
    expect(text).not.toContain('pending_tasks{');
    expect(failed).toEqual(['pending_tasks']);
  });

  it('tell slots, running attempts and ownership of this process', async () => {
    const metrics = createMetrics({ redis: false, runtime });
    const worker = { slots: 4, running: 3, draining: false, byAgent: { echo: 2, sum: 1 } };
    metrics.watch(aSystem({ workers: () => [worker, { slots: 2, running: 1, draining: true, byAgent: { echo: 1 } }] }));
    expect(await samples(metrics, 'worker_slots')).toEqual([
      'worker_slots{state="busy"} 4',
      'worker_slots{state="free"} 1',
      'worker_slots{state="draining"} 1',
    ]);
    expect(await samples(metrics, 'running_tasks')).toEqual([
      'running_tasks{agent="echo"} 3',
      'running_tasks{agent="sum"} 1',
    ]);
    expect(await samples(metrics, 'agent_leader')).toEqual(['agent_leader 0']);
  });

  it('tell of the whole system from the owner of shard 0 alone', async () => {
    const cluster = {
      queues: async () => [{ agent: 'echo', pending: 12 }],
      workers: async () => [{ state: 'ready' }, { state: 'busy' }, { state: 'ready' }],
    };
    const owner = createMetrics({ redis: false, runtime });
    owner.watch(aSystem({ owned: () => [0, 2], cluster }));
    expect(await samples(owner, 'pending_tasks')).toEqual(['pending_tasks{agent="echo"} 12']);
    expect(await samples(owner, 'agent_workers')).toContain('agent_workers{state="ready"} 2');
    expect(await samples(owner, 'agent_workers')).toContain('agent_workers{state="lost"} 0');
    const other = createMetrics({ redis: false, runtime });
    other.watch(aSystem({ owned: () => [1], cluster }));
    expect(await samples(other, 'pending_tasks')).toEqual([]);
    expect(await samples(other, 'agent_leader')).toEqual(['agent_leader 1']);
  });

  it('follow the connections of the store', async () => {
    const metrics = createMetrics({ redis: true, runtime });
    const { onConnection, onCommand } = metrics.storeHooks;
    onConnection({ purpose: 'commands', state: 'connected' });
    onConnection({ purpose: 'reading', state: 'connected' });
    onConnection({ purpose: 'reading', state: 'lost' });
    onCommand('evalsha', 0.004, { waits: false });
    onCommand('xread', 1, { waits: true });
    expect(await samples(metrics, 'redis_connections')).toEqual([
      'redis_connections{purpose="commands",state="connected"} 1',
      'redis_connections{purpose="commands",state="lost"} 0',
      'redis_connections{purpose="reading",state="connected"} 0',
      'redis_connections{purpose="reading",state="lost"} 1',
    ]);
    onConnection({ purpose: 'reading', state: 'reconnected' });
    expect(await samples(metrics, 'redis_connections')).toContain(
      'redis_connections{purpose="reading",state="connected"} 1',
    );
    expect(await samples(metrics, 'redis_reconnects_total')).toEqual(['redis_reconnects_total 1']);
    expect(await samples(metrics, 'redis_command_seconds_count')).toEqual(['redis_command_seconds_count 1']);
  });
});

function aSystem(over: Partial<WatchedSystem> = {}): WatchedSystem {
  return { connected: () => null, owned: () => [], workers: () => [], cluster: null, ...over };
}
