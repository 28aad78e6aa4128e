import type { GaugeName } from './metric-table.ts';
import type { GaugeSource, Sample } from './metrics.ts';

/** What a running system is asked at each scrape. */
export interface WatchedSystem {
  /** Whether Redis answers; null on the embedded store. */
  connected: () => boolean | null;
  /** Shards that this process owns. */
  owned: () => readonly number[];
  /** The workers in this process. */
  workers: () => readonly WatchedWorker[];
  /** Null on a distributor and on a worker. */
  cluster: WatchedCluster | null;
}

export interface WatchedWorker {
  slots: number;
  running: number;
  draining: boolean;
  /** Running attempts by agent. */
  byAgent: Readonly<Record<string, number>>;
}

export interface WatchedCluster {
  queues(): Promise<readonly { agent: string; pending: number }[]>;
  workers(): Promise<readonly { state: string }[]>;
}

const WORKER_STATES = ['ready', 'busy', 'draining', 'not_ready', 'lost'];

/**
 * What belongs to one process comes from that process; what belongs to the whole system comes from the owner of shard 0
 * alone, so that a sum over all processes counts everything once.
 */
export function watchedGauges({
  connected,
  owned,
  workers,
  cluster,
}: WatchedSystem): Partial<Record<GaugeName, GaugeSource>> {
  const ofSystem = (ask: (cluster: WatchedCluster) => Promise<Sample[]>) => async () =>
    cluster && owned().includes(0) ? ask(cluster) : [];
  return {
    redis_connected: () => connectedSamples(connected()),
    agent_leader: () => [{ labels: {}, value: owned().length > 0 ? 1 : 0 }],
    running_tasks: () => workers().flatMap(({ byAgent }) => Object.entries(byAgent).map(ofAgent)),
    worker_slots: () => workers().flatMap(slotSamples),
    pending_tasks: ofSystem(async (asked) =>
      (await asked.queues()).map(({ agent, pending }) => ofAgent([agent, pending])),
    ),
    agent_workers: ofSystem(async (asked) => workerSamples(await asked.workers())),
  };
}

function connectedSamples(connected: boolean | null): Sample[] {
  return connected === null ? [] : [{ labels: {}, value: connected ? 1 : 0 }];
}

function ofAgent([agent, value]: [string, number]): Sample {
  return { labels: { agent }, value };
}

/** Free slots of a worker that drains take no work: they are told apart. */
function slotSamples({ slots, running, draining }: WatchedWorker): Sample[] {
  const free = Math.max(0, slots - running);
  return [
    { labels: { state: 'busy' }, value: running },
    { labels: { state: 'free' }, value: draining ? 0 : free },
    { labels: { state: 'draining' }, value: draining ? free : 0 },
  ];
}

function workerSamples(workers: readonly { state: string }[]): Sample[] {
  return WORKER_STATES.map((state) => ({
    labels: { state },
    value: workers.filter((worker) => worker.state === state).length,
  }));
}
