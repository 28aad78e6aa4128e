/*
 * Puts a snapshot into a store. Nothing is written before all of it is proven. Then it is read a second time and written
 * batch by batch, every record at the version that `restored` gives it, with the indexes that belong to it, so that it is
 * like any other from that moment on; whoever runs beside it may take it at once.
 *
 * What the store holds counts more than what the snapshot says: a record that is there stays as it is, whatever its
 * version, so nothing older comes over something newer, and nothing that has ended is begun again while its record is
 * kept. Every commit names the snapshot as its operation. So a restore that was cut off is repeated and finds its own
 * records, also where the store must be empty otherwise.
 */
import { AgentSystemError } from '../errors.ts';
import type { KeyRing } from '../message/keys.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { dueAt } from '../schedule/decide.ts';
import type { Schedule } from '../schedule/schedule.ts';
import { limitsOf } from '../scheduling/caps.ts';
import { unitOf } from '../store/commit.ts';
import type { IndexPolicy } from '../store/indexes.ts';
import { patiently } from '../store/patience.ts';
import { type AgentEntry, type Store, UNITS_MAX, type UniqueKey, type Unit } from '../store/store.ts';
import { isActive, isTerminal } from '../task/task.ts';
import { readSnapshot, type SnapshotContent, type SnapshotSummary, verifySnapshot } from './read.ts';

const TRIES = 8;
const COMMIT_LENGTH_MAX = 1024 * 1024;

export interface RestoreOptions {
  store: Store;
  keys: KeyRing;
  runtime: Runtime;
  policy: IndexPolicy & { shards: number };
  /** Adds what is missing to a store that holds tasks. */
  force: boolean;
  /** The same bytes each time it is called. */
  open: () => AsyncIterable<Uint8Array>;
  signal?: AbortSignal | undefined;
  onProgress?: (tasks: number, of: number) => void;
}

export interface RestoreReport {
  snapshot: SnapshotSummary;
  /** Tasks that were written now. */
  restored: number;
  /** Tasks that the store held already, and that stay as they are. */
  kept: number;
  /** Of the tasks in the snapshot: taken from a worker, and waiting again. */
  requeued: number;
  /** Of the tasks in the snapshot: taken from a worker and failed, for they must not run twice. */
  outcomeUnknown: number;
  schedules: number;
  uniqueKeys: number;
}

/** @throws SNAPSHOT_REFUSED, STORE_NOT_EMPTY */
export async function restoreSnapshot(options: RestoreOptions): Promise<RestoreReport> {
  const { keys, policy, force, open } = options;
  const snapshot = await verifySnapshot(open(), { keys });
  if (snapshot.shards !== policy.shards) throw otherShards(snapshot.shards, policy.shards);
  const op = `restore-${snapshot.digest.slice(0, 16)}`;
  if (!force) await refuseOthersTasks(options, op);
  return new Restorer(options, snapshot, op).run();
}

/** @throws STORE_NOT_EMPTY when a record is there that this very operation has not written, or that moved on since */
async function refuseOthersTasks({ store, policy }: RestoreOptions, op: string): Promise<void> {
  for (let shard = 0; shard < policy.shards; shard++) {
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const step: { next: string | null; blocks: string[] } = await store.scanBlocks(shard, cursor ?? null);
      for (const block of step.blocks) {
        const other = (await store.readBlock(shard, block)).find((task) => task.op !== op);
        if (other) throw notEmpty(other.id);
      }
      cursor = step.next;
    }
  }
}

class Restorer {
  readonly #options: RestoreOptions;
  readonly #op: string;
  readonly #report: RestoreReport;
  #agents: AgentEntry[] | null = [];
  #shard = 0;
  #units: Unit[] = [];
  #length = 0;
  #uniqueKeys: UniqueKey[] = [];

  constructor(options: RestoreOptions, snapshot: SnapshotSummary, op: string) {
    this.#options = options;
    this.#op = op;
    const none = { restored: 0, kept: 0, requeued: 0, outcomeUnknown: 0, schedules: 0, uniqueKeys: 0 };
    this.#report = { snapshot, ...none };
  }

  async run(): Promise<RestoreReport> {
    const { open, keys, signal } = this.#options;
    for await (const content of readSnapshot(open(), { keys })) {
      signal?.throwIfAborted();
      await this.#take(content);
    }
    await this.#flush();
    return this.#report;
  }

