/*
 * The port to durable state. Everything the roles know about a store is in this file; `memory/` and `redis/` keep the
 * same promises, and one contract suite holds both to them.
 *
 * The record is the truth; streams and indexes only carry. All keys of a shard live together, so every call but the
 * registry's names its shard. Times are milliseconds of the store's own clock. A call that rejects with
 * StoreUnavailableError may or may not have taken effect: repeat it unchanged (every write here can be repeated).
 */
import type { StoredTask } from '../task/codec.ts';
import type { PayloadPart } from '../task/payload.ts';
import type { TaskState } from '../task/task.ts';

export const STORE_SCHEMA = 1;
/** Units in one commit at most; Lua's `unpack` fails at a few thousand values. */
export const UNITS_MAX = 500;
/** Demands that one `take` tells the caller of, see `TakeReply.unknown`. */
export const UNKNOWN_MAX = 100;
/** Entries of the event stream that a `cut` reads. */
export const CUT_ENTRIES_MAX = 500;
/** A reservation made by `take` is given back to its lane after this long. */
export const RESERVATION_MS = 2_000;
/** A worker's large result is kept for so long after it was last renewed, with nobody who adopts it. */
export const RESULT_KEPT_MS = 120_000;

export interface StoreIdentity {
  uuid: string;
  schema: number;
  shards: number;
}

/** What a role knows of the store's usability. `problems` refuse the start (78); `warnings` make health `degraded`. */
export interface StoreCheck {
  problems: string[];
  warnings: string[];
  durability: Durability;
  /** For people: `Redis 7.0.15 at 127.0.0.1:6379, database 0` or `embedded`. */
  description: string;
}

/**
 * What an accepted change outlives: nothing, a crash of the store's machine (it is on disk before the answer), its loss
 * (others have it, too). From the lowest on.
 */
export const DURABILITIES = ['memory', 'local', 'replicated'] as const;
export type Durability = (typeof DURABILITIES)[number];

/** Why a level cannot be reached. */
export interface DurabilityGap {
  why: string;
  /** It takes a change of the set-up; else it may come by itself. */
  lasting: boolean;
}

// ---- Commits

export interface Commit {
  /** Names this operation; a unit whose record already holds it at the next version answers `already`. */
  op: string;
  units: Unit[];
  /** The owner's epoch; a commit under another one changes nothing and answers `fenced: 'epoch'`. */
  epoch?: string;
  /** Moves the report cursor with the effects of the reports. */
  cursor?: CursorMove;
  /** Envelopes for worker mailboxes. One goes out if any of its units won (or it has none); the winners go beside it. */
  post?: Post[];
  /** Attempts whose terminal report has been decided, per holder (`worker@incarnation`). */
  release?: Release[];
  /** What failed a check and is kept for people to look at. */
  quarantine?: QuarantineEntry[];
  /** Answers only when this level is reached or the store has given up waiting for it; the reply says which. */
  durability?: Durability;
}

export interface Unit {
  id: string;
  /** The version that must stand; 0 = the record must not exist. */
  expect: number;
  /** Of a creation alone: the version that the record begins with, because it comes from a snapshot. Default: 1. */
  version?: number;
  /** State the record enters. For a repair: the state that must stand (ignored when `expect` is 0). */
  state: TaskState;
  /** Parts that are written; `spec` and `input` only when the record is created. Absent parts stay as they are. */
  spec?: string;
  input?: string;
  trail?: string;
  /** `null` removes an earlier result. */
  result?: string | null;
  /** Whole texts of parts that are a reference here: stored with the record, and removed with it. */
  large?: Partial<Record<PayloadPart, string>>;
  /** The reference in `result` is to what this attempt put aside; wins only while that is there in its full length. */
  adopt?: KeptResult;
  /** The record is removed altogether. */
  remove?: true;
  /** Index entries only: the version must stand and stays. Adding puts back what is missing or stands at another score. */
  repair?: true;
  /** Of a repair alone: takes the place of `spec`, which must be the same specification under a newer seal. */
  reseal?: string;
  /** Wins only while the task stands in the reservation of this token; then the reservation ends. */
  token?: string;
  /** Wins only if no live task holds this key; then the id stands under it for `ttlMs`. */
  unique?: { key: string; digest: string; ttlMs: number };
  indexes: IndexChange[];
}

