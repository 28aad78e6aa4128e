import { AgentSystemError } from '../../errors.ts';
import type { Runtime } from '../../runtime/runtime.ts';
import { systemRuntime } from '../../runtime/system-runtime.ts';
import type { StoredTask } from '../../task/codec.ts';
import type { PayloadPart } from '../../task/payload.ts';
import * as port from '../store.ts';
import type { RedisAddress } from './address.ts';
import { capsArgs, capsReply, capsView } from './caps.ts';
import { checkRedis } from './check.ts';
import { ClusterConnection } from './cluster.ts';
import { beginningOf, commitArgs, creates, keptName } from './commit-args.ts';
import { commitReply } from './commit-reply.ts';
import { type Commands, Connection, type ConnectionState, type OnCommand, type OnRetry } from './connect.ts';
import { DurableCommits, type WaitSettings } from './durable.ts';
import { instanceOf, pairs, registeredInstance, registeredInstances } from './instances.ts';
import { entryBehind, escapeGlob, tagOf } from './keys.ts';
import { RedisLocks } from './lock.ts';
import { Payloads } from './payloads.ts';
import { RecordQuestion, type Reply, readWholeBlock, storedTask, timeOf } from './records.ts';
import { loadScripts, type ScriptName } from './scripts.ts';
import { Streams } from './streams.ts';
import { takeArgs, takeReply } from './take.ts';

/** Keys looked at in one step of `scanBlocks`, of all kinds. */
const SCAN_KEYS = 1_000;
const BLOCKS_KEPT = 'm:';
const EPOCH_LENGTH = 12;
/** One for commands, and one for commits that are confirmed. */
const OTHER_CONNECTIONS = 2;

export interface RedisStoreOptions {
  connection: RedisAddress;
  /** Begins every key. */
  prefix: string;
  shards: number;
  /** Default: the real clock and timers. */
  runtime?: Runtime;
  /** Shown in `CLIENT LIST`. Default: agent-system */
  name?: string;
  /** Connections of this process at most; one carries the commands, one commits that are confirmed, the others waiting reads. Default: 16 */
  maxConnections?: number;
  requireAof?: boolean;
  /** What is waited for where a commit asks for more than memory. Default: 1 replica, 1 s. */
  wait?: WaitSettings;
  /** Why it is accepted that this Redis may lose tasks; null = it is not. */
  allowUnsafe?: string | null;
  /** Told of each command with its answer, and of each read that waited; never of arguments. */
  onCommand?: OnCommand;
  onRetry?: OnRetry;
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
  readonly #connection: Commands;
  readonly #streams: Streams;
  readonly #locks: RedisLocks;
  readonly #durable: DurableCommits;
  readonly #payloads: Payloads;
  readonly #scripts = loadScripts();

  constructor(options: RedisStoreOptions) {
    const { connection: address, prefix, shards, runtime = systemRuntime, name = 'agent-system' } = options;
    this.#options = options;
    this.#runtime = runtime;
    this.#tags = Array.from({ length: shards }, (_, shard) => tagOf(prefix, shard));
    const { onCommand, onRetry, onConnection } = options;
    const connecting = { address, runtime, name, onCommand, onRetry, onConnection };
    const connection = address.cluster ? new ClusterConnection(connecting) : new Connection(connecting);
    this.#connection = connection;
    const connectionsMax = Math.max(1, (options.maxConnections ?? 16) - OTHER_CONNECTIONS);
    this.#streams = new Streams({ connection, runtime, connectionsMax, onRead: onCommand, onRetry });
    this.#locks = new RedisLocks({ connection, runtime });
    const { wait = { replicas: 1, timeoutMs: 1_000 } } = options;
    const own = { ...connecting, name: `${name}-durable` };
    const connect = () => (address.cluster ? new ClusterConnection(own) : new Connection(own));
    this.#durable = new DurableCommits({ connection, connect, wait, now: () => runtime.now() });
    this.#payloads = new Payloads({ connection, scripts: this.#scripts });
  }

