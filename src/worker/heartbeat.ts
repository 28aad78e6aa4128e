/**
 * One heartbeat of one worker to one shard, over ports. It vouches for two things apart: *alive* (keep my attempts),
 * which is true as long as it beats, and *ready* (give me work), which ends when the worker's loop stands still. So a
 * handler that blocks the loop keeps its attempt, up to that attempt's own deadline, and is not run a second time.
 */
import type { HeartbeatBody } from '../message/bodies.ts';
import { signEnvelope } from '../message/envelope.ts';
import { workerPrincipal } from '../message/principals.ts';
import { type BeatReply, streamPlace } from '../store/store.ts';
import { StoreClock } from '../store/store-clock.ts';
import { chooseDistributor } from './choose-distributor.ts';
import type { HeartFacts, HeartNews, HeartPorts, HeartPost, HeartSettings } from './heart.ts';
import { HeldAttempts } from './held-lists.ts';

const MESSAGE_ID_LENGTH = 20;

export class Heartbeat {
  readonly #settings: HeartSettings;
  readonly #ports: HeartPorts;
  readonly #clock: StoreClock;
  readonly #held: HeldAttempts;
  readonly #mailbox: string[];
  /** What each shard was last told of ready, draining and distributor. */
  readonly #told: string[] = [];
  /** Per shard, the time that its last heartbeat was signed with. */
  readonly #signedAt: number[] = [];
  #facts: HeartFacts = { ready: false, draining: false, extra: 0, quick: [] };
  #progressAt = Number.NEGATIVE_INFINITY;
  #clockSet = false;
  #distributor: string | null = null;
  #chosenAt = Number.NEGATIVE_INFINITY;
  #choosing: Promise<void> | undefined;

  constructor(settings: HeartSettings, ports: HeartPorts) {
    this.#settings = settings;
    this.#ports = ports;
    this.#clock = new StoreClock(ports.runtime);
    this.#held = new HeldAttempts(settings.shards);
    this.#mailbox = Array.from({ length: settings.shards }, () => '0-0');
  }

  apply({ progressAt, changes, mailbox, facts }: HeartPost): void {
    this.#progressAt = Math.max(this.#progressAt, progressAt);
    this.#held.apply(changes);
    mailbox.forEach((cursor, shard) => {
      this.#mailbox[shard] = cursor;
    });
    if (facts) this.#facts = facts;
  }

  /** Never rejects: a store that does not answer is news too. */
  async tick(shard: number, hurry: boolean): Promise<HeartNews> {
    const { runtime } = this.#ports;
    try {
      await this.#setClock();
      await this.#choose();
      return await this.#beat(shard, hurry, true);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return { type: 'failed', shard, at: runtime.now(), message };
    }
  }

  async #beat(shard: number, hurry: boolean, mayEnlist: boolean): Promise<HeartNews> {
    const { store, runtime } = this.#ports;
    const { worker, incarnation } = this.#settings;
    const sentAt = runtime.now();
    const body = this.#body(shard, sentAt);
    const signedAt = this.#signingTime(shard);
    const told = `${body.ready} ${body.draining} ${body.distributor}`;
    const jtis = [runtime.id(MESSAGE_ID_LENGTH), runtime.id(MESSAGE_ID_LENGTH)] as const;
    const head = { shard, body, now: signedAt };
    const reply = await store.beat(shard, {
      worker,
      incarnation,
      toCoordinators: this.#sign('coordinators', jtis[0], head),
      toDistributors: this.#sign('distributors', jtis[1], head),
      mailbox: body.mailbox,
      wake: hurry || told !== this.#told[shard],
    });
    if (!reply.ok) return this.#refused(shard, hurry, mayEnlist, reply);
    this.#told[shard] = told;
    this.#clock.read(reply.now, sentAt);
    const { now, released } = reply;
    return { type: 'beat', shard, sentAt, now, released, distributor: this.#distributor, jtis };
  }

  /** A shard that knows no incarnation of this worker (its first beat, or data was lost) is told of this one. */
  async #refused(
    shard: number,
    hurry: boolean,
    mayEnlist: boolean,
    reply: BeatReply & { ok: false },
  ): Promise<HeartNews> {
    const { worker, incarnation } = this.#settings;
    if (reply.reason === 'unknown' && mayEnlist && (await this.#ports.store.enlist(shard, worker, incarnation))) {
      return this.#beat(shard, hurry, false);
    }
    return { type: 'replaced' };
  }

  #body(shard: number, now: number): HeartbeatBody {
    const { worker, incarnation, slots, agents, resources, labels, readyProgressWithinMs } = this.#settings;
    const { ready, draining, extra, quick } = this.#facts;
    return {
      worker,
      incarnation,
      distributor: this.#distributor,
      alive: true,
      ready: ready && now - this.#progressAt < readyProgressWithinMs,
      draining,
      slots: Math.max(0, slots - this.#held.overdue(now)),
      extra,
      quick,
      agents: this.#facts.agents ?? agents,
      ...this.#held.lists(shard, now),
      mailbox: this.#mailbox[shard] ?? '0-0',
      resources,
      used: this.#facts.used,
      labels,
      load: this.#ports.load?.(),
    };
  }

  #sign(
    to: 'coordinators' | 'distributors',
    jti: string,
    { shard, body, now }: { shard: number; body: HeartbeatBody; now: number },
  ): string {
    const { worker, deployment } = this.#settings;
    const { keys } = this.#ports;
    return signEnvelope(
      {
        jti,
        type: 'worker.heartbeat',
        from: workerPrincipal(worker),
        to,
        stream: streamPlace(shard, `lease:${worker}`),
        deployment,
        now,
        body,
      },
      keys,
    );
  }

  /** Readers take a heartbeat that is not newer than the last for a repetition, so a corrected clock must not go back. */
  #signingTime(shard: number): number {
    const time = Math.max(this.#clock.now(), (this.#signedAt[shard] ?? 0) + 1);
    this.#signedAt[shard] = time;
    return time;
  }

  async #setClock(): Promise<void> {
    if (this.#clockSet) return;
    await this.#clock.learn(async () => ({ now: await this.#ports.store.now() }));
    this.#clockSet = true;
  }

  /** Once per round of beats, however many shards. */
  async #choose(): Promise<void> {
    const now = this.#ports.runtime.now();
    if (now - this.#chosenAt < this.#settings.heartbeatIntervalMs / 2) return;
    this.#choosing ??= this.#chooseNow(now).finally(() => {
      this.#choosing = undefined;
    });
    await this.#choosing;
  }

  async #chooseNow(at: number): Promise<void> {
    const { worker, instanceTtlMs, distributorId } = this.#settings;
    this.#chosenAt = at;
    try {
      const { now, instances } = await this.#ports.store.instances();
      this.#distributor = chooseDistributor({ worker, instances, now, ttlMs: instanceTtlMs, fixed: distributorId });
    } catch {
      // The registry may be away where this shard is not: the choice stays, the lease goes on, the next round asks again.
    }
  }
}
