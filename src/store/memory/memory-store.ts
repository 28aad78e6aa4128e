import { AgentSystemError, StoreUnavailableError } from '../../errors.ts';
import type { Runtime } from '../../runtime/runtime.ts';
import type { StoredTask } from '../../task/codec.ts';
import * as port from '../store.ts';
import { applyCommit } from './apply-commit.ts';
import { Instances } from './instances.ts';
import { RisingClock } from './rising-clock.ts';
import { Shard } from './shard.ts';
import { expireReservations, giveBack, take } from './take.ts';

/** Blocks answered by one step of `scanBlocks`. */
const SCAN_BLOCKS = 100;

export interface MemoryStoreOptions {
  runtime: Runtime;
  shards: number;
  /** What stands in the store from the beginning. Default: nothing, as in an empty Redis. */
  identity?: port.StoreIdentity;
  /** Characters of all events kept per shard. Default: 32 Mi. */
  maxEventBytes?: number;
}

/** The embedded store: the whole port over Maps. Every call is done when it returns; its promise resolves at once. */
export function createMemoryStore(options: MemoryStoreOptions): port.Store {
  return new MemoryStore(options);
}

class MemoryStore implements port.Store {
  readonly kind = 'memory';
  readonly connected = true;
  readonly #clock: RisingClock;
  readonly #shards: Shard[];
  readonly #instances: Instances;
  /** Cards of agents, by name. */
  readonly #cards = new Map<string, string>();
  #identity: port.StoreIdentity | null;
  #closed = false;

  constructor({ runtime, shards, identity, maxEventBytes = 32 * 1024 * 1024 }: MemoryStoreOptions) {
    const clock = new RisingClock(runtime);
    this.#clock = clock;
    this.#shards = Array.from({ length: shards }, () => new Shard({ clock, runtime, maxEventBytes }));
    this.#instances = new Instances(clock);
    this.#identity = identity ? { ...identity } : null;
  }

  async check(): Promise<port.StoreCheck> {
    this.#refuseIfClosed();
    return { problems: [], warnings: [], durability: 'memory', description: 'embedded store' };
  }

  async identity() {
    this.#refuseIfClosed();
    return this.#identity && { ...this.#identity };
  }