  async #take(content: SnapshotContent): Promise<void> {
    const { line } = content;
    if ('shard' in line) {
      await this.#knowAgents();
      if (line.shard !== this.#shard) await this.#flush();
      this.#shard = line.shard;
    }
    if (content.type === 'task') return this.#takeTask(content);
    const { store } = this.#options;
    switch (line.type) {
      case 'agent':
        this.#agents?.push({ name: line.name, card: line.card });
        return;
      case 'paused':
        await this.#ask(() => store.setPaused(line.shard, line.agent, true));
        return;
      case 'schedule':
        return this.#writeSchedule(line);
      case 'unique':
        this.#uniqueKeys.push(line);
        if (this.#uniqueKeys.length >= UNITS_MAX) await this.#flushKeys();
    }
  }

  async #takeTask({ line, record, trail }: Extract<SnapshotContent, { type: 'task' }>): Promise<void> {
    const unit = unitOf(null, record, this.#options.policy);
    this.#units.push({ ...unit, version: record.version, trail });
    this.#length += line.input.length + (line.result?.length ?? 0) + line.spec.length + line.trail.length;
    if (isActive(line.state) && isTerminal(record.state)) this.#report.outcomeUnknown += 1;
    else if (isActive(line.state)) this.#report.requeued += 1;
    if (this.#units.length >= UNITS_MAX || this.#length >= COMMIT_LENGTH_MAX) await this.#flushTasks();
  }

  /** What the store knows of an agent is newer. Its limits stand before the first task that they bound. */
  async #knowAgents(): Promise<void> {
    const agents = this.#agents;
    if (agents === null) return;
    this.#agents = null;
    const { store, policy } = this.#options;
    const known = new Set((await store.catalog()).map(({ name }) => name));
    const fresh = agents.filter(({ name }) => !known.has(name));
    await this.#ask(() => store.announce(fresh));
    const limits = limitsOf(
      agents.map(({ card }) => JSON.parse(card) as { name: string; concurrency?: number; concurrencyPerKey?: number }),
      policy.tenantConcurrency,
    );
    if (Object.keys(limits).length === 0) return;
    // Of what several shards share, each has nothing until it is lent a part.
    for (const name of Object.keys(limits)) if (policy.shards > 1 && name[0] !== 'k') limits[name] = 0;
    for (let shard = 0; shard < policy.shards; shard++) {
      await this.#ask(() => store.changeCaps(shard, { do: 'introduce', limits }));
    }
  }

  async #writeSchedule({ shard, key, text }: { shard: number; key: string; text: string }): Promise<void> {
    const { store } = this.#options;
    const now = await store.now();
    const reply = await this.#ask(() => store.writeSchedule(shard, { key, expect: 0, text, dueAt: lookAt(text, now) }));
    if (reply.ok) this.#report.schedules += 1;
  }

  async #flush(): Promise<void> {
    await this.#flushTasks();
    await this.#flushKeys();
  }

  async #flushTasks(): Promise<void> {
    const { store, onProgress } = this.#options;
    const units = this.#units;
    if (units.length === 0) return;
    this.#units = [];
    this.#length = 0;
    const reply = await this.#ask(() => store.commit(this.#shard, { op: this.#op, units }));
    for (const outcome of reply.units) {
      if (outcome.ok && !outcome.already) this.#report.restored += 1;
      else this.#report.kept += 1;
    }
    const { restored, kept, snapshot } = this.#report;
    onProgress?.(restored + kept, snapshot.counts.task ?? 0);
  }

  async #flushKeys(): Promise<void> {
    const keys = this.#uniqueKeys.map(({ key, id, digest, ttlMs }) => ({ key, id, digest, ttlMs }));
    this.#uniqueKeys = [];
    if (keys.length > 0) await this.#ask(() => this.#options.store.putUnique(this.#shard, keys));
    this.#report.uniqueKeys += keys.length;
  }

  #ask<T>(call: () => Promise<T>): Promise<T> {
    const { runtime, signal } = this.#options;
    return patiently(call, { runtime, tries: TRIES, ...(signal && { signal }) });
  }
}

/** When the owner looks at the schedule; null for one that cannot be read, which nobody would ever fire. */
function lookAt(text: string, now: number): number | null {
  try {
    const schedule = JSON.parse(text) as Schedule;
    return schedule.waiting.length > 0 ? now : dueAt(schedule, false);
  } catch {
    return null;
  }
}

function notEmpty(id: string): AgentSystemError {
  const message = `the store holds tasks, such as ${id}: a snapshot is restored into an empty store, or with force, which adds what is missing and leaves alone what is there`;
  return new AgentSystemError('STORE_NOT_EMPTY', message, { details: { task: id, forcible: true } });
}

function otherShards(found: number, wanted: number): AgentSystemError {
  const message = `the snapshot is refused: it was taken with SHARDS=${found}, here SHARDS is ${wanted}, and the ids of its tasks name their shards: set SHARDS=${found} on an empty store`;
  return new AgentSystemError('SNAPSHOT_REFUSED', message, { details: { found, wanted } });
}
