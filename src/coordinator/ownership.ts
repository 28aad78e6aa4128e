import { StoreUnavailableError } from '../errors.ts';
import { pause } from '../runtime/runtime.ts';
import { backoffMs } from '../store/patience.ts';
import { ByteRetention } from './byte-retention.ts';
import { endOverdue } from './deadline-keeper.ts';
import { LimitKeeper } from './limit-keeper.ts';
import { type OwnerContext, OwnershipLost } from './owner-context.ts';
import { promote } from './promoter.ts';
import { prune } from './pruner.ts';
import { Reaper } from './reaper.ts';
import { Reconciler } from './reconciler.ts';
import { ReportReader } from './report-reader.ts';

const PROMOTE_EVERY_MS = 100;
const RECONCILE_EVERY_MS = 500;
const SCHEDULE_EVERY_MS = 500;
const TIDY_EVERY_MS = 500;
const LIMITS_EVERY_MS = 1_000;
/** Of 50 blocks each: five million tasks, more than are submitted between two prunings. */
const PRUNE_ROUNDS_MAX = 1_000;
const REAP_EVERY_MAX_MS = 1_000;
/** Lease times of silence after which nothing of a worker is kept. */
const SILENT_TTLS = 20;

/** Everything the owner of a shard does, from the moment it has the epoch until it loses it. One loop per duty. */
export class Ownership {
  readonly #context: OwnerContext;
  readonly #reports: ReportReader;
  readonly #reaper: Reaper;
  readonly #reconciler: Reconciler;
  readonly #byteRetention: ByteRetention;
  readonly #limits: LimitKeeper;
  #loops: Promise<void>[] = [];

  /** @param context its `onAway` is taken over, so that an outage makes the reaper wait */
  constructor(context: Omit<OwnerContext, 'onAway'>) {
    this.#context = {
      ...context,
      onAway: () => this.#reaper.beQuiet(),
      onCommitted: (task, events) => {
        this.#byteRetention.touched(task.id);
        context.onCommitted(task, events);
      },
    };
    this.#reports = new ReportReader(this.#context);
    this.#reaper = new Reaper(this.#context, this.#reports);
    this.#reconciler = new Reconciler(this.#context);
    this.#limits = new LimitKeeper(this.#context);
    this.#byteRetention = new ByteRetention(this.#context);
  }

  get epoch(): string {
    return this.#context.epoch;
  }

  /** Local time at which reports were last looked for. */
  get movedAt(): number {
    return this.#reports.movedAt;
  }

  start(): void {
    const context = this.#context;
    const { heartbeatIntervalMs, cleanupIntervalMs } = context.policy;
    const reapEvery = Math.min(REAP_EVERY_MAX_MS, heartbeatIntervalMs / 2);
    this.#loops = [
      this.#reports.run(),
      this.#every(PROMOTE_EVERY_MS, 'promoter', () => promote(context)),
      this.#every(reapEvery, 'reaper', () => this.#reaper.tick()),
      this.#every(TIDY_EVERY_MS, 'deadline keeper', () => this.#tidy()),
      this.#every(LIMITS_EVERY_MS, 'limit keeper', () => this.#limits.tick()),
      this.#every(SCHEDULE_EVERY_MS, 'scheduler', async () => context.fireSchedules?.(context.shard)),
      this.#every(RECONCILE_EVERY_MS, 'reconciler', () => this.#reconciler.tick()),
      this.#every(cleanupIntervalMs, 'pruner', () => this.#prune()),
    ];
  }

  /** Resolves when every duty has ended, which they do once the context's signal aborts. */
  async ended(): Promise<void> {
    await Promise.all(this.#loops);
  }

  async #tidy(): Promise<void> {
    const { store, shard } = this.#context;
    await endOverdue(this.#context, this.#reports);
    await store.expireReservations(shard);
  }

  async #prune(): Promise<void> {
    for (let round = 0; round < PRUNE_ROUNDS_MAX; round++) if ((await prune(this.#context)) === 0) break;
    await this.#byteRetention.tick();
    await this.#retireSilentWorkers();
    if (this.#context.shard === 0) await this.#removeStaleInstances();
  }

  /** Workers that held nothing when they went are met by no other duty. One that still holds something is not retired. */
  async #retireSilentWorkers(): Promise<void> {
    const { store, shard, policy } = this.#context;
    const { now, beats } = await store.heartbeats(shard, 0);
    for (const { worker, incarnation, at } of beats) {
      if (now - at > SILENT_TTLS * policy.instanceTtlMs) await store.retire(shard, worker, incarnation);
    }
  }

  async #removeStaleInstances(): Promise<void> {
    const { store, policy } = this.#context;
    const { now, instances } = await store.instances();
    for (const instance of instances) {
      const stale = now - instance.seenAt > 4 * policy.instanceTtlMs;
      if (stale) await store.deregister(instance.id, instance.incarnation);
    }
  }

  async #every(ms: number, duty: string, tick: () => Promise<unknown>): Promise<void> {
    const { runtime, signal, observe, shard, onAway } = this.#context;
    let failures = 0;
    while (!signal.aborted) {
      let waitMs = ms;
      try {
        await tick();
        failures = 0;
      } catch (error) {
        if (error instanceof OwnershipLost || signal.aborted) return;
        failures += 1;
        waitMs = Math.min(1_000, Math.max(ms, backoffMs(failures, runtime.random())));
        if (error instanceof StoreUnavailableError) {
          onAway();
          error.onRetry?.(failures, Math.round(waitMs));
        } else observe({ type: 'fault', where: `${duty} of shard ${shard}`, error });
      }
      await pause(runtime, waitMs, signal);
    }
  }
}