  async claimIdentity(proposal: port.StoreIdentity) {
    this.#refuseIfClosed();
    this.#identity ??= { ...proposal };
    return { ...this.#identity };
  }

  async now() {
    return this.#clock.now();
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const shard of this.#shards) shard.streams.close();
  }

  // Records

  async commit(shard: number, commit: port.Commit) {
    return applyCommit(this.#shard(shard), commit);
  }

  async read(shard: number, ids: string[], parts: port.ReadParts = {}) {
    const { records, clock } = this.#shard(shard);
    return { now: clock.now(), tasks: ids.map((id) => records.read(id, parts)) };
  }

  async blocks(shard: number, before: string | null, limit: number) {
    return this.#shard(shard).records.newestBlocks(before, limit);
  }

  async readBlock(shard: number, block: string): Promise<StoredTask[]> {
    const { records } = this.#shard(shard);
    return records.idsOf(block).map((id) => records.read(id)!);
  }

  async scanBlocks(shard: number, cursor: string | null) {
    const blocks = this.#shard(shard).records.blocksAfter(cursor, SCAN_BLOCKS);
    return { next: blocks.length < SCAN_BLOCKS ? null : blocks[SCAN_BLOCKS - 1]!, blocks };
  }

  // Indexes

  async range(shard: number, index: port.IndexName, max: number, limit: number) {
    const found = this.#shard(shard).indexes.get(index)?.upTo(max, limit) ?? [];
    const entries = found.map(({ member, score }): [string, number] => [member, score]);
    return { now: this.#clock.now(), entries };
  }

  async contains(shard: number, index: port.IndexName, members: string[]) {
    const { indexes } = this.#shard(shard);
    return members.map((member) => indexes.has(index, member));
  }

  async holders(shard: number) {
    return this.#shard(shard).indexes.holders();
  }

  // Scheduling

  async take(shard: number, request: port.TakeRequest) {
    return take(this.#shard(shard), request);
  }

  async giveBack(shard: number, token: string, ids?: string[]): Promise<void> {
    giveBack(this.#shard(shard), token, ids);
  }

  async expireReservations(shard: number) {
    return expireReservations(this.#shard(shard));
  }

  async queues(shard: number, limit: number) {
    return { now: this.#clock.now(), queues: this.#shard(shard).lanes.depths(limit) };
  }

  async setPaused(shard: number, agent: string, paused: boolean): Promise<void> {
    const found = this.#shard(shard);
    found.lanes.setPaused(agent, paused);
    if (!paused) found.wake({ q: '1' });
  }

  async paused(shard: number) {
    return this.#shard(shard).lanes.paused();
  }

  // Streams

  async readStreams(shard: number, request: port.ReadStreams) {
    return this.#shard(shard).streams.read(request);
  }

  async lastEntry(shard: number, stream: port.StreamName) {
    return { now: this.#clock.now(), id: this.#shard(shard).streams.lastEntry(stream) };
  }

  async trim(shard: number, stream: port.StreamName, upTo: string): Promise<void> {
    this.#shard(shard).streams.trim(stream, upTo);
  }

  async reportCursor(shard: number) {
    return this.#shard(shard).reportCursor;
  }

  async quarantine(shard: number, entries: port.QuarantineEntry[]): Promise<void> {
    const { quarantine } = this.#shard(shard);
    for (const entry of entries) quarantine.add(entry);
  }

  async quarantined(shard: number, limit: number) {
    return this.#shard(shard).quarantine.newest(limit);
  }

  // Workers and instances

  async beat(shard: number, beat: port.Beat): Promise<port.BeatReply> {
    const found = this.#shard(shard);
    const now = this.#clock.now();
    const reason = found.workers.refusal(beat.worker, beat.incarnation);
    if (reason) return { ok: false, now, reason };
    const holder = port.holderOf(beat.worker, beat.incarnation);
    found.streams.trim(`mail:${holder}`, beat.mailbox);
    const entry = found.workers.renew(beat, now);
    if (beat.wake) found.wake({ b: beat.worker });
    return { ok: true, now, entry, released: found.workers.popReleased(holder) };
  }

  async heartbeats(shard: number, since: number) {
    return { now: this.#clock.now(), beats: this.#shard(shard).workers.heartbeats(since) };
  }

  async report(shard: number, { worker, incarnation, envelope, hint }: port.Report) {
    const found = this.#shard(shard);
    const entry = found.streams.append('reports', { e: envelope });
    if (hint !== null) found.wake({ h: hint });
    const released = found.workers.popReleased(port.holderOf(worker, incarnation));
    return { now: this.#clock.now(), entry, released };
  }

  async enlist(shard: number, worker: string, incarnation: string) {
    return this.#shard(shard).workers.enlist(worker, incarnation);
  }

  async retire(shard: number, worker: string, incarnation: string) {
    const { workers, indexes, streams } = this.#shard(shard);
    const holder = port.holderOf(worker, incarnation);
    if (indexes.holdsSomething(holder)) return false;
    workers.retire(worker, incarnation);
    indexes.forgetHolder(holder);
    streams.delete(`mail:${holder}`);
    return true;
  }

  async register(registration: port.Registration) {
    this.#refuseIfClosed();
    return this.#instances.register(registration);
  }

  async touch(id: string, incarnation: string, facts: Record<string, unknown>) {
    this.#refuseIfClosed();
    return this.#instances.touch(id, incarnation, facts);
  }

  async deregister(id: string, incarnation: string): Promise<void> {
    this.#refuseIfClosed();
    this.#instances.deregister(id, incarnation);
  }

  async instances() {
    this.#refuseIfClosed();
    return this.#instances.all();
  }

  async announce(cards: port.AgentEntry[]): Promise<void> {
    this.#refuseIfClosed();
    for (const { name, card } of cards) this.#cards.set(name, card);
  }

  async catalog(): Promise<port.AgentEntry[]> {
    this.#refuseIfClosed();
    return [...this.#cards].map(([name, card]) => ({ name, card })).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  // Ownership

  async claimEpoch(shard: number, lockValue: string, instance: string) {
    return this.#shard(shard).ownership.claim(lockValue, instance);
  }

  async owner(shard: number) {
    return this.#shard(shard).ownership.owner();
  }

  lock(shard: number): port.LockPort {
    return this.#shard(shard).ownership;
  }

  #shard(number: number): Shard {
    this.#refuseIfClosed();
    const shard = this.#shards[number];
    if (shard) return shard;
    const message = `the store has no shard ${number}: wanted 0 to ${this.#shards.length - 1}`;
    throw new AgentSystemError('SHARD_UNKNOWN', message);
  }

  #refuseIfClosed(): void {
    if (this.#closed) throw new StoreUnavailableError('the embedded store is closed');
  }
}
