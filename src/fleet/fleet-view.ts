import type { HeartbeatBody } from '../message/bodies.ts';
import { HeartbeatWatch } from './heartbeat-watch.ts';
import type { Ports } from './ports.ts';

export type FleetViewOptions = Omit<Ports, 'runtime'>;

/** All workers by their last verified heartbeats, for people to look at: one look reads what is new since the last. */
export class FleetView {
  readonly #options: FleetViewOptions;
  #watches: HeartbeatWatch[] = [];
  #deployment = '';

  constructor(options: FleetViewOptions) {
    this.#options = options;
  }

  async look(): Promise<{ now: number; loads: { heartbeat: HeartbeatBody; at: number }[] }> {
    this.#follow();
    const looks = await Promise.all(this.#watches.map((watch) => watch.look()));
    const loads = new Map<string, { heartbeat: HeartbeatBody; at: number }>();
    for (const watch of this.#watches) {
      for (const { heartbeat, at } of watch.all())
        loads.set(heartbeat.worker, merged(loads.get(heartbeat.worker), heartbeat, at));
    }
    return { now: Math.max(...looks.map(({ now }) => now)), loads: [...loads.values()] };
  }

  /** Begins anew when the store was opened, or is another one. */
  #follow(): void {
    const { policy, ...ports } = this.#options;
    if (this.#deployment === policy.deployment) return;
    this.#deployment = policy.deployment;
    const { deployment, instanceTtlMs } = policy;
    const shards = Array.from({ length: policy.shards }, (_, shard) => shard);
    this.#watches = shards.map(
      (shard) => new HeartbeatWatch({ ...ports, shard, reader: 'coordinators', deployment, instanceTtlMs }),
    );
  }
}

/** A worker beats on every shard, each time with that shard's attempts. */
function merged(before: { heartbeat: HeartbeatBody; at: number } | undefined, heartbeat: HeartbeatBody, at: number) {
  if (!before) return { heartbeat, at };
  const newest = at > before.at ? heartbeat : before.heartbeat;
  const started = [...before.heartbeat.started, ...heartbeat.started];
  const unstarted = [...before.heartbeat.unstarted, ...heartbeat.unstarted];
  return { heartbeat: { ...newest, started, unstarted }, at: Math.max(at, before.at) };
}
