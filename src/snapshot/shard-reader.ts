/*
 * Reads one shard as it stood at one moment, while it goes on changing.
 *
 * All blocks are scanned, and every record is written down as it is met. The event stream names each record that has
 * changed since; those are read again, round by round, until few are left. One last call then reads these, and those that
 * the stream names by then, together with the end of the stream: that is the cut. No call reads much, so nobody waits for
 * a snapshot.
 *
 * What was written down and has changed since is written again, so of each record only the last line counts; which those
 * are is known at the cut, not before. The lines therefore wait in a file: to hold them in memory would take as much of it
 * as the store itself, and to send them at once would show tasks twice. Kept in memory are the names of blocks, and of
 * records that changed meanwhile.
 *
 * Inputs and results are never overwritten: once there they stay until the record is removed. So they may be read apart
 * from the cut. A record that is removed while the shard is read may still be in the snapshot, as it last stood.
 */
import { AgentSystemError } from '../errors.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { compareEntries } from '../store/entry-id.ts';
import { patiently } from '../store/patience.ts';
import { type Store, type StreamEntry, UNITS_MAX } from '../store/store.ts';
import type { StoredTask } from '../task/codec.ts';
import type { TaskRecord } from '../task/task.ts';
import { hashOfTask, type TaskLine } from './format.ts';
import { linesOf } from './lines.ts';
import { restored, restoredTrail } from './restored.ts';
import type { Spill } from './spill.ts';

/** Changed records with which the last call is tried: it may read twice as many, those of its own moment among them. */
const CUT_MAX = UNITS_MAX / 2;
const ROUNDS_MAX = 100;
/** Records that changed during one reading; more = the shard changes faster than it can be read. */
const CHANGED_MAX = 5_000_000;
const ENTRIES_PER_READ = 500;
const READS_PER_ROUND = 200;
const RECORDS_PER_READ = 100;
/** What one read of records with their payloads should bring, about. */
const BYTES_PER_READ = 512 * 1024;
const BREATHES_EVERY_MS = 10;
const TRIES = 5;

export interface ShardReading {
  store: Store;
  runtime: Runtime;
  shard: number;
  /** When the snapshot was begun, by the store's clock. */
  takenAt: number;
  spill: Spill;
  signal?: AbortSignal | undefined;
}

export interface ShardCut {
  /** The last entry of the event stream whose effects are in. */
  event: string;
  unreadable: number;
}

/** A task's line, and the hash of what restoring makes of it. */
export interface ReadTask {
  text: string;
  stateHash: string;
}

/** @throws SNAPSHOT_FELL_BEHIND (retryable) when the shard changes faster than it can be read */
export class ShardReader {
  readonly #reading: ShardReading;
  /** Changes up to this entry of the event stream are known. */
  #after = '0-0';
  /** Changed since they were read, or never read. */
  #changed = new Set<string>();
  /** Of records that were written more than once, or are gone: the line that counts (-1 = none). */
  readonly #counts = new Map<string, number>();
  readonly #scanned = new Set<string>();
  readonly #unreadable = new Set<string>();
  #lines = 0;
  #readAtOnce = 8;
  #breathedAt = 0;

  constructor(reading: ShardReading) {
    this.#reading = reading;
  }