/**
 * Index entries of a record. Lanes keep `heads` up to date (or `parked`, when the agent's queue is paused); a lane entry
 * that is added wakes the distributors. `min` lowers the member's score or adds it, it never raises it.
 */
export type IndexChange =
  | { do: 'add' | 'remove'; lane: string; score: number }
  | { do: 'add' | 'remove' | 'min'; index: IndexName; member: string; score: number };

/**
 * `due`: scheduled tasks by when they are due. `deadline`: tasks by when the owner ends them, which those without an
 * attempt have only where they may not wait for ever.
 * `expiry`: blocks by when something in them may be pruned. `held:worker@incarnation`: `id~attemptId` of active tasks by
 * when they were assigned; a holder appears in `holders` with its first entry. `cap:…`: the active tasks that count in a
 * cap (see `scheduling/caps.ts`), all at score 0; `take` adds those that it reserves, and whoever ends a reservation takes
 * them out again. Lanes that waited for a place there come back.
 */
export type IndexName = 'due' | 'deadline' | 'expiry' | `held:${string}` | `cap:${string}`;

/** Names a result that a worker keeps in the store until its report is decided; see `putResult`. */
export interface KeptResult {
  /** `worker@incarnation` */
  holder: string;
  attemptId: string;
}

export interface CursorMove {
  /** Where the cursor must stand. Unequal: nothing changes, `fenced: 'cursor'`. */
  from: string;
  /** Entries in stream order with the units (by position) that carry their effects. It moves to before the first entry with a lost unit. */
  entries: { id: string; units: number[] }[];
}

export interface Post {
  /** `worker@incarnation` */
  holder: string;
  envelope: string;
  units: number[];
}

export interface Release {
  holder: string;
  /** `id~attemptId` */
  attempts: { held: string; unit?: number }[];
}

export interface QuarantineEntry {
  stream: string;
  entry: string;
  reason: string;
  /** At most 4 KiB of it are kept. */
  text: string;
}

export type UnitOutcome =
  /** Written now. */
  | { ok: true; already: boolean; repaired?: number }
  /** `missing`: what it adopts is not there (any more). */
  | { ok: false; reason: 'conflict' | 'reservation' | 'missing' }
  | { ok: false; reason: 'exists'; id: string; digest: string };

export interface CommitReply {
  now: number;
  fenced?: 'epoch' | 'cursor';
  /** One per unit, in order; empty when fenced. */
  units: UnitOutcome[];
  /** Where the report cursor stands now, if the commit named it. */
  cursor?: string;
  /** Stream entry of each post, in order; null where no unit of it won. */
  posted: (string | null)[];
  /** The level reached, where the commit named one. */
  durability?: Durability;
}

// ---- Reading

export interface Cut {
  /** `0-0`: there is none. */
  lastEvent: string;
  /** By id; null = it does not exist. Without payloads. */
  tasks: [id: string, task: StoredTask | null][];
}

/** A key of a unit's `unique`, as it stands. */
export interface UniqueKey {
  key: string;
  id: string;
  digest: string;
  /** What is left of its time. */
  ttlMs: number;
}

/**
 * `spec` and `trail` come always; the input and the result only on request, whole texts even where they are stored apart.
 * `ref`: of an input that is, the reference alone, as `take` answers it.
 */
export interface ReadParts {
  input?: boolean | 'ref';
  result?: boolean;
}

// ---- Scheduling

