import type { HeartbeatBody } from '../message/bodies.ts';
import { openEnvelope } from '../message/envelope.ts';
import type { KeyRing } from '../message/keys.ts';
import type { Observe } from '../runtime/observer.ts';
import { type Heartbeat, type Store, streamPlace } from '../store/store.ts';
import type { StoreClock } from '../store/store-clock.ts';
import { isLaterIncarnation } from './incarnation.ts';

/** A worker that has not beaten for this many lease times is forgotten here. */
const FORGET_AFTER_TTLS = 20;
/** Refused heartbeats remembered, so that each is told of once; whoever writes more only gets told of again. */
const REJECTED_MAX = 10_000;

export interface SeenBeat {
  heartbeat: HeartbeatBody;
  /** Store time of the heartbeat: the worker's lease runs from here. */
  at: number;
  entry: string;
  /** When the worker signed it: an older or equal one is a repetition and renews nothing. */
  issuedAt: number;
  /** The last heartbeat of the life before this one, if it was heard here. */
  predecessor: HeartbeatBody | null;
}

export interface HeartbeatWatchOptions {
  store: Store;
  keys: KeyRing;
  clock: StoreClock;
  observe: Observe;
  shard: number;
  reader: 'coordinators' | 'distributors';
  deployment: string;
  instanceTtlMs: number;
}

/** The last verified heartbeat of every worker in one shard. One that does not verify counts as none. */
export class HeartbeatWatch {
  readonly #options: HeartbeatWatchOptions;
  readonly #seen = new Map<string, SeenBeat>();
  readonly #rejected = new Map<string, string>();
  #since = 0;

  constructor(options: HeartbeatWatchOptions) {
    this.#options = options;
  }

  get(worker: string): SeenBeat | undefined {
    return this.#seen.get(worker);
  }

  all(): IterableIterator<SeenBeat> {
    return this.#seen.values();
  }

  /** Reads what came since the last look; answers the store's time and the workers whose heartbeat is new. */
  async look(): Promise<{ now: number; fresh: SeenBeat[] }> {
    const { store, clock, shard } = this.#options;
    const { now, beats } = await clock.learn(() => store.heartbeats(shard, this.#since));
    const fresh: SeenBeat[] = [];
    for (const beat of beats) {
      // An entry that pretends to come from the future must not hide those that do not.
      this.#since = Math.max(this.#since, Math.min(beat.at, now));
      const seen = this.#take(beat, now);
      if (seen) fresh.push(seen);
    }
    this.#forget(now);
    return { now, fresh };
  }

  #take(beat: Heartbeat, now: number): SeenBeat | null {
    const before = this.#seen.get(beat.worker);
    if (before?.entry === beat.entry || this.#rejected.get(beat.worker) === beat.entry) return null;
    const message = this.#open(beat, now);
    if (!message) return null;
    const { body: heartbeat, issuedAt } = message;
    const same = before?.heartbeat.incarnation === heartbeat.incarnation;
    const isReplaced = before && isLaterIncarnation(before.heartbeat.incarnation, heartbeat.incarnation);
    if (isReplaced || (same && issuedAt <= before.issuedAt)) {
      this.#reject(beat, 'replay', isReplaced ? 'of an earlier incarnation' : 'an earlier heartbeat again', '');
      return null;
    }
    const seen: SeenBeat = {
      heartbeat,
      at: beat.at,
      entry: beat.entry,
      issuedAt,
      predecessor: predecessorOf(before, same),
    };
    this.#seen.set(beat.worker, seen);
    this.#rejected.delete(beat.worker);
    return seen;
  }

  #open(beat: Heartbeat, now: number): { body: HeartbeatBody; issuedAt: number } | null {
    const { reader, shard, deployment, keys } = this.#options;
    const stream = streamPlace(shard, `lease:${beat.worker}`);
    const text = reader === 'coordinators' ? beat.toCoordinators : beat.toDistributors;
    const expected = { to: reader, stream, streamKind: 'lease' as const, deployment, now, entryTime: beat.at };
    const opened = openEnvelope(text, expected, keys);
    if (opened.ok && opened.message.type === 'worker.heartbeat' && opened.message.body.worker === beat.worker) {
      const latencyMs = Math.max(0, beat.at - opened.message.issuedAt);
      this.#options.observe({
        type: 'message.received',
        message: 'worker.heartbeat',
        count: 1,
        latencyMs,
        envelope: text,
      });
      return opened.message;
    }
    this.#reject(
      beat,
      opened.ok ? 'sender' : opened.reason,
      opened.ok ? 'speaks for another worker' : opened.detail,
      text,
    );
    return null;
  }

  #reject(beat: Heartbeat, reason: string, detail: string, text: string): void {
    const { store, shard, observe } = this.#options;
    if (this.#rejected.size >= REJECTED_MAX) this.#rejected.clear();
    this.#rejected.set(beat.worker, beat.entry);
    const stream = `lease:${beat.worker}`;
    observe({ type: 'message.rejected', reason, detail, stream, entry: beat.entry });
    // The quarantine is for people; the heartbeat is refused whether or not this write arrives.
    store.quarantine(shard, [{ stream, entry: beat.entry, reason, text }]).catch(() => undefined);
  }

  #forget(now: number): void {
    const oldest = now - this.#options.instanceTtlMs * FORGET_AFTER_TTLS;
    for (const [worker, seen] of this.#seen) if (seen.at < oldest) this.#seen.delete(worker);
  }
}

function predecessorOf(before: SeenBeat | undefined, same: boolean): HeartbeatBody | null {
  if (!before) return null;
  return same ? before.predecessor : before.heartbeat;
}