  async read(): Promise<ShardCut> {
    const { store, shard } = this.#reading;
    this.#after = (await this.#ask(() => store.lastEntry(shard, 'events'))).id;
    await this.#scan();
    for (let round = 0; round < ROUNDS_MAX; round++) {
      await this.#follow();
      if (this.#changed.size > CUT_MAX) await this.#writeAgain([...this.#changed]);
      else if (await this.#cut()) return { event: this.#after, unreadable: this.#unreadable.size };
    }
    throw fellBehind(shard, `it was still changing after ${ROUNDS_MAX} rounds`);
  }

  /** The line of every task at the cut, each once. */
  async *tasks(): AsyncGenerator<ReadTask> {
    for await (const { number, bytes } of linesOf(this.#reading.spill.read())) {
      const [id = '', stateHash = ''] = bytes.toString('latin1', 0, ID_AND_HASH).split(' ');
      const counts = this.#counts.get(id) ?? number;
      if (counts === number) yield { text: bytes.toString('utf8', ID_AND_HASH + 1), stateHash };
    }
  }

  /** Records that were created behind the cut, as far as the stream says by now. */
  async createdSince(): Promise<Set<string>> {
    const created = new Set<string>();
    await this.#eachChange((id, version) => version === '1' && created.add(id));
    return created;
  }

  async #scan(): Promise<void> {
    const { store, shard } = this.#reading;
    let step: { next: string | null; blocks: string[] } = { next: null, blocks: [] };
    do {
      const from = step.next;
      step = await this.#ask(() => store.scanBlocks(shard, from));
      for (const block of step.blocks) if (!this.#scanned.has(block)) await this.#scanBlock(block);
      await this.#follow();
    } while (step.next !== null);
  }

  async #scanBlock(block: string): Promise<void> {
    const { store, shard } = this.#reading;
    this.#scanned.add(block);
    const found = await this.#ask(() => store.readBlock(shard, block));
    await this.#write(found.map(({ id }) => id));
  }

  /** Learns what has changed by now. */
  async #follow(): Promise<void> {
    await this.#eachChange((id) => this.#changed.add(id));
    if (this.#changed.size > CHANGED_MAX) throw fellBehind(this.#reading.shard, `${CHANGED_MAX} tasks changed`);
  }

  /** Reads the stream on, to where it ends now. */
  async #eachChange(fn: (id: string, version: string) => unknown): Promise<void> {
    const { store, shard } = this.#reading;
    const began = this.#after;
    for (let reads = 0; reads < READS_PER_ROUND; reads++) {
      const from = [{ stream: 'events' as const, after: this.#after }];
      const [batch] = await this.#ask(() => store.readStreams(shard, { from, count: ENTRIES_PER_READ, waitMs: 0 }));
      const entries = batch?.entries ?? [];
      for (const entry of entries) for (const [id, version] of changesIn(entry)) fn(id, version);
      this.#after = entries.at(-1)?.id ?? this.#after;
      if (entries.length < ENTRIES_PER_READ) break;
    }
    await this.#refuseGap(began);
  }

  /** Asked after the reading: entries that were lost before it would be missed otherwise. */
  async #refuseGap(began: string): Promise<void> {
    const { store, shard } = this.#reading;
    const { first, trimmed } = await this.#ask(() => store.extent(shard, 'events'));
    if (!trimmed || compareEntries(first, began) <= 0) return;
    throw fellBehind(shard, 'its event stream lost entries that had not been read');
  }

  async #writeAgain(ids: string[]): Promise<void> {
    // Before the reading: what changes from here on is told again.
    for (const id of ids) this.#changed.delete(id);
    for (const id of ids) this.#counts.set(id, -1);
    await this.#write(ids);
  }

  /** False: more has changed since than one call may read. */
  async #cut(): Promise<boolean> {
    const { store, shard } = this.#reading;
    const request = { after: this.#after, ids: [...this.#changed] };
    const cut = await this.#ask(() => store.cut(shard, request));
    await this.#refuseGap(this.#after);
    if (cut === null) return false;
    this.#after = cut.lastEvent;
    for (const [id] of cut.tasks) this.#counts.set(id, -1);
    const found = new Map(cut.tasks.flatMap(([id, task]) => (task ? [[id, task]] : [])));
    await this.#write([...found.keys()], found);
    return true;
  }

  /** @param at the records as they are to be written; only what they bring along is read now */
  async #write(ids: string[], at?: ReadonlyMap<string, StoredTask>): Promise<void> {
    const { store, shard } = this.#reading;
    for (let from = 0; from < ids.length; ) {
      const some = ids.slice(from, from + this.#readAtOnce);
      const { tasks } = await this.#ask(() => store.read(shard, some, { input: true, result: true }));
      let length = 0;
      for (const task of tasks) if (task) length += await this.#writeOne(asOf(task, at?.get(task.id)));
      from += some.length;
      this.#adapt(length / some.length);
      await this.#breathe();
    }
  }

  /** As many records in one read as bring no more than is wanted; never twice as many as before. */
  #adapt(length: number): void {
    const fits = Math.floor(BYTES_PER_READ / Math.max(1, length));
    this.#readAtOnce = Math.max(1, Math.min(RECORDS_PER_READ, fits, this.#readAtOnce * 2));
  }

