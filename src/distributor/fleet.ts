/*
 * What a distributor knows of the workers that belong to it: how many attempts each one holds. Three sources, in rising
 * weight: its own assignments count from before their commit; unsigned hints on the wake-up stream free slots at once;
 * each heartbeat corrects everything it can speak of. A wrong count costs a hand-back, never a task.
 *
 * A heartbeat speaks of the moment when it was signed, and is read later than hints that came after it. Of an attempt
 * that was released by such a hint it knows nothing yet: taken at its word, it would fill slots that are free, and with
 * attempts that last for less than a heartbeat most of them, until the next one comes.
 *
 * What lies in a worker's mailbox unread is on its way, and fills a slot. A worker that was silent for longer than its
 * lease may have been given up meanwhile, and its mailbox taken away: it will never read what lay there, and so never
 * say that it has. Counting on it would leave the worker without work for good.
 */

import type { SeenBeat } from '../fleet/heartbeat-watch.ts';
import { isLaterIncarnation } from '../fleet/incarnation.ts';
import { RecentMap } from '../runtime/recent-map.ts';
import type { WorkerCapacity } from '../scheduling/placement.ts';
import { type Amounts, addAmounts } from '../scheduling/requirements.ts';
import { compareEntries } from '../store/entry-id.ts';
import { heldName, holderOf } from '../store/store.ts';
import { shardOf } from '../task/id.ts';

/** A worker's heart is told a moment later than its reports are sent what has ended: its lists lag by so much at most. */
const LISTS_LAG_MS = 250;
/** No heartbeat that is still to be read was signed longer ago, unless this loop stood still: then it costs idle slots. */
const RELEASES_KEPT_MS = 2_000;

/** An attempt that a worker has not released, as far as we know. */
interface HeldAttempt {
  shard: number;
  urgent: boolean;
  /** Mailbox entry that carries it; null until its commit was answered, undefined when only the worker spoke of it. */
  entry: string | null | undefined;
  /** Resources it takes; unknown of an attempt that only the worker spoke of. */
  needs?: Amounts;
  /** Named in a heartbeat, whose sum of resources in use holds its needs too. */
  listed: boolean;
}

/** An attempt that a hint has released. */
interface Released {
  /** Store time of the hint. */
  at: number;
  needs: Amounts | undefined;
}

/** The last heartbeat read in one shard. */
interface Heard {
  at: number;
  /** What was posted up to this mailbox entry is not on its way any more, whatever the worker has read. */
  mailGoneUpTo: string;
}

export interface Member extends WorkerCapacity {
  /** `worker@incarnation` */
  ref: string;
  worker: string;
  incarnation: string;
  agents: Set<string>;
  quick: Set<string>;
  used: Record<string, number>;
  at: number;
}

interface Known extends Member {
  urgent: number;
  ready: boolean;
  /** Handed something back: nothing more before its next heartbeat. */
  rests: boolean;
  held: Map<string, HeldAttempt>;
  /** By shard. */
  heard: Map<number, Heard>;
  /** By name. Only what was held gets here, so that nobody can fill it with hints. */
  released: RecentMap<Released>;
}

/** What a worker says on the wake-up stream, unsigned. */
export interface Hint {
  w: string;
  i: string;
  /** Attempts released. */
  r?: string[];
  /** Credit beyond slots, and for which agents. */
  x?: number;
  q?: string[];
  /** It handed something back that exceeded its credit. */
  b?: boolean;
}

export class Fleet {
  readonly #id: string;
  readonly #instanceTtlMs: number;
  readonly #members = new Map<string, Known>();

  /**
   * @param id of this distributor: workers whose heartbeat names it belong here
   * @param instanceTtlMs how long a worker's lease lasts
   */
  constructor(id: string, instanceTtlMs: number) {
    this.#id = id;
    this.#instanceTtlMs = instanceTtlMs;
  }

  get size(): number {
    return this.#members.size;
  }