export interface TakeRequest {
  token: string;
  /** Tasks in all, at most UNITS_MAX. */
  max: number;
  /** Tasks from urgent lanes (prefix `!`) among them. */
  urgentMax: number;
  /** Agents that can be served, with how many tasks of each at most. */
  agents: Record<string, number>;
  /**
   * Lanes that require something of a worker are served by what stands here: `agent|r=requirements` (see `demandOfLane`)
   * to how many tasks at most. What is missing is not served and told in `unknown`; 0 = known, and not served now.
   */
  requires?: Record<string, number>;
  /** Lanes looked at in one call. */
  lanesMax: number;
  /** Continue behind this place (from the last reply's `next`). */
  after?: LanePlace;
}

export interface LanePlace {
  lane: string;
  score: number;
}

export interface TakenTask {
  task: StoredTask;
  lane: string;
  score: number;
}

export interface TakeReply {
  now: number;
  /** In the order in which they should be assigned. Reserved under the token until `now` + RESERVATION_MS. */
  tasks: TakenTask[];
  /** Set when the call ended at its bound of lanes before it had looked at all. */
  next?: LanePlace;
  /** Demands met in lanes of the agents served that `requires` did not name, best head first, at most UNKNOWN_MAX. */
  unknown?: string[];
}

export interface QueueDepth {
  lane: string;
  length: number;
  /** Score of its best entry. */
  score: number;
  paused: boolean;
  /** The full cap for which it waits out of sight of `take`. */
  capped?: string;
}

/** By the names that `scheduling/caps.ts` tells of; null = no limit. */
export type CapsChange =
  /** Only where no limit stands: so that one is there before the first task that it bounds. */
  | { do: 'introduce'; limits: Record<string, number> }
  /** These and no others, under the epoch of the shard's owner. */
  | { do: 'replace'; limits: Record<string, number>; epoch: string }
  /** Under the version of the ledger of shares; one older than the version written last is refused. `lower` raises nothing. */
  | { do: 'lower' | 'set'; limits: Record<string, number | null>; version: number };

export interface CapsReply {
  /** False: it was refused, and nothing changed. */
  ok: boolean;
  /** How many tasks stand in the caps of these names now. */
  used: Record<string, number>;
}

export interface CapUse {
  cap: string;
  used: number;
  /** Null = none now. */
  limit: number | null;
  /** Lanes that wait at this cap. */
  waitingLanes: number;
  /** Of the waiting lanes that were looked at, those that need a place here, whichever cap they wait at. */
  wantedBy: number;
}

export interface CapsView {
  limits: Record<string, number>;
  /** The caps that bound the first waiting lanes, and those of agents and tenants with a limit of their own. */
  used: CapUse[];
  /** Of the ledger, as it was written last. */
  version: number;
}

export interface LaneRank {
  /** Tasks before it in its lane. */
  rank: number;
  length: number;
  /** Tasks with a lower score in each of the other lanes, in their order. */
  before: number[];
}

export interface Ledger {
  version: number;
  text: string;
}

export interface LedgerWrite extends Ledger {
  epoch: string;
  expect: number;
}

// ---- Streams

export type StreamName = 'reports' | 'events' | 'wake' | `mail:${string}`;

export interface StreamEntry {
  /** `milliseconds-sequence`, the time the store's own. */
  id: string;
  fields: Record<string, string>;
}

export interface StreamBatch {
  stream: StreamName;
  entries: StreamEntry[];
}

export interface ReadStreams {
  /** Entries behind `after` (`0` = from the start, `$` = only what comes from now on). */
  from: { stream: StreamName; after: string }[];
  /** Entries of each stream at most. */
  count: number;
  /** Waits so long for a first entry; 0 = does not wait. */
  waitMs: number;
  /** Ends the wait early with an empty answer. */
  signal?: AbortSignal;
}

// ---- Workers and instances

