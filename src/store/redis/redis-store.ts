import { AgentSystemError } from '../../errors.ts';
import type { Runtime } from '../../runtime/runtime.ts';
import { systemRuntime } from '../../runtime/system-runtime.ts';
import type { StoredTask } from '../../task/codec.ts';
import * as port from '../store.ts';
import { checkRedis } from './check.ts';
import { beginningOf, commitArgs, creates } from './commit-args.ts';
import { commitReply } from './commit-reply.ts';
import { Connection, type ConnectionState, type RedisAddress } from './connect.ts';
import { instanceOf, pairs, registeredInstance, registeredInstances } from './instances.ts';
import { entryBehind, escapeGlob, tagOf } from './keys.ts';
import { RedisLocks } from './lock.ts';
import { RecordQuestion, type Reply, readWholeBlock, timeOf } from './records.ts';
import { loadScripts, type ScriptName } from './scripts.ts';
import { Streams } from './streams.ts';
import { takeArgs, takeReply } from './take.ts';

/** Keys looked at in one step of `scanBlocks`, of all kinds. */
const SCAN_KEYS = 1_000;
const BLOCKS_KEPT = 'm:';
const EPOCH_LENGTH = 12;

export interface RedisStoreOptions {
  connection: RedisAddress;
  /** Begins every key. */
  prefix: string;
  shards: number;
  /** Default: the real clock and timers. */
  runtime?: Runtime;
  /** Shown in `CLIENT LIST`. Default: agent-system */
  name?: string;
  /** Connections of this process at most; one carries the commands, the others waiting reads. Default: 16 */
  maxConnections?: number;
  requireAof?: boolean;
  /** Why it is accepted that this Redis may lose tasks; null = it is not. */
  allowUnsafe?: string | null;
  onCommand?: (name: string, seconds: number) => void;
  onConnection?: (state: ConnectionState, name: string) => void;
}

/** The store on a Redis server: the whole port over scripts, each of which is atomic within one shard. */
export function createRedisStore(options: RedisStoreOptions): port.Store {
  return new RedisStore(options);
}

class RedisStore implements port.Store {
  readonly kind = 'redis';
  readonly #options: RedisStoreOptions;
  readonly #runtime: Runtime;
  readonly #tags: string[];
  readonly #connection: Connection;
  readonly #streams: Streams;
  readonly #locks: RedisLocks;
  readonly #scripts = loadScripts();

  constructor(options: RedisStoreOptions) {
    const { connection: address, prefix, shards, runtime = systemRuntime, name = 'agent-system' } = options;
    this.#options = options;
    this.#runtime = runtime;
    this.#tags = Array.from({ length: shards }, (_, shard) => tagOf(prefix, shard));
    const { onCommand, onConnection } = options;
    const connection = new Connection({ address, runtime, name, onCommand, onConnection });
    this.#connection = connection;
    const connectionsMax = Math.max(1, (options.maxConnections ?? 16) - 1);
    this.#streams = new Streams({ connection, address, runtime, name, connectionsMax });
    this.#locks = new RedisLocks({ connection, runtime });
  }

  get connected(): boolean {
    return this.#connection.connected;
  }