  /** Workers that take work now: heard within their lease, ready, and not resting. */
  available(now: number): Member[] {
    const members: Member[] = [];
    for (const member of this.#members.values()) {
      if (member.ready && !member.rests && now - member.at <= this.#instanceTtlMs) members.push(member);
    }
    return members;
  }

  /** Every worker here with what it holds. */
  loads(): { worker: string; incarnation: string; slots: number; occupied: number; ready: boolean; held: string[] }[] {
    return [...this.#members.values()].map(({ worker, incarnation, slots, occupied, ready, held }) => {
      return { worker, incarnation, slots, occupied, ready, held: [...held.keys()] };
    });
  }

  member(worker: string): Member | undefined {
    return [...this.#members.values()].find((member) => member.worker === worker);
  }

  /** Takes in a verified heartbeat that was read in `shard`. */
  hear(seen: SeenBeat, shard: number): void {
    const { heartbeat, issuedAt } = seen;
    const ref = holderOf(heartbeat.worker, heartbeat.incarnation);
    // Another shard may still hold the last heartbeat of a life that is over.
    const known = this.member(heartbeat.worker);
    if (known && isLaterIncarnation(known.incarnation, heartbeat.incarnation)) return;
    this.#removeOthers(heartbeat.worker, ref);
    if (heartbeat.distributor !== this.#id) return void this.#members.delete(ref);
    const member = this.#members.get(ref) ?? newMember(ref, heartbeat.worker, heartbeat.incarnation);
    this.#members.set(ref, member);
    member.at = Math.max(member.at, seen.at);
    member.ready = heartbeat.ready && heartbeat.alive && !heartbeat.draining;
    member.rests = false;
    member.slots = heartbeat.slots;
    member.extra = heartbeat.extra;
    member.quick = new Set(heartbeat.quick);
    member.agents = new Set(heartbeat.agents.map((agent) => agent.name));
    if (heartbeat.load) member.load = { cpu: heartbeat.load.cpu, memory: heartbeat.load.memory };
    const listed = new Set([...heartbeat.unstarted, ...heartbeat.started].filter((held) => shardOf(held) === shard));
    const outdated = takeReleasedSince(issuedAt - LISTS_LAG_MS, member, listed);
    member.labels = heartbeat.labels ?? {};
    member.resources = heartbeat.resources ?? {};
    correct(member, shard, listed, readUpTo(member, seen, shard, this.#instanceTtlMs));
    member.used = usedOf(member, heartbeat.used, outdated);
  }

  /**
   * Takes in a hint of store time `at`; answers whether it freed anything. Anyone may have written it: what does not fit
   * is ignored.
   */
  hint(hint: Hint, at: number): boolean {
    const member = this.#members.get(holderOf(hint.w, hint.i));
    if (!member) return false;
    if (typeof hint.x === 'number' && Number.isInteger(hint.x) && hint.x >= 0) member.extra = Math.min(hint.x, 10_000);
    if (Array.isArray(hint.q)) member.quick = new Set(hint.q.filter((agent) => typeof agent === 'string'));
    // The heartbeat that ends the rest may have been read before the hint that begins it.
    if (hint.b === true && at > member.at) member.rests = true;
    if (!Array.isArray(hint.r)) return false;
    let freed = false;
    for (const held of hint.r) freed = release(member, held, at) || freed;
    return freed;
  }

  /** Counts an assignment before its commit: the hint of a quick attempt may come before the commit's answer. */
  occupy(
    ref: string,
    task: string,
    attemptId: string,
    { now, ...facts }: { shard: number; urgent: boolean; needs?: Amounts; now: number },
  ): void {
    const member = this.#members.get(ref);
    if (!member) return;
    hold(member, heldName(task, attemptId), { ...facts, entry: null, listed: false });
    member.lastAssignedAt = Math.max(member.lastAssignedAt, now);
  }

  /** The commit was answered: the assignment is in this mailbox entry, or lost (null). */
  settle(ref: string, task: string, attemptId: string, entry: string | null): void {
    const member = this.#members.get(ref);
    const name = heldName(task, attemptId);
    const held = member?.held.get(name);
    if (!member || !held) return;
    if (entry === null) letGo(member, name);
    else held.entry = entry;
  }

  /** Forgets workers that have not been heard of for `ttls` lease times. */
  forget(now: number, ttls = 4): void {
    const oldest = now - ttls * this.#instanceTtlMs;
    for (const [ref, member] of this.#members) if (member.at < oldest) this.#members.delete(ref);
  }

  #removeOthers(worker: string, ref: string): void {
    for (const [other, member] of this.#members) {
      if (member.worker === worker && other !== ref) this.#members.delete(other);
    }
  }
}

function newMember(ref: string, worker: string, incarnation: string): Known {
  return {
    ref,
    worker,
    incarnation,
    agents: new Set(),
    quick: new Set(),
    used: {},
    slots: 0,
    extra: 0,
    occupied: 0,
    urgent: 0,
    lastAssignedAt: 0,
    at: 0,
    ready: false,
    rests: false,
    held: new Map(),
    heard: new Map(),
    released: new RecentMap({ keepMs: RELEASES_KEPT_MS }),
  };
}

function release(member: Known, name: string, at: number): boolean {
  const held = member.held.get(name);
  if (!held) return false;
  letGo(member, name);
  member.released.set(name, { at, needs: held.needs }, at);
  return true;
}

/** Takes off the list, and answers, what was released at `time` or later: whoever wrote the list could not know of it. */
function takeReleasedSince(time: number, member: Known, listed: Set<string>): Released[] {
  const found: Released[] = [];
  for (const name of listed) {
    const released = member.released.get(name);
    if (!released || released.at < time) continue;
    listed.delete(name);
    found.push(released);
  }
  return found;
}

/** The mailbox entry up to which nothing is on its way: it was read, or it may be gone. */
function readUpTo(member: Known, { heartbeat, at }: SeenBeat, shard: number, instanceTtlMs: number): string {
  const before = member.heard.get(shard);
  const wasSilent = before !== undefined && at - before.at > instanceTtlMs;
  const mailGoneUpTo = wasSilent ? `${at}-0` : (before?.mailGoneUpTo ?? '0-0');
  member.heard.set(shard, { at, mailGoneUpTo });
  return compareEntries(mailGoneUpTo, heartbeat.mailbox) > 0 ? mailGoneUpTo : heartbeat.mailbox;
}

/** What the worker lists it holds; what it has read and does not list it has released; what it has not read is on its way. */
function correct(member: Known, shard: number, listed: Set<string>, readTo: string): void {
  for (const [name, held] of member.held) {
    if (held.shard !== shard || listed.has(name)) continue;
    const onItsWay = held.entry === null || (held.entry !== undefined && compareEntries(held.entry, readTo) > 0);
    if (!onItsWay) letGo(member, name);
  }
  for (const name of listed) {
    const held = member.held.get(name);
    if (held) held.listed = true;
    else hold(member, name, { shard, urgent: false, entry: undefined, listed: true });
  }
}

/**
 * What the worker counts itself, over all shards, and what is on its way to it. Its word also covers attempts that an
 * earlier life of this distributor assigned. A worker that gives none is taken for what was assigned here.
 */
function usedOf(member: Known, reported: Amounts | undefined, outdated: Released[]): Record<string, number> {
  const used = { ...reported };
  if (reported) for (const { needs } of outdated) addAmounts(used, needs, -1);
  for (const { needs, listed } of member.held.values()) if (!reported || !listed) addAmounts(used, needs);
  return used;
}

function hold(member: Known, name: string, held: HeldAttempt): void {
  letGo(member, name);
  member.held.set(name, held);
  member.occupied += 1;
  if (held.urgent) member.urgent += 1;
  addAmounts(member.used, held.needs);
}

function letGo(member: Known, name: string): boolean {
  const held = member.held.get(name);
  if (!held) return false;
  member.held.delete(name);
  member.occupied -= 1;
  if (held.urgent) member.urgent -= 1;
  addAmounts(member.used, held.needs, -1);
  return true;
}