export interface Beat {
  worker: string;
  incarnation: string;
  toCoordinators: string;
  toDistributors: string;
  /** The mailbox is trimmed up to here. */
  mailbox: string;
  /** Tells the distributors to look at once: something changed that they act on. */
  wake: boolean;
}

export type BeatReply =
  | { ok: true; now: number; entry: string; released: string[] }
  /** `replaced`: another incarnation is registered. `unknown`: none is. */
  | { ok: false; now: number; reason: 'replaced' | 'unknown' };

export interface Heartbeat {
  worker: string;
  incarnation: string;
  /** Stream entry; its time is when the lease began. */
  entry: string;
  at: number;
  toCoordinators: string;
  toDistributors: string;
}

export interface Report {
  worker: string;
  incarnation: string;
  envelope: string;
  /** Unsigned hint for distributors, put on the wake-up stream; null = none. */
  hint: string | null;
}

export interface InstanceRecord {
  id: string;
  role: string;
  incarnation: string;
  host: string;
  pid: number;
  version: string;
  url: string | null;
  startedAt: number;
  agents: string[];
  metadata: Record<string, string>;
  /** What the role says of itself: slots, shards owned, … */
  facts: Record<string, unknown>;
}

export interface RegisteredInstance extends InstanceRecord {
  seenAt: number;
}

export interface Registration {
  instance: Omit<InstanceRecord, 'incarnation' | 'startedAt'>;
  /** Random tail of the incarnation. */
  nonce: string;
  /** An entry not renewed for so long is taken over. */
  ttlMs: number;
  /** Incarnation of a holder that the caller knows to be dead. */
  takeOver?: string;
}

export type RegistrationReply =
  | { ok: true; now: number; instance: InstanceRecord }
  | { ok: false; now: number; holder: RegisteredInstance };

export interface AgentEntry {
  name: string;
  card: string;
}

export interface Owner {
  instance: string;
  epoch: string;
  /** When its lock ends unless it is extended; null = the lock is free. */
  until: number | null;
}

// ---- Schedules

/** Standing orders, which the store knows by key, version and when they are due; `text` is `schedule/`'s own. */
export interface ScheduleEntry {
  key: string;
  version: number;
  text: string;
}

export interface ScheduleWrite {
  key: string;
  /** The version that must stand; 0 = there must be none. The next one is higher by one. */
  expect: number;
  /** null = it is removed. */
  text: string | null;
  /** null = never. */
  dueAt: number | null;
}

// ---- The port

export interface Store {
  readonly kind: 'memory' | 'redis';

  /** Connects and looks at what it found. Rejects with StoreUnavailableError when it cannot be reached. */
  check(): Promise<StoreCheck>;
  /** The identity, or null when the store has none (or only part of one). */
  identity(): Promise<StoreIdentity | null>;
  /** Writes `proposal` where no identity stands yet; answers what stands then. */
  claimIdentity(proposal: StoreIdentity): Promise<StoreIdentity>;
  /** The store's clock. */
  now(): Promise<number>;
  /** False after a command failed for want of a connection, true after one succeeded. */
  readonly connected: boolean;
  close(): Promise<void>;

