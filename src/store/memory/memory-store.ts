import { AgentSystemError, ConfigurationError, StoreUnavailableError } from '../../errors.ts';
import type { Runtime } from '../../runtime/runtime.ts';
import type { StoredTask } from '../../task/codec.ts';
import type { PayloadPart } from '../../task/payload.ts';
import * as port from '../store.ts';
import { applyCommit } from './apply-commit.ts';
import { Instances } from './instances.ts';
import { applyChange } from './journal/apply-change.ts';
import type { Change } from './journal/changes.ts';
import { imageOf } from './journal/image.ts';
import { Journal, type JournalSettings } from './journal/journal.ts';
import { RisingClock } from './rising-clock.ts';
import { Shard } from './shard.ts';
import { expireReservations, giveBack, take } from './take.ts';

/** Blocks answered by one step of `scanBlocks`. */
const SCAN_BLOCKS = 100;
/** Keys answered by one step of `scanUnique`. */
const SCAN_KEYS = 500;

export interface MemoryStoreOptions {
  runtime: Runtime;
  shards: number;
  /** What stands in the store from the beginning. Default: nothing, as in an empty Redis. */
  identity?: port.StoreIdentity;
  /** Characters of all events kept per shard. Default: 32 Mi. */
  maxEventBytes?: number;
  /** Makes it durable; the first `check` reads back what is there. Default: nothing outlives the process. */
  journal?: JournalSettings | undefined;
}

/**
 * The embedded store: the whole port over Maps. Every call is done when it returns; its promise resolves at once, or with
 * a journal when what it changed, and what it shows of records and streams, is written.
 */
export function createMemoryStore(options: MemoryStoreOptions): port.Store {
  return new MemoryStore(options);
}

class MemoryStore implements port.Store {
  readonly kind = 'memory';
  readonly #clock: RisingClock;
  readonly #shards: Shard[];
  readonly #instances: Instances;
  /** Cards of agents, by name. */
  readonly #cards = new Map<string, string>();
  readonly #journal: Journal | null;
  #identity: port.StoreIdentity | null;
  /** Problems of the journal when it was read back; null = that has not been tried. */
  #opening: Promise<string[]> | null = null;
  #opened: boolean;
  #closed = false;