  get connected(): boolean {
    return this.#connection.connected;
  }

  async check(): Promise<port.StoreCheck> {
    const { requireAof = false, allowUnsafe = null } = this.#options;
    const { connection: address } = this.#options;
    return checkRedis(this.#connection, { address, requireAof, allowUnsafe, tags: this.#tags });
  }

  async identity(): Promise<port.StoreIdentity | null> {
    const texts = await Promise.all(this.#tags.map((tag) => this.#connection.call('get', [`${tag}identity`])));
    const [first] = texts as (string | null)[];
    if (!first) return null;
    const identity = JSON.parse(first) as port.StoreIdentity;
    // Made for another number of shards, it does not stand in all that are looked at here: the caller says so.
    if (identity.shards !== this.#tags.length) return identity;
    return texts.every((text) => text === first) ? identity : null;
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
    return this.#timeAt(0);
  }

  async close(): Promise<void> {
    this.#streams.close();
    this.#durable.close();
    this.#connection.close();
  }

  // Records

  async commit(shard: number, commit: port.Commit): Promise<port.CommitReply> {
    const args = commitArgs(commit);
    const large = commit.units.some((unit) => unit.large);
    if (large) await this.#payloads.stage(this.#tag(shard), commit);
    const { reply, reached } = await this.#runCommit(shard, commit, args);
    const answer = commitReply(commit, reply as Reply[]);
    if (reached) answer.durability = reached;
    // It would go by itself; what it answered counts, whatever becomes of this.
    if (large) await this.#payloads.unstage(this.#tag(shard), commit, answer).catch(() => undefined);
    return answer;
  }

  async whyNotDurable(shard: number, level: port.Durability): Promise<port.DurabilityGap | null> {
    return this.#durable.whyNot(this.#tag(shard), level);
  }

  async #runCommit(
    shard: number,
    commit: port.Commit,
    args: readonly string[],
  ): Promise<{ reply: unknown; reached?: port.Durability }> {
    const name = creates(commit) ? 'commit:create' : 'commit';
    const { durability = 'memory' } = commit;
    if (durability === 'memory') return { reply: await this.#run(name, shard, args) };
    return this.#durable.run(this.#scripts[name], this.#tag(shard), args, durability);
  }

  async read(shard: number, ids: string[], parts: port.ReadParts = {}) {
    const question = new RecordQuestion(ids, parts);
    const tag = this.#tag(shard);
    const narrow =
      question.isNarrow && (await this.#connection.together('read', tag, [['time'], ...question.commands(tag)]));
    const [time, ...replies] = narrow || ((await this.#run('read', shard, question.script())) as Reply[]);
    const tasks = question.answer(replies);
    const damaged = await this.#payloads.fill(tag, tasks, parts);
    if (damaged.length > 0) await this.#forgetRemoved(shard, tasks, damaged);
    return { now: timeOf(time as Reply), tasks };
  }

  /** A record may have gone after it was read, and its payload with it: then there is none, and nothing is wrong. */
  async #forgetRemoved(shard: number, tasks: (StoredTask | null)[], damaged: StoredTask[]): Promise<void> {
    const ids = damaged.map(({ id }) => id);
    const { tasks: standing } = await this.read(shard, ids);
    for (const [at, task] of tasks.entries()) if (task?.damaged && !standing[ids.indexOf(task.id)]) tasks[at] = null;
  }

  async payload(shard: number, id: string, part: PayloadPart) {
    return this.#payloads.get(this.#tag(shard), id, part);
  }

  async putResult(shard: number, kept: port.KeptResult, text: string, ttlMs: number): Promise<void> {
    await this.#payloads.put(this.#tag(shard), kept, text, ttlMs);
  }

  async renewResults(shard: number, kept: port.KeptResult[], ttlMs: number) {
    return this.#payloads.renew(this.#tag(shard), kept, ttlMs);
  }

  async dropResults(shard: number, kept: port.KeptResult[]): Promise<void> {
    await this.#payloads.drop(this.#tag(shard), kept.map(keptName));
  }

  async blocks(shard: number, before: string | null, limit: number): Promise<string[]> {
    const from = before === null ? '+' : `(${before}`;
    return this.#texts('zrevrangebylex', [`${this.#tag(shard)}blocks`, from, '-', 'LIMIT', '0', String(limit)]);
  }

  async readBlock(shard: number, block: string): Promise<StoredTask[]> {
    return readWholeBlock(block, (await this.#run('read', shard, ['st', block, '0'])) as Reply[]);
  }

  async blockSizes(shard: number, blocks: string[]): Promise<number[]> {
    if (blocks.length === 0) return [];
    return (await this.#run('block-sizes', shard, blocks)) as number[];
  }

  async scanBlocks(shard: number, cursor: string | null) {
    const start = this.#tag(shard) + BLOCKS_KEPT;
    const args = [cursor ?? '0', 'MATCH', `${escapeGlob(start)}*`, 'COUNT', String(SCAN_KEYS)];
    const [next, keys] = (await this.#connection.call('scan', args, this.#tag(shard))) as [string, string[]];
    return { next: next === '0' ? null : next, blocks: keys.map((key) => key.slice(start.length)) };
  }

  async cut(shard: number, { after, ids }: { after: string; ids: string[] }): Promise<port.Cut | null> {
    const limits = [String(port.CUT_ENTRIES_MAX), String(port.UNITS_MAX)];
    const reply = (await this.#run('cut', shard, [after, ...limits, ...ids])) as Reply[] | null;
    if (reply === null) return null;
    const [lastEvent, ...flat] = reply;
    const tasks: port.Cut['tasks'] = [];
    for (let at = 0; at < flat.length; at += 4) {
      const [id, meta] = [flat[at] as string, flat[at + 1] as string | null];
      tasks.push([id, meta ? storedTask(id, meta, 'st', flat, at + 2) : null]);
    }
    return { lastEvent: lastEvent as string, tasks };
  }

  async scanUnique(shard: number, cursor: string | null) {
    const start = `${this.#tag(shard)}u:`;
    const args = [cursor ?? '0', 'MATCH', `${escapeGlob(start)}*`, 'COUNT', String(SCAN_KEYS)];
    const [next, found] = (await this.#connection.call('scan', args, this.#tag(shard))) as [string, string[]];
    const names = found.map((key) => key.slice(start.length));
    const keys: port.UniqueKey[] = [];
    for (let at = 0; at < names.length; at += port.UNITS_MAX) {
      keys.push(...(await this.#uniqueKeys(shard, names.slice(at, at + port.UNITS_MAX))));
    }
    return { next: next === '0' ? null : next, keys };
  }

  async #uniqueKeys(shard: number, names: string[]): Promise<port.UniqueKey[]> {
    const flat = (await this.#run('unique-keys', shard, names)) as Reply[];
    return names.flatMap((key, at) => {
      const [holder, ttlMs] = [flat[2 * at] as string | null, Number(flat[2 * at + 1])];
      if (holder === null || ttlMs <= 0) return [];
      const gap = holder.indexOf(' ');
      return [{ key, id: holder.slice(0, gap), digest: holder.slice(gap + 1), ttlMs }];
    });
  }

  async putUnique(shard: number, keys: port.UniqueKey[]): Promise<void> {
    if (keys.length === 0) return;
    const args = keys.flatMap(({ key, id, digest, ttlMs }) => [key, `${id} ${digest}`, String(Math.ceil(ttlMs))]);
    await this.#run('put-unique', shard, args);
  }

  // Indexes

  async range(shard: number, index: port.IndexName, max: number, limit: number) {
    const key = this.#tag(shard) + index;
    const [now, flat] = await Promise.all([
      this.#timeAt(shard),
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
    for (let at = 0; at < flat.length; at += 5) {
      const [lane, score, length, place, cap] = flat.slice(at, at + 5);
      const paused = place === 'parked';
      const depth: port.QueueDepth = { lane: String(lane), length: Number(length), score: Number(score), paused };
      if (cap) depth.capped = String(cap);
      queues.push(depth);
    }
    return { now: timeOf(time!), queues };
  }

  async place(shard: number, { lane, id, others }: { lane: string; id: string; others: string[] }) {
    const [rank, length, ...before] = (await this.#run('place', shard, [lane, id, ...others])) as (number | null)[];
    return rank === null || rank === undefined ? null : { rank, length: length!, before: before as number[] };
  }

  async setPaused(shard: number, agent: string, paused: boolean): Promise<void> {
    await this.#run('set-paused', shard, [agent, flag(paused)]);
  }

  async paused(shard: number): Promise<string[]> {
    return (await this.#texts('smembers', [`${this.#tag(shard)}paused`])).sort();
  }

  async changeCaps(shard: number, change: port.CapsChange): Promise<port.CapsReply> {
    const [ok, ...used] = (await this.#run('set-caps', shard, capsArgs(change))) as number[];
    return ok === 1 ? capsReply(change, used) : { ok: false, used: {} };
  }

  async caps(shard: number, lanesMax: number): Promise<port.CapsView> {
    return capsView((await this.#run('caps', shard, [String(lanesMax)])) as Reply[]);
  }

  async ledger(): Promise<port.Ledger> {
    const key = `${this.#tag(0)}ledger`;
    const [version, text] = (await this.#connection.call('hmget', [key, 'version', 'text'])) as (string | null)[];
    return { version: Number(version ?? 0), text: text ?? '' };
  }

  async writeLedger({ epoch, expect, version, text }: port.LedgerWrite) {
    const reply = await this.#run('write-ledger', 0, [epoch, String(expect), String(version), text]);
    return reply as 'written' | 'conflict' | 'fenced';
  }

  // Streams

  async readStreams(shard: number, request: port.ReadStreams): Promise<port.StreamBatch[]> {
    return this.#streams.read(this.#tag(shard), request);
  }

  async lastEntry(shard: number, stream: port.StreamName) {
    const [now, id] = await Promise.all([this.#timeAt(shard), this.#streams.last(this.#tag(shard), stream)]);
    return { now, id };
  }

  async extent(shard: number, stream: port.StreamName) {
    const [first, last, trimmed] = (await this.#run('extent', shard, [stream])) as [string, string, number];
    return { first, last, trimmed: trimmed === 1 };
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

  // Schedules

  async writeSchedule(shard: number, { key, expect, text, dueAt }: port.ScheduleWrite) {
    const args = [key, String(expect), flag(text === null), text ?? '', dueAt === null ? '' : String(dueAt)];
    const [time, ok] = (await this.#run('write-schedule', shard, args)) as [Reply, number];
    return { now: timeOf(time), ok: ok === 1 };
  }

  async schedule(shard: number, key: string): Promise<port.ScheduleEntry | null> {
    return (await this.#schedules(shard, 'key', key)).schedules[0] ?? null;
  }

  async schedules(shard: number): Promise<port.ScheduleEntry[]> {
    return (await this.#schedules(shard, 'all')).schedules;
  }

  async dueSchedules(shard: number, limit: number) {
    return this.#schedules(shard, 'due', String(limit));
  }

  async #schedules(shard: number, which: 'all' | 'due' | 'key', argument = '') {
    const [time, found] = (await this.#run('schedules', shard, [which, argument])) as [Reply, string[]];
    return { now: timeOf(time), schedules: [...pairs(found)].map(scheduleEntry) };
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

  /** The clock by which the shard goes; in a cluster each node has its own. */
  async #timeAt(shard: number): Promise<number> {
    return timeOf((await this.#connection.call('time', [], this.#tag(shard))) as Reply);
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

/** An entry is `version text`. */
function scheduleEntry([key, entry]: [string, string]): port.ScheduleEntry {
  const gap = entry.indexOf(' ');
  return { key, version: Number(entry.slice(0, gap)), text: entry.slice(gap + 1) };
}