  commit(shard: number, commit: Commit): Promise<CommitReply>;
  /** Why a commit could not reach this level; null = nothing is known to be in its way. */
  whyNotDurable(shard: number, level: Durability): Promise<DurabilityGap | null>;
  read(shard: number, ids: string[], parts?: ReadParts): Promise<{ now: number; tasks: (StoredTask | null)[] }>;
  /** A payload that is stored apart; null where there is none. Whoever asks compares it with its reference. */
  payload(shard: number, id: string, part: PayloadPart): Promise<string | null>;
  /** Keeps a result for `ttlMs`, for a commit that adopts it. Also where Redis is out of memory: the work is done. */
  putResult(shard: number, kept: KeptResult, text: string, ttlMs: number): Promise<void>;
  /** Keeps these for another `ttlMs`; answers which of them are still there. */
  renewResults(shard: number, kept: KeptResult[], ttlMs: number): Promise<boolean[]>;
  /** Forgets those of these that were not adopted. */
  dropResults(shard: number, kept: KeptResult[]): Promise<void>;
  /** Blocks by creation, newest first, older than `before`. */
  blocks(shard: number, before: string | null, limit: number): Promise<string[]>;
  readBlock(shard: number, block: string): Promise<StoredTask[]>;
  /** Memory that each of these blocks takes, in bytes, about; 0 for one that does not exist. */
  blockSizes(shard: number, blocks: string[]): Promise<number[]>;
  /** Walks all blocks that exist, in no order and without any index; `next` null at the end. May repeat some. */
  scanBlocks(shard: number, cursor: string | null): Promise<{ next: string | null; blocks: string[] }>;
  /**
   * The end of the event stream, and as they stand at that very moment these records and every one that the stream names
   * behind `after`. Null: together they are more than UNITS_MAX, or the stream has grown by more than CUT_ENTRIES_MAX.
   */
  cut(shard: number, request: { after: string; ids: string[] }): Promise<Cut | null>;
  /** Walks all unique keys that stand, in no order; `next` null at the end. May repeat some. */
  scanUnique(shard: number, cursor: string | null): Promise<{ next: string | null; keys: UniqueKey[] }>;
  /** Puts keys of a snapshot back, at most UNITS_MAX; one that stands already stays as it is. */
  putUnique(shard: number, keys: UniqueKey[]): Promise<void>;
  /** Entries with score ≤ `max`, lowest first. */
  range(
    shard: number,
    index: IndexName,
    max: number,
    limit: number,
  ): Promise<{ now: number; entries: [string, number][] }>;
  /** Which of `members` stand in the index. */
  contains(shard: number, index: IndexName, members: string[]): Promise<boolean[]>;
  /** `worker@incarnation` of everyone who has held an attempt and was not retired. */
  holders(shard: number): Promise<string[]>;

  take(shard: number, request: TakeRequest): Promise<TakeReply>;
  /** Puts reserved tasks back into their lanes: those named, or all of the token. */
  giveBack(shard: number, token: string, ids?: string[]): Promise<void>;
  /** Gives back every reservation that has expired; answers how many tasks. */
  expireReservations(shard: number): Promise<number>;
  queues(shard: number, limit: number): Promise<{ now: number; queues: QueueDepth[] }>;
  /** Where a task stands in its lane, and of each other lane how many have a lower score. Null: it does not stand there. */
  place(shard: number, request: { lane: string; id: string; others: string[] }): Promise<LaneRank | null>;
  setPaused(shard: number, agent: string, paused: boolean): Promise<void>;
  paused(shard: number): Promise<string[]>;
  /** Changes limits of caps; lanes that have places then come back. */
  changeCaps(shard: number, change: CapsChange): Promise<CapsReply>;
  /** @param lanesMax waiting lanes that are asked for which cap they wait */
  caps(shard: number, lanesMax: number): Promise<CapsView>;
  /** What shards may be using of the limits that they share (shard 0); version 0 and no text when it was never written. */
  ledger(): Promise<Ledger>;
  /** Under shard 0's epoch and the version that must stand. `conflict`: another one does, which may be this very write's. */
  writeLedger(write: LedgerWrite): Promise<'written' | 'conflict' | 'fenced'>;

  readStreams(shard: number, request: ReadStreams): Promise<StreamBatch[]>;
  /** Id of the stream's last entry, `0-0` when it has none. */
  lastEntry(shard: number, stream: StreamName): Promise<{ now: number; id: string }>;
  /** Its first and last id (the last also when it has no entries any more), and whether it ever lost any. */
  extent(shard: number, stream: StreamName): Promise<{ first: string; last: string; trimmed: boolean }>;
  /** Removes entries up to and with `upTo`. */
  trim(shard: number, stream: StreamName, upTo: string): Promise<void>;
  reportCursor(shard: number): Promise<string>;
  quarantine(shard: number, entries: QuarantineEntry[]): Promise<void>;
  quarantined(shard: number, limit: number): Promise<(QuarantineEntry & { id: string })[]>;