  async #writeOne(stored: StoredTask): Promise<number> {
    const { shard, takenAt, spill } = this.#reading;
    const line = lineOf(stored, shard);
    const record = stored.damaged === undefined ? restoredIfReadable(line, takenAt) : null;
    if (record === null) {
      this.#unreadable.add(stored.id);
      return 0;
    }
    this.#unreadable.delete(stored.id);
    const { version, state } = record;
    const stateHash = hashOfTask({ ...line, version, state, trail: restoredTrail(line, record) });
    this.#lines += 1;
    if (this.#counts.has(stored.id)) this.#counts.set(stored.id, this.#lines);
    const bytes = Buffer.from(`${stored.id} ${stateHash} ${JSON.stringify(line)}\n`);
    await spill.write(bytes);
    return bytes.length;
  }

  /** The embedded store answers at once: without this a whole shard would be read in one turn of the loop. */
  async #breathe(): Promise<void> {
    const { runtime } = this.#reading;
    if (runtime.now() - this.#breathedAt < BREATHES_EVERY_MS) return;
    await new Promise<void>((resolve) => runtime.soon(resolve));
    this.#breathedAt = runtime.now();
  }

  #ask<T>(call: () => Promise<T>): Promise<T> {
    const { runtime, signal } = this.#reading;
    signal?.throwIfAborted();
    return patiently(call, { runtime, tries: TRIES, ...(signal && { signal }) });
  }
}

const ID_AND_HASH = 25 + 1 + 64;

/** The record of the cut with the payloads that were read after it. */
function asOf(read: StoredTask, cut: StoredTask | undefined): StoredTask {
  if (!cut) return read;
  const task = { ...cut };
  if (read.input !== undefined) task.input = read.input;
  // A result that came later is not the cut's.
  if (read.damaged === 'input' || cut.state === 'completed') task.damaged = read.damaged;
  if (read.result !== undefined && cut.state === 'completed') task.result = read.result;
  return task;
}

function restoredIfReadable(line: TaskLine, takenAt: number): TaskRecord | null {
  try {
    return restored(line, takenAt);
  } catch (error) {
    if (error instanceof AgentSystemError && error.code === 'RECORD_UNREADABLE') return null;
    throw error;
  }
}

function lineOf({ id, version, state, spec, trail, input = 'null', result }: StoredTask, shard: number): TaskLine {
  const gap = spec.indexOf(' ');
  const texts = { seal: spec.slice(0, gap), spec: spec.slice(gap + 1), input, trail };
  return { type: 'task', shard, id, version, state, ...texts, ...(result !== undefined && { result }) };
}

/** Pairs of id and version; an entry about something else than tasks has none. */
function changesIn({ fields: { e = '' } }: StreamEntry): [string, string][] {
  const changes: [string, string][] = [];
  for (const part of e.split(';')) {
    const [id, version] = part.split(' ');
    if (id && version) changes.push([id, version]);
  }
  return changes;
}

function fellBehind(shard: number, why: string): AgentSystemError {
  const message = `the snapshot of shard ${shard} was given up: ${why} while it was read; try again when less is going on`;
  return new AgentSystemError('SNAPSHOT_FELL_BEHIND', message, { retryable: true });
}