  async check(): Promise<port.StoreCheck> {
    const { requireAof = false, allowUnsafe = null } = this.#options;
    return checkRedis(this.#connection, { requireAof, allowUnsafe, probe: `${this.#tag(0)}probe` });
  }

  async identity(): Promise<port.StoreIdentity | null> {
    const texts = await Promise.all(this.#tags.map((tag) => this.#connection.call('get', [`${tag}identity`])));
    const [first] = texts as (string | null)[];
    return first && texts.every((text) => text === first) ? (JSON.parse(first) as port.StoreIdentity) : null;
  }

  /** Shard 0 decides; a claim that was cut off half-way is completed by the next one. */
  async claimIdentity(proposal: port.StoreIdentity): Promise<port.StoreIdentity> {
    const [first, ...others] = this.#tags.map((tag) => `${tag}identity`);
    await this.#connection.call('set', [first!, JSON.stringify(proposal), 'NX']);
    const text = (await this.#connection.call('get', [first!])) as string;
    const standing = JSON.parse(text) as port.StoreIdentity;
    // Made for another number of shards: the caller refuses it, so it must not spread.
    if (standing.shards !== proposal.shards) return standing;
    await Promise.all(others.map((key) => this.#connection.call('set', [key, text, 'NX'])));
    return standing;
  }

  async now(): Promise<number> {
    return timeOf((await this.#connection.call('time', [])) as Reply);
  }

  async close(): Promise<void> {
    this.#streams.close();
    this.#connection.close();
  }

  // Records

  async commit(shard: number, commit: port.Commit): Promise<port.CommitReply> {
    const reply = await this.#run(creates(commit) ? 'commit:create' : 'commit', shard, commitArgs(commit));
    return commitReply(commit, reply as Reply[]);
  }

  async read(shard: number, ids: string[], parts: port.ReadParts = {}) {
    const question = new RecordQuestion(ids, parts);
    const tag = this.#tag(shard);
    const narrow =
      question.isNarrow && (await this.#connection.together('read', [['time'], ...question.commands(tag)]));
    const [time, ...replies] = narrow || ((await this.#run('read', shard, question.script())) as Reply[]);
    return { now: timeOf(time as Reply), tasks: question.answer(replies) };
  }

  async blocks(shard: number, before: string | null, limit: number): Promise<string[]> {
    const from = before === null ? '+' : `(${before}`;
    return this.#texts('zrevrangebylex', [`${this.#tag(shard)}blocks`, from, '-', 'LIMIT', '0', String(limit)]);
  }

  async readBlock(shard: number, block: string): Promise<StoredTask[]> {
    return readWholeBlock(block, (await this.#run('read', shard, ['st', block, '0'])) as Reply[]);
  }

  async scanBlocks(shard: number, cursor: string | null) {
    const start = this.#tag(shard) + BLOCKS_KEPT;
    const args = [cursor ?? '0', 'MATCH', `${escapeGlob(start)}*`, 'COUNT', String(SCAN_KEYS)];
    const [next, keys] = (await this.#connection.call('scan', args)) as [string, string[]];
    return { next: next === '0' ? null : next, blocks: keys.map((key) => key.slice(start.length)) };
  }

  // Indexes

  async range(shard: number, index: port.IndexName, max: number, limit: number) {
    const key = this.#tag(shard) + index;
    const [now, flat] = await Promise.all([
      this.now(),
      this.#texts('zrangebyscore', [key, '-inf', String(max), 'WITHSCORES', 'LIMIT', '0', String(limit)]),
    ]);
    const entries: [string, number][] = [];
    for (let at = 0; at < flat.length; at += 2) entries.push([flat[at]!, Number(flat[at + 1])]);
    return { now, entries };
  }

  async contains(shard: number, index: port.IndexName, members: string[]): Promise<boolean[]> {
    if (members.length === 0) return [];
    const scores = await this.#connection.call('zmscore', [this.#tag(shard) + index, ...members]);
    return (scores as (string | null)[]).map((score) => score !== null);
  }

  async holders(shard: number): Promise<string[]> {
    return (await this.#texts('smembers', [`${this.#tag(shard)}holders`])).sort();
  }

  // Scheduling

  async take(shard: number, request: port.TakeRequest): Promise<port.TakeReply> {
    return takeReply((await this.#run('take', shard, takeArgs(request))) as Reply[]);
  }

  async giveBack(shard: number, token: string, ids?: string[]): Promise<void> {
    if (ids?.length === 0) return;
    await this.#run('give-back', shard, [token, ...(ids ?? [''])]);
  }

  async expireReservations(shard: number): Promise<number> {
    return (await this.#run('expire-reservations', shard, [])) as number;
  }

  async queues(shard: number, limit: number) {
    const [time, ...flat] = (await this.#run('queues', shard, [String(limit)])) as Reply[];
    const queues: port.QueueDepth[] = [];
    for (let at = 0; at < flat.length; at += 4) {
      const [lane, score, length, place] = flat.slice(at, at + 4);
      queues.push({ lane: String(lane), length: Number(length), score: Number(score), paused: place === 'parked' });
    }
    return { now: timeOf(time!), queues };
  }

  async setPaused(shard: number, agent: string, paused: boolean): Promise<void> {
    await this.#run('set-paused', shard, [agent, flag(paused)]);
  }

  async paused(shard: number): Promise<string[]> {
    return (await this.#texts('smembers', [`${this.#tag(shard)}paused`])).sort();
  }

  // Streams

  async readStreams(shard: number, request: port.ReadStreams): Promise<port.StreamBatch[]> {
    return this.#streams.read(this.#tag(shard), request);
  }

  async lastEntry(shard: number, stream: port.StreamName) {
    const [now, id] = await Promise.all([this.now(), this.#streams.last(this.#tag(shard), stream)]);
    return { now, id };
  }

  async trim(shard: number, stream: port.StreamName, upTo: string): Promise<void> {
    await this.#streams.trim(this.#tag(shard), stream, upTo);
  }

  async reportCursor(shard: number): Promise<string> {
    return ((await this.#connection.call('get', [`${this.#tag(shard)}cursor`])) as string | null) ?? '0-0';
  }

  async quarantine(shard: number, entries: port.QuarantineEntry[]): Promise<void> {
    if (entries.length === 0) return;
    const args = entries.flatMap(({ stream, entry, reason, text }) => [stream, entry, reason, beginningOf(text)]);
    await this.#run('quarantine', shard, args);
  }

  async quarantined(shard: number, limit: number): Promise<(port.QuarantineEntry & { id: string })[]> {
    const entries = await this.#streams.newest(this.#tag(shard), 'quarantine', limit);
    return entries.map(({ id, fields }) => {
      const { stream = '', entry = '', reason = '', text = '' } = fields;
      return { id, stream, entry, reason, text };
    });
  }

  // Workers and instances

  async beat(shard: number, beat: port.Beat): Promise<port.BeatReply> {
    const { worker, incarnation, toCoordinators, toDistributors, mailbox, wake } = beat;
    const args = [worker, incarnation, toCoordinators, toDistributors, entryBehind(mailbox), flag(wake)];
    const [time, reason, entry, released] = (await this.#run('beat', shard, args)) as Reply[];
    const now = timeOf(time!);
    if (reason) return { ok: false, now, reason: reason as 'replaced' | 'unknown' };
    return { ok: true, now, entry: entry as string, released: distinct(released!) };
  }

  async heartbeats(shard: number, since: number) {
    const [time, ...flat] = (await this.#run('heartbeats', shard, [String(since)])) as Reply[];
    const beats: port.Heartbeat[] = [];
    for (let at = 0; at < flat.length; at += 2) {
      beats.push(heartbeatOf(flat[at] as string, flat[at + 1] as [string, string[]]));
    }
    return { now: timeOf(time!), beats };
  }

  async report(shard: number, { worker, incarnation, envelope, hint }: port.Report) {
    const args = [port.holderOf(worker, incarnation), envelope, flag(hint !== null), hint ?? ''];
    const [time, entry, released] = (await this.#run('report', shard, args)) as Reply[];
    return { now: timeOf(time!), entry: entry as string, released: distinct(released!) };
  }

  async enlist(shard: number, worker: string, incarnation: string): Promise<boolean> {
    return (await this.#run('enlist', shard, [worker, incarnation])) === 1;
  }

  async retire(shard: number, worker: string, incarnation: string): Promise<boolean> {
    return (await this.#run('retire', shard, [worker, incarnation])) === 1;
  }

  async register({ instance, nonce, ttlMs, takeOver = '' }: port.Registration): Promise<port.RegistrationReply> {
    const { facts, ...lasting } = instance;
    const args = [instance.id, nonce, String(ttlMs), takeOver, JSON.stringify(lasting), JSON.stringify(facts)];
    const reply = (await this.#run('register', 0, args)) as [Reply, string, string, string | null, string | null];
    const [time, refused, entry, standing, seen] = reply;
    const now = timeOf(time);
    if (refused) return { ok: false, now, holder: registeredInstance(entry, standing, seen) };
    return { ok: true, now, instance: instanceOf(entry, standing) };
  }

  async touch(id: string, incarnation: string, facts: Record<string, unknown>) {
    const [time, ok] = (await this.#run('touch', 0, [id, incarnation, JSON.stringify(facts)])) as Reply[];
    return { now: timeOf(time!), ok: ok === 1 };
  }

  async deregister(id: string, incarnation: string): Promise<void> {
    await this.#run('deregister', 0, [id, incarnation]);
  }

  async instances() {
    const [time, entries, facts, seen] = (await this.#run('instances', 0, [])) as [Reply, string[], string[], string[]];
    return { now: timeOf(time), instances: registeredInstances(entries, facts, seen) };
  }

  async announce(cards: port.AgentEntry[]): Promise<void> {
    if (cards.length === 0) return;
    await this.#run(
      'announce',
      0,
      cards.flatMap(({ name, card }) => [name, card]),
    );
  }

  async catalog(): Promise<port.AgentEntry[]> {
    const cards = pairs((await this.#run('catalog', 0, [])) as string[]);
    return [...cards].map(([name, card]) => ({ name, card })).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  // Ownership

  async claimEpoch(shard: number, lockValue: string, instance: string): Promise<string | null> {
    const args = [lockValue, instance, this.#runtime.id(EPOCH_LENGTH)];
    return (await this.#run('claim-epoch', shard, args)) as string | null;
  }

  async owner(shard: number): Promise<port.Owner | null> {
    const [time, instance, epoch, left] = (await this.#run('owner', shard, [])) as [
      Reply,
      string | null,
      string,
      number,
    ];
    if (instance === null) return null;
    return { instance, epoch, until: left > 0 ? timeOf(time) + left : null };
  }

  lock(shard: number): port.LockPort {
    return this.#locks.port(`${this.#tag(shard)}lock`);
  }

  #run(name: ScriptName, shard: number, args: readonly string[]): Promise<unknown> {
    return this.#connection.run(this.#scripts[name], this.#tag(shard), args);
  }

  async #texts(command: string, args: string[]): Promise<string[]> {
    return (await this.#connection.call(command, args)) as string[];
  }

  #tag(shard: number): string {
    const tag = this.#tags[shard];
    if (tag !== undefined) return tag;
    const message = `the store has no shard ${shard}: wanted 0 to ${this.#tags.length - 1}`;
    throw new AgentSystemError('SHARD_UNKNOWN', message);
  }
}

function flag(value: boolean): '1' | '0' {
  return value ? '1' : '0';
}

/** An attempt that was released twice is told once. */
function distinct(released: Reply): string[] {
  return [...new Set(released as string[])];
}

function heartbeatOf(worker: string, [entry, flat]: [string, string[]]): port.Heartbeat {
  const fields = pairs(flat);
  return {
    worker,
    incarnation: fields.get('i') ?? '',
    entry,
    at: Number.parseInt(entry, 10),
    toCoordinators: fields.get('c') ?? '',
    toDistributors: fields.get('d') ?? '',
  };
}