  beat(shard: number, beat: Beat): Promise<BeatReply>;
  /** The last heartbeat of every worker that beat at or after `since`. */
  heartbeats(shard: number, since: number): Promise<{ now: number; beats: Heartbeat[] }>;
  report(shard: number, report: Report): Promise<{ now: number; entry: string; released: string[] }>;
  /** Makes `incarnation` the registered one of this worker here, unless a later one is. */
  enlist(shard: number, worker: string, incarnation: string): Promise<boolean>;
  /** Removes mailbox, lease and lists of an incarnation that is gone and holds nothing. False: it still holds something. */
  retire(shard: number, worker: string, incarnation: string): Promise<boolean>;

  register(registration: Registration): Promise<RegistrationReply>;
  /** Renews an entry; `facts` replace the old. False: the entry is another incarnation's, or gone. */
  touch(id: string, incarnation: string, facts: Record<string, unknown>): Promise<{ now: number; ok: boolean }>;
  deregister(id: string, incarnation: string): Promise<void>;
  instances(): Promise<{ now: number; instances: RegisteredInstance[] }>;

  /** Remembers agents for good (shard 0): `card` is JSON text, the newest replaces. Known agents outlive their workers. */
  announce(cards: AgentEntry[]): Promise<void>;
  catalog(): Promise<AgentEntry[]>;

  /** Answers whether it was written; a repeated write is. */
  writeSchedule(shard: number, write: ScheduleWrite): Promise<{ now: number; ok: boolean }>;
  schedule(shard: number, key: string): Promise<ScheduleEntry | null>;
  schedules(shard: number): Promise<ScheduleEntry[]>;
  /** Those due by now, the longest due first. */
  dueSchedules(shard: number, limit: number): Promise<{ now: number; schedules: ScheduleEntry[] }>;

  /** Sets a new epoch if the shard's lock holds `lockValue`; null = it does not. */
  claimEpoch(shard: number, lockValue: string, instance: string): Promise<string | null>;
  owner(shard: number): Promise<Owner | null>;
  /** The shard's lock, by redlock where the store is a server. */
  lock(shard: number): LockPort;
}

export interface HeldLock {
  value: string;
  /** Local time by which the lock must be extended; counted from before the request. */
  expiresAt: number;
}

export interface LockPort {
  acquire(ttlMs: number): Promise<HeldLock | null>;
  extend(held: HeldLock, ttlMs: number): Promise<HeldLock | null>;
  release(held: HeldLock): Promise<void>;
}

/** The version that a record has once this unit has won. */
export function versionAfter({ expect, version = 1 }: Unit): number {
  return expect === 0 ? version : expect + 1;
}

/** The name of a stream inside envelopes: with its shard, so that a message cannot be moved to another one. */
export function streamPlace(shard: number, stream: StreamName | `lease:${string}`): string {
  return `${shard}/${stream}`;
}

/** The member of `held:` indexes and the name of an attempt in heartbeats. */
export function heldName(id: string, attemptId: string): string {
  return `${id}~${attemptId}`;
}

export function parseHeld(held: string): { id: string; attemptId: string } {
  const gap = held.indexOf('~');
  return { id: held.slice(0, gap), attemptId: held.slice(gap + 1) };
}

export function holderOf(worker: string, incarnation: string): string {
  return `${worker}@${incarnation}`;
}

/** Worker ids may not hold an `@`; incarnations never do. */
export function parseHolder(holder: string): { worker: string; incarnation: string } {
  const gap = holder.lastIndexOf('@');
  return { worker: holder.slice(0, gap), incarnation: holder.slice(gap + 1) };
}
