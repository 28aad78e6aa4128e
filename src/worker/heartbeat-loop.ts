import { pause } from '../runtime/runtime.ts';
import { backoffMs } from '../store/patience.ts';
import type { Heart, HeartNews, HeartPorts, HeartPost, HeartSettings } from './heart.ts';
import { Heartbeat } from './heartbeat.ts';

/** Hurried beats are at least so far apart: many hand-backs in a row are told together. */
const HURRY_GAP_MS = 50;

/** A heart that beats in the loop it was started in. */
export function startHeartbeatLoop(settings: HeartSettings, ports: HeartPorts): Heart {
  return new HeartbeatLoop(settings, ports);
}

class HeartbeatLoop implements Heart {
  readonly #settings: HeartSettings;
  readonly #ports: HeartPorts;
  readonly #heartbeat: Heartbeat;
  readonly #shards: ShardPulse[];
  #listener: (news: HeartNews) => void = () => undefined;
  #running: Promise<unknown> | undefined;
  #stopping = false;

  constructor(settings: HeartSettings, ports: HeartPorts) {
    this.#settings = settings;
    this.#ports = ports;
    this.#heartbeat = new Heartbeat(settings, ports);
    this.#shards = Array.from({ length: settings.shards }, () => ({ hurry: false, wake: new AbortController() }));
  }

  listen(listener: (news: HeartNews) => void): void {
    this.#listener = listener;
  }

  post(post: HeartPost): void {
    this.#heartbeat.apply(post);
    if (!this.#running) this.#running = Promise.all(this.#shards.map((pulse, shard) => this.#run(shard, pulse)));
    else if (post.hurry) this.#hurry();
  }

  async stop(withinMs: number): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#hurry();
    const patience = new AbortController();
    await Promise.race([this.#running, pause(this.#ports.runtime, withinMs, patience.signal)]);
    patience.abort();
  }

  #hurry(): void {
    for (const pulse of this.#shards) {
      pulse.hurry = true;
      pulse.wake.abort();
    }
  }

  /** Each shard at its own pace: one that hangs does not make the leases on the others end. */
  async #run(shard: number, pulse: ShardPulse): Promise<void> {
    const { runtime } = this.#ports;
    let failures = 0;
    for (let last = false; !last; ) {
      last = this.#stopping;
      const startedAt = runtime.now();
      const news = await this.#heartbeat.tick(shard, takeHurry(pulse));
      failures = news.type === 'failed' ? failures + 1 : 0;
      const waitMs = this.#restMs(failures);
      this.#listener(news.type === 'failed' ? { ...news, tried: failures, waitMs: Math.round(waitMs) } : news);
      if (news.type === 'replaced') this.#stopping = last = true;
      if (!last) await this.#rest(pulse, startedAt, waitMs);
    }
  }

  #restMs(failures: number): number {
    const { heartbeatIntervalMs } = this.#settings;
    const { runtime } = this.#ports;
    return failures > 0 ? Math.min(backoffMs(failures, runtime.random()), heartbeatIntervalMs) : heartbeatIntervalMs;
  }

  async #rest(pulse: ShardPulse, startedAt: number, rest: number): Promise<void> {
    const { runtime } = this.#ports;
    await pause(runtime, startedAt + rest - runtime.now(), pulse.wake.signal);
    if (!this.#stopping) await pause(runtime, startedAt + Math.min(rest, HURRY_GAP_MS) - runtime.now());
    pulse.wake = new AbortController();
  }
}

interface ShardPulse {
  hurry: boolean;
  wake: AbortController;
}

function takeHurry(pulse: ShardPulse): boolean {
  const { hurry } = pulse;
  pulse.hurry = false;
  return hurry;
}