  constructor(options: MemoryStoreOptions) {
    const { runtime, shards, identity, maxEventBytes = 32 * 1024 * 1024, journal } = options;
    const clock = new RisingClock(runtime);
    this.#clock = clock;
    this.#shards = Array.from({ length: shards }, () => new Shard({ clock, runtime, maxEventBytes }));
    this.#instances = new Instances(clock, (...news) => this.#shards[0]!.tell(...news));
    this.#identity = identity ? { ...identity } : null;
    this.#opened = journal === undefined;
    const image = () => imageOf({ shards: this.#shards, identity: this.#identity, cards: this.#cards });
    this.#journal = journal ? new Journal({ ...journal, runtime, now: () => clock.now(), image }) : null;
  }

  /** False while the journal cannot be written. */
  get connected(): boolean {
    return !this.#journal?.failure;
  }

  async check(): Promise<port.StoreCheck> {
    if (this.#closed) this.#refuseIfClosed();
    if (!this.#journal) return { problems: [], warnings: [], durability: 'memory', description: 'embedded store' };
    this.#opening ??= this.#open(this.#journal);
    const problems = [...(await this.#opening)];
    const { syncPolicy, folder, failure } = this.#journal;
    if (failure) problems.push(failure.message);
    const durability = syncPolicy === 'always' ? 'local' : 'memory';
    return { problems, warnings: [], durability, description: `embedded store, journal in ${folder} (${syncPolicy})` };
  }

  async #open(journal: Journal): Promise<string[]> {
    try {
      const lastTime = await journal.open((shard, change) => this.#apply(shard, change));
      if (lastTime > 0) this.#goOnFrom(lastTime);
    } catch (error) {
      if (error instanceof AgentSystemError) return [error.message];
      return [`DATA_DIR ${journal.folder} cannot be used: ${error}`];
    }
    for (const [number, shard] of this.#shards.entries()) shard.log = journal.logOf(number);
    this.#opened = true;
    return [];
  }

  #apply(shard: number, change: Change): void {
    if (shard >= this.#shards.length) throw tooFewShards(shard, this.#shards.length);
    const identity = (found: port.StoreIdentity) => {
      this.#identity = found;
    };
    const card = (name: string, text: string) => void this.#cards.set(name, text);
    applyChange({ shards: this.#shards, identity, card }, shard, change);
  }

  /** Times and stream places that were given out stay in the past, and readers of events see that some are gone. */
  #goOnFrom(lastTime: number): void {
    this.#clock.notBefore(lastTime + 1);
    const place = { ms: this.#clock.now(), seq: 0 };
    for (const { streams } of this.#shards) streams.goOnFrom('events', place);
  }

  async identity() {
    this.#refuseIfClosed();
    return this.#identity && { ...this.#identity };
  }

  async claimIdentity(proposal: port.StoreIdentity) {
    const first = this.#toChange(0);
    if (!this.#identity) first.log?.add(['identity', proposal]);
    this.#identity ??= { ...proposal };
    await this.#journal?.written();
    return { ...this.#identity };
  }

  async now() {
    return this.#clock.now();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const shard of this.#shards) shard.streams.close();
    await this.#opening;
    await this.#journal?.close();
  }

  // Records

  async commit(shard: number, commit: port.Commit) {
    const found = this.#toChange(shard);
    const reply = applyCommit(found, found.keptResults.resolve(commit));
    if (this.#journal) await this.#stored(this.#journal, commit.durability);
    if (commit.durability) reply.durability = this.#levelOf(commit.durability);
    return reply;
  }

  async whyNotDurable(_shard: number, level: port.Durability): Promise<port.DurabilityGap | null> {
    if (level === 'memory' || (level === 'local' && this.#journal)) return null;
    const what = this.#journal ? 'has no replicas' : 'keeps tasks in memory only';
    const wanted = level === 'local' ? 'set DATA_DIR' : 'use a Redis with a replica';
    return { why: `the embedded store ${what}: ${wanted}`, lasting: true };
  }

  #stored(journal: Journal, level: port.Durability = 'memory'): Promise<void> {
    return level === 'memory' ? journal.written() : journal.synced();
  }

  #levelOf(asked: port.Durability): port.Durability {
    if (!this.#journal) return 'memory';
    return asked !== 'memory' || this.#journal.syncPolicy === 'always' ? 'local' : 'memory';
  }

  async read(shard: number, ids: string[], parts: port.ReadParts = {}) {
    const { records, clock } = this.#shard(shard);
    const found = { now: clock.now(), tasks: ids.map((id) => records.read(id, parts)) };
    if (this.#journal) await shown(this.#journal);
    return found;
  }

  async payload(shard: number, id: string, part: PayloadPart) {
    const record = this.#shard(shard).records.get(id);
    return record?.[part] ?? null;
  }

  async putResult(shard: number, kept: port.KeptResult, text: string, ttlMs: number): Promise<void> {
    this.#shard(shard).keptResults.put(kept, text, ttlMs);
  }

  async renewResults(shard: number, kept: port.KeptResult[], ttlMs: number) {
    const { keptResults } = this.#shard(shard);
    return kept.map((one) => keptResults.renew(one, ttlMs));
  }

  async dropResults(shard: number, kept: port.KeptResult[]): Promise<void> {
    const { keptResults } = this.#shard(shard);
    for (const one of kept) keptResults.delete(one);
  }

  async blocks(shard: number, before: string | null, limit: number) {
    return this.#shard(shard).records.newestBlocks(before, limit);
  }

  async readBlock(shard: number, block: string): Promise<StoredTask[]> {
    const { records } = this.#shard(shard);
    const found = records.idsOf(block).map((id) => records.read(id)!);
    if (this.#journal) await shown(this.#journal);
    return found;
  }

  async blockSizes(shard: number, blocks: string[]) {
    const { records } = this.#shard(shard);
    return blocks.map((block) => records.sizeOf(block));
  }

  async scanBlocks(shard: number, cursor: string | null) {
    const blocks = this.#shard(shard).records.blocksAfter(cursor, SCAN_BLOCKS);
    return { next: blocks.length < SCAN_BLOCKS ? null : blocks[SCAN_BLOCKS - 1]!, blocks };
  }

  async cut(shard: number, { after, ids }: { after: string; ids: string[] }): Promise<port.Cut | null> {
    const { records, streams } = this.#shard(shard);
    const entries = streams.after('events', after, port.CUT_ENTRIES_MAX + 1);
    const named = new Set(ids);
    for (const { fields } of entries) {
      for (const change of fields.e?.split(';') ?? []) named.add(change.slice(0, change.indexOf(' ')));
    }
    if (entries.length > port.CUT_ENTRIES_MAX || named.size > port.UNITS_MAX) return null;
    const tasks = [...named].map((id): port.Cut['tasks'][number] => [id, records.read(id)]);
    return { lastEvent: entries.at(-1)?.id ?? after, tasks };
  }

  async scanUnique(shard: number, cursor: string | null) {
    const { uniqueKeys, clock } = this.#shard(shard);
    const now = clock.now();
    const [score = '', member = ''] = cursor?.split(' ') ?? [];
    const found = uniqueKeys.byExpiry.ascending(cursor === null ? null : { member, score: Number(score) }, SCAN_KEYS);
    const keys = found
      .filter((entry) => entry.score > now)
      .map(({ member: key, score: endsAt }) => ({ key, ...uniqueKeys.stored(key)!, ttlMs: endsAt - now }));
    const last = found.length < SCAN_KEYS ? null : found.at(-1)!;
    return { next: last && `${last.score} ${last.member}`, keys };
  }

  async putUnique(shard: number, keys: port.UniqueKey[]): Promise<void> {
    const { uniqueKeys, clock, log } = this.#toChange(shard);
    const now = clock.now();
    for (const { key, id, digest, ttlMs } of keys) {
      if (uniqueKeys.holder(key, now)) continue;
      uniqueKeys.add(key, { id, digest }, ttlMs, now);
      log?.add(['unique', key, id, digest, now + ttlMs]);
    }
    await this.#journal?.written();
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

  async place(shard: number, { lane, id, others }: { lane: string; id: string; others: string[] }) {
    return this.#shard(shard).lanes.place(lane, id, others);
  }

  async setPaused(shard: number, agent: string, paused: boolean): Promise<void> {
    const found = this.#toChange(shard);
    found.lanes.setPaused(agent, paused);
    found.log?.add(['paused', agent, paused]);
    if (!paused) found.wake({ q: '1' });
    await this.#journal?.written();
  }

  async paused(shard: number) {
    return this.#shard(shard).lanes.paused();
  }

  async changeCaps(shard: number, change: port.CapsChange): Promise<port.CapsReply> {
    const found = this.#toChange(shard);
    if (change.do === 'replace' && !found.ownership.isEpoch(change.epoch)) return { ok: false, used: {} };
    const { reply, woke } = found.caps.change(change);
    if (woke) found.wake({ q: '1' });
    const { limits, version } = found.caps.standing();
    if (reply.ok) found.log?.add(['caps', limits, version]);
    await this.#journal?.written();
    return reply;
  }

  async caps(shard: number, lanesMax: number) {
    return this.#shard(shard).caps.view(lanesMax);
  }

  async ledger() {
    return { ...this.#shard(0).ledger };
  }

  async writeLedger({ epoch, expect, version, text }: port.LedgerWrite) {
    const shard = this.#toChange(0);
    if (!shard.ownership.isEpoch(epoch)) return 'fenced';
    if (shard.ledger.version !== expect) return 'conflict';
    shard.ledger = { version, text };
    shard.log?.add(['ledger', version, text]);
    await this.#journal?.written();
    return 'written';
  }

  // Streams

  async readStreams(shard: number, request: port.ReadStreams) {
    const batches = await this.#shard(shard).streams.read(request);
    // What a worker is told to run must not be forgotten by a store that begins anew.
    if (this.#journal && batches.length > 0) await this.#journal.written();
    return batches;
  }

  async lastEntry(shard: number, stream: port.StreamName) {
    return { now: this.#clock.now(), id: this.#shard(shard).streams.lastEntry(stream) };
  }

  async extent(shard: number, stream: port.StreamName) {
    return this.#shard(shard).streams.extent(stream);
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
    const { workers, indexes, streams, log } = this.#toChange(shard);
    const holder = port.holderOf(worker, incarnation);
    if (indexes.holdsSomething(holder)) return false;
    workers.retire(worker, incarnation);
    indexes.forgetHolder(holder);
    log?.add(['holder', holder, false]);
    streams.delete(`mail:${holder}`);
    await this.#journal?.written();
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
    const first = this.#toChange(0);
    for (const { name, card } of cards) {
      if (this.#cards.get(name) !== card) first.log?.add(['card', name, card]);
      this.#cards.set(name, card);
    }
    await this.#journal?.written();
  }

  async catalog(): Promise<port.AgentEntry[]> {
    this.#refuseIfClosed();
    return [...this.#cards].map(([name, card]) => ({ name, card })).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  // Schedules

  async writeSchedule(shard: number, write: port.ScheduleWrite) {
    const { schedules, log } = this.#toChange(shard);
    const ok = schedules.write(write);
    if (ok) log?.add(['schedule', write.key, schedules.stored(write.key)]);
    await this.#journal?.written();
    return { now: this.#clock.now(), ok };
  }

  async schedule(shard: number, key: string) {
    return this.#shard(shard).schedules.get(key);
  }

  async schedules(shard: number) {
    return this.#shard(shard).schedules.all();
  }

  async dueSchedules(shard: number, limit: number) {
    return { now: this.#clock.now(), schedules: this.#shard(shard).schedules.due(limit) };
  }

  // Ownership

  async claimEpoch(shard: number, lockValue: string, instance: string) {
    const { ownership, log } = this.#toChange(shard);
    const epoch = ownership.claim(lockValue, instance);
    if (epoch !== null) log?.add(['epoch', ownership.number]);
    await this.#journal?.written();
    return epoch;
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

  /** The shard, for a call that changes what is durable. */
  #toChange(number: number): Shard {
    this.#journal?.refuseIfFailing();
    return this.#shard(number);
  }

  #refuseIfClosed(): void {
    if (this.#closed) throw new StoreUnavailableError('the embedded store is closed');
    if (!this.#opened) throw new StoreUnavailableError('the journal of the embedded store has not been read back yet');
  }
}

/** Nobody is shown what a crash could still take back; but what stands here is shown as long as no disk takes it. */
async function shown(journal: Journal): Promise<void> {
  if (!journal.isSettled) await journal.written().catch(() => undefined);
}

function tooFewShards(found: number, shards: number): ConfigurationError {
  const text = `DATA_DIR holds shard ${found}, SHARDS is ${shards} here: set SHARDS as it was, or another DATA_DIR`;
  return new ConfigurationError([text]);
}
