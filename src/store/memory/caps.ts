import { capsOfLane, isNamedBy, limitOf } from '../../scheduling/caps.ts';
import type { CapsChange, CapsReply, CapsView, CapUse } from '../store.ts';
import type { Indexes } from './indexes.ts';
import type { Lanes } from './lanes.ts';
import { SortedSet } from './sorted-set.ts';

/** Lanes put back in one call. */
const RELEASED_MAX = 1_000;
/** Caps with places that a take looks at, and lanes that each of them puts back then. */
const FREE_CAPS_MAX = 100;
const FREE_SLICE = 100;
const CAP = 'cap:';

/** The limits of one shard and who is bounded by them. How caps work is told in `redis/shared/caps.lua`; this is the same. */
export class Caps {
  readonly #lanes: Lanes;
  readonly #indexes: Indexes;
  readonly #limits = new Map<string, number>();
  readonly #freed = new Set<string>();
  /** Caps that have places while lanes still wait at them. */
  readonly #withPlaces = new SortedSet();
  #version = 0;

  constructor(lanes: Lanes, indexes: Indexes) {
    this.#lanes = lanes;
    this.#indexes = indexes;
  }

  /** The caps of a lane that bound it now. */
  boundsOf(lane: string): string[] {
    return capsOfLane(lane).filter((cap) => limitOf(cap, this.#limits) !== undefined);
  }

  /** How many tasks more; infinite where there is no limit. */
  roomOf(cap: string): number {
    const limit = limitOf(cap, this.#limits);
    return limit === undefined ? Number.POSITIVE_INFINITY : limit - this.#usedOf(cap);
  }

  /** Tenants are counted only while they have a limit, the others always: a limit that comes later finds the count right. */
  enter(id: string, lane: string): void {
    for (const cap of capsOfLane(lane)) {
      if (cap[0] === 't' && limitOf(cap, this.#limits) === undefined) continue;
      this.#indexes.apply({ do: 'add', index: `cap:${cap}`, member: id, score: 0 });
    }
  }

  leave(id: string, lane: string): void {
    for (const cap of capsOfLane(lane)) {
      this.#indexes.apply({ do: 'remove', index: `cap:${cap}`, member: id, score: 0 });
      this.#freed.add(cap);
    }
  }

  /** To be told of an index that an entry was taken out of. */
  noteRemoval(index: string): void {
    if (index.startsWith(CAP)) this.#freed.add(index.slice(CAP.length));
  }

  /** A cap that has places by now, of which nobody told the lane, is looked at once more. */
  lookAgainFor(lane: string): void {
    const cap = this.#lanes.waitsAt(lane);
    if (cap !== undefined) this.#freed.add(cap);
  }

  /** Puts back lanes for the places that tasks have left in this call. Answers whether there is something to look at now. */
  releaseFreed(): boolean {
    this.#lanes.forgetEmptied();
    const caps = [...this.#freed];
    this.#freed.clear();
    return this.#release(caps);
  }

  /** A take that found too little: places may be left while lanes wait that could use them. */
  releaseMore(): boolean {
    const caps = this.#withPlaces.ascending(null, FREE_CAPS_MAX).map(({ member }) => member);
    return this.#release(caps, FREE_SLICE);
  }

  /** Answers null when the change is refused, and whether lanes came back. */
  change(change: CapsChange): { reply: CapsReply; woke: boolean } {
    if (change.do === 'lower' || change.do === 'set') {
      if (change.version < this.#version) return { reply: { ok: false, used: {} }, woke: false };
      this.#version = change.version;
    }
    const changed = new Set<string>();
    for (const [name, limit] of Object.entries(change.limits)) {
      if (!this.#mayWrite(change.do, name, limit)) continue;
      changed.add(name);
      if (limit === null) this.#limits.delete(name);
      else this.#limits.set(name, limit);
    }
    if (change.do === 'replace') {
      for (const name of [...this.#limits.keys()]) {
        if (!Object.hasOwn(change.limits, name) && this.#limits.delete(name)) changed.add(name);
      }
    }
    const woke = this.#release(this.#lanes.capsWaitedAt().filter((cap) => isNamedBy(cap, changed)));
    const used = Object.fromEntries(Object.keys(change.limits).map((name) => [name, this.#usedOf(name)]));
    return { reply: { ok: true, used }, woke };
  }

  standing(): { limits: Record<string, number>; version: number } {
    return { limits: Object.fromEntries(this.#limits), version: this.#version };
  }

  /** As it was read back from a journal. */
  restore(limits: Record<string, number>, version: number): void {
    this.#limits.clear();
    for (const [name, limit] of Object.entries(limits)) this.#limits.set(name, limit);
    this.#version = version;
  }

  view(lanesMax: number): CapsView {
    const named = [...this.#limits.keys()].filter((name) => name.startsWith('a|') || name.startsWith('t|'));
    const wanted = new Map(named.map((cap) => [cap, 0]));
    for (const lane of this.#lanes.waiting(lanesMax)) {
      for (const cap of this.boundsOf(lane)) wanted.set(cap, (wanted.get(cap) ?? 0) + 1);
    }
    const used = [...wanted].map(([cap, wantedBy]): CapUse => {
      const limit = limitOf(cap, this.#limits) ?? null;
      return { cap, used: this.#usedOf(cap), limit, waitingLanes: this.#lanes.waitingAt(cap), wantedBy };
    });
    return { limits: Object.fromEntries(this.#limits), used, version: this.#version };
  }

  #mayWrite(how: CapsChange['do'], name: string, limit: number | null): boolean {
    const old = this.#limits.get(name);
    if (how === 'introduce' && old !== undefined) return false;
    if (how === 'lower' && old !== undefined && limit !== null && old <= limit) return false;
    return (old ?? null) !== limit;
  }

  #usedOf(cap: string): number {
    return this.#indexes.get(`cap:${cap}`)?.size ?? 0;
  }

  /** As many lanes as each cap has places, or `slice` where it has any. */
  #release(caps: readonly string[], slice?: number): boolean {
    let left = RELEASED_MAX;
    let found = false;
    for (const cap of caps) {
      const waiting = this.#lanes.waitingAt(cap);
      const room = waiting > 0 ? this.roomOf(cap) : 0;
      const count = room > 0 ? Math.min(left, waiting, slice ?? room) : 0;
      this.#lanes.putBack(cap, count);
      left -= count;
      found ||= room > 0;
      if (room > 0 && waiting > count) this.#withPlaces.set(cap, 0);
      else this.#withPlaces.delete(cap);
    }
    return found;
  }
}
