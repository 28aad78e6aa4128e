import type { HeartbeatBody } from '../message/bodies.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { type Lane, parseLane } from '../scheduling/lane.ts';
import type { Owner, Store } from '../store/store.ts';
import type { SystemPolicy } from '../task/policy.ts';
import { isoOf } from '../task/view.ts';
import type { AgentCard, AgentCatalog } from './agent-catalog.ts';

const LANES_MAX = 10_000;

export interface InstanceView {
  id: string;
  role: string;
  incarnation: string;
  host: string;
  pid: number;
  version: string;
  url: string | null;
  startedAt: string;
  seenAt: string;
  alive: boolean;
  agents: string[];
  metadata: Record<string, string>;
  facts: Record<string, unknown>;
}

/** What the last verified heartbeat of a worker said. */
export interface WorkerLoad {
  heartbeat: HeartbeatBody;
  at: number;
}

export interface WorkerView {
  id: string;
  state: 'ready' | 'busy' | 'draining' | 'not_ready' | 'lost';
  slots: number;
  labels: Record<string, string>;
  /** What it has, and what of it is in use. */
  resources: Record<string, number>;
  used: Record<string, number>;
  running: number;
  waiting: number;
  agents: string[];
  distributor: string | null;
  host: string | null;
  pid: number | null;
  version: string | null;
  incarnation: string;
  lastHeartbeat: string;
}

export interface QueueView {
  agent: string;
  pending: number;
  urgent: number;
  lanes: number;
  paused: boolean;
}

export interface ClusterServiceOptions {
  store: Store;
  runtime: Runtime;
  policy: SystemPolicy;
  catalog: AgentCatalog;
  /** Verified heartbeats by worker, from all shards; read anew for each call. */
  heartbeats: () => Promise<{ now: number; loads: WorkerLoad[] }>;
}

/** The one door to what the system consists of: instances, workers, queues, owners. */
export class ClusterService {
  readonly #options: ClusterServiceOptions;

  constructor(options: ClusterServiceOptions) {
    this.#options = options;
  }

  async instances(): Promise<InstanceView[]> {
    const { now, instances } = await this.#options.store.instances();
    return instances.map((instance) => ({
      ...instance,
      startedAt: isoOf(instance.startedAt),
      seenAt: isoOf(instance.seenAt),
      alive: now - instance.seenAt <= this.#options.policy.instanceTtlMs,
    }));
  }

  async workers(): Promise<WorkerView[]> {
    const [{ now, loads }, { instances }] = await Promise.all([
      this.#options.heartbeats(),
      this.#options.store.instances(),
    ]);
    const byId = new Map(instances.map((instance) => [instance.id, instance]));
    return loads
      .map(({ heartbeat, at }) => ({
        id: heartbeat.worker,
        state: stateOf(heartbeat, now - at > this.#options.policy.instanceTtlMs),
        slots: heartbeat.slots,
        labels: heartbeat.labels ?? {},
        resources: heartbeat.resources ?? {},
        used: heartbeat.used ?? {},
        running: heartbeat.started.length,
        waiting: heartbeat.unstarted.length,
        agents: heartbeat.agents.map((agent) => agent.name),
        distributor: heartbeat.distributor,
        host: byId.get(heartbeat.worker)?.host ?? null,
        pid: byId.get(heartbeat.worker)?.pid ?? null,
        version: byId.get(heartbeat.worker)?.version ?? null,
        incarnation: heartbeat.incarnation,
        lastHeartbeat: isoOf(at),
      }))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  async queues(): Promise<QueueView[]> {
    const { store, policy } = this.#options;
    const shards = Array.from({ length: policy.shards }, (_, shard) => store.queues(shard, LANES_MAX));
    const byAgent = new Map<string, QueueView>();
    for (const lane of (await Promise.all(shards)).flatMap((reply) => reply.queues)) {
      const parsed = readLane(lane.lane);
      if (!parsed) continue;
      const { agent, urgent } = parsed;
      const queue = byAgent.get(agent) ?? { agent, pending: 0, urgent: 0, lanes: 0, paused: false };
      queue.pending += lane.length;
      queue.lanes += 1;
      if (urgent) queue.urgent += lane.length;
      queue.paused ||= lane.paused;
      byAgent.set(agent, queue);
    }
    for (const card of await this.#options.catalog.cards()) {
      if (!byAgent.has(card.name))
        byAgent.set(card.name, { agent: card.name, pending: 0, urgent: 0, lanes: 0, paused: false });
    }
    const paused = new Set(
      (await Promise.all(Array.from({ length: policy.shards }, (_, s) => store.paused(s)))).flat(),
    );
    for (const queue of byAgent.values()) queue.paused = paused.has(queue.agent);
    return [...byAgent.values()].sort((a, b) => (a.agent < b.agent ? -1 : 1));
  }

  agents(): Promise<AgentCard[]> {
    return this.#options.catalog.cards();
  }

  async pause(agent: string): Promise<void> {
    await this.#everyShard((shard) => this.#options.store.setPaused(shard, agent, true));
  }

  async resume(agent: string): Promise<void> {
    await this.#everyShard((shard) => this.#options.store.setPaused(shard, agent, false));
  }

  async owners(): Promise<(Owner & { shard: number })[]> {
    const owners = await this.#everyShard((shard) => this.#options.store.owner(shard));
    return owners.flatMap((owner, shard) => (owner ? [{ ...owner, shard }] : []));
  }

  #everyShard<T>(call: (shard: number) => Promise<T>): Promise<T[]> {
    return Promise.all(Array.from({ length: this.#options.policy.shards }, (_, shard) => call(shard)));
  }
}

/** Null for a name that no code of ours wrote: it must not hide the others. */
function readLane(name: string): Lane | null {
  try {
    return parseLane(name);
  } catch {
    return null;
  }
}

function stateOf(heartbeat: HeartbeatBody, expired: boolean): WorkerView['state'] {
  if (expired) return 'lost';
  if (heartbeat.draining) return 'draining';
  if (!heartbeat.ready) return 'not_ready';
  return heartbeat.started.length >= heartbeat.slots ? 'busy' : 'ready';
}
