/*
 * Reads a snapshot and believes none of it before it is proven: form, version, counts, checksum, digest, signature. What
 * is wrong is said with its line. Only at the end is the whole proven, so whoever restores reads twice: to the end, and
 * then again to write.
 */
import { isUtf8 } from 'node:buffer';
import { AgentSystemError } from '../errors.ts';
import type { KeyRing } from '../message/keys.ts';
import { checkSeal } from '../message/seal.ts';
import { STORE_SCHEMA } from '../store/store.ts';
import { shardOf } from '../task/id.ts';
import type { TaskRecord } from '../task/task.ts';
import {
  type ContentLine,
  checkSignature,
  type EndLine,
  hashOfTask,
  lineSchema,
  SNAPSHOT_FORMAT,
  type SnapshotHeader,
  type SnapshotLine,
  SnapshotSeal,
  type TaskLine,
} from './format.ts';
import { linesOf, refusedAt } from './lines.ts';
import { restored, restoredTrail } from './restored.ts';

const QUOTED_MAX = 80;

export interface ReadOptions {
  /** Null: who signed it is not asked, so nothing is proven but that it is whole. */
  keys: KeyRing | null;
}

export type SnapshotContent =
  | { type: 'task'; line: TaskLine; record: TaskRecord; trail: string }
  | { type: 'other'; line: Exclude<ContentLine, TaskLine | SnapshotHeader> };

export interface SnapshotSummary {
  format: number;
  deployment: string;
  shards: number;
  takenAt: string;
  version: string;
  /** Of the state: equal for a store that was restored from it. */
  digest: string;
  /** Lines of each type. */
  counts: Record<string, number>;
  /** Tasks in each state, as they were. */
  states: Record<string, number>;
  /** Generation of the key that signed it. */
  key: string;
  /** False: no keys were there to check it with. */
  signed: boolean;
  /** Tasks whose seal was made under a key that is not here: they wait until it is, or are rejected. */
  seals: { unknownKey: number; wrong: number };
}

/**
 * Tells the content and answers what the snapshot is. To find one id twice, all are kept in memory: about 100 bytes each.
 *
 * @throws SNAPSHOT_REFUSED with the line that is wrong
 */
export async function* readSnapshot(
  source: AsyncIterable<Uint8Array>,
  { keys }: ReadOptions,
): AsyncGenerator<SnapshotContent, SnapshotSummary> {
  const reader = new SnapshotReader(keys);
  for await (const { number, bytes } of linesOf(source)) {
    const content = reader.next(number, bytes);
    if (content) yield content;
  }
  return reader.summary();
}

/** Reads to the end. */
export async function verifySnapshot(
  source: AsyncIterable<Uint8Array>,
  options: ReadOptions,
): Promise<SnapshotSummary> {
  const content = readSnapshot(source, options);
  for (;;) {
    const { done, value } = await content.next();
    if (done) return value;
  }
}

class SnapshotReader {
  readonly #keys: KeyRing | null;
  readonly #seal = new SnapshotSeal();
  readonly #ids = new Set<string>();
  readonly #states: Record<string, number> = {};
  readonly #seals = { unknownKey: 0, wrong: 0 };
  #header: SnapshotHeader | null = null;
  #end: EndLine | null = null;
  #lines = 0;
  /** Shards whose cut was read. */
  #cuts = 0;
  #tasksOfShard = 0;

  constructor(keys: KeyRing | null) {
    this.#keys = keys;
  }

  next(number: number, bytes: Buffer): SnapshotContent | null {
    this.#lines = number;
    if (this.#end) throw refusedAt(number, 'stands behind the end line');
    const line = parseLine(number, bytes, this.#header === null);
    if (line.type === 'end') return this.#readEnd(number, line);
    if (line.type === 'snapshot') return this.#readHeader(number, line, bytes);
    if (line.type === 'task') return this.#readTask(number, line, bytes);
    this.#checkShard(number, line);
    this.#seal.add(line, bytes);
    return { type: 'other', line };
  }

  summary(): SnapshotSummary {
    if (!this.#header) throw refusedAt(1, 'is missing: the file is empty');
    if (!this.#end) throw refusedAt(this.#lines + 1, 'is missing: the file was cut off before its end line');
    const { format, deployment, shards, takenAt, version } = this.#header;
    const { digest, counts, key } = this.#end;
    const proven = { digest, counts, states: this.#states, key, signed: this.#keys !== null, seals: this.#seals };
    return { format, deployment, shards, takenAt, version, ...proven };
  }

  #readHeader(number: number, line: SnapshotHeader, bytes: Buffer): null {
    if (this.#header) throw refusedAt(number, 'is a second header');
    if (line.schema !== STORE_SCHEMA) throw refusedAt(number, otherSchema(line));
    this.#header = line;
    this.#seal.add(line, bytes);
    return null;
  }

  #readTask(number: number, line: TaskLine, bytes: Buffer): SnapshotContent {
    this.#checkShard(number, line);
    if (this.#ids.has(line.id)) throw refusedAt(number, `tells task ${line.id} a second time`);
    this.#ids.add(line.id);
    const record = this.#restored(number, line);
    const trail = restoredTrail(line, record);
    const { version, state } = record;
    this.#seal.add(line, bytes, hashOfTask({ ...line, version, state, trail }));
    this.#states[line.state] = (this.#states[line.state] ?? 0) + 1;
    this.#tasksOfShard += 1;
    this.#checkSeal(line);
    return { type: 'task', line, record, trail };
  }

  #restored(number: number, line: TaskLine): TaskRecord {
    try {
      return restored(line, Date.parse(this.#header!.takenAt));
    } catch (error) {
      if (!(error instanceof AgentSystemError)) throw error;
      throw refusedAt(number, `holds a task that cannot be read: ${error.message}`);
    }
  }

  #checkSeal({ spec, seal }: TaskLine): void {
    const verdict = this.#keys && checkSeal(spec, seal, this.#keys);
    if (verdict === 'unknown_key') this.#seals.unknownKey += 1;
    if (verdict === 'wrong') this.#seals.wrong += 1;
  }

  /** Shards come one after the other, each ended by its cut. */
  #checkShard(number: number, line: SnapshotLine): void {
    const { shards } = this.#header!;
    if (!('shard' in line)) return;
    if (line.shard >= shards) throw refusedAt(number, `is of shard ${line.shard}, the header tells of ${shards}`);
    if (line.shard !== this.#cuts) throw refusedAt(number, `is of shard ${line.shard}, wanted ${this.#cuts}`);
    if ('id' in line && line.type === 'task' && shardOf(line.id) !== line.shard) {
      throw refusedAt(number, `tells of task ${line.id}, whose id is of shard ${shardOf(line.id)}`);
    }
    if (line.type !== 'cut') return;
    if (line.tasks !== this.#tasksOfShard) {
      throw refusedAt(number, `tells of ${line.tasks} tasks in its shard, ${this.#tasksOfShard} stand before it`);
    }
    this.#cuts += 1;
    this.#tasksOfShard = 0;
  }

  #readEnd(number: number, line: EndLine): null {
    const { shards } = this.#header!;
    if (this.#cuts < shards) throw refusedAt(number, `ends it after ${this.#cuts} of ${shards} shards`);
    const { counts, sha256, digest } = this.#seal;
    const found = JSON.stringify(sorted(counts));
    const wanted = JSON.stringify(sorted(line.counts));
    if (found !== wanted) throw refusedAt(number, `counts ${wanted} lines, ${found} stand before it`);
    this.#checkWho(number, line);
    if (sha256 !== line.sha256) {
      throw refusedAt(
        number,
        `holds the checksum ${line.sha256}, the lines before it have ${sha256}: they were edited`,
      );
    }
    if (digest !== line.digest) throw refusedAt(number, `holds the digest ${line.digest}, the state has ${digest}`);
    this.#end = line;
    return null;
  }

  #checkWho(number: number, line: EndLine): void {
    if (!this.#keys) return;
    const verdict = checkSignature(line, this.#keys);
    if (verdict === 'unknown') {
      throw refusedAt(number, `is signed with the key ${JSON.stringify(line.key)}, which is not among the keys here`);
    }
    if (verdict === 'wrong') {
      const what = 'has another secret here, or the end line was edited';
      throw refusedAt(number, `holds a signature that does not fit: the key ${JSON.stringify(line.key)} ${what}`);
    }
  }
}

function parseLine(number: number, bytes: Buffer, first: boolean): SnapshotLine {
  if (!isUtf8(bytes)) throw refusedAt(number, 'is not valid UTF-8');
  const value = parseJson(number, bytes.toString('utf8'));
  const { type, format } = (value ?? {}) as { type?: unknown; format?: unknown };
  if (first && type !== 'snapshot') throw refusedAt(number, 'is not the header of a snapshot');
  if (first && format !== SNAPSHOT_FORMAT) throw refusedAt(number, otherFormat(format));
  const read = lineSchema.safeParse(value);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw refusedAt(number, `is no line of a snapshot: ${issue?.path.join('.') || 'type'}: ${issue?.message}`);
}

function parseJson(number: number, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw refusedAt(number, `is not JSON: ${text.slice(0, QUOTED_MAX)}`);
  }
}

function otherFormat(format: unknown): string {
  const found = JSON.stringify(format)?.slice(0, QUOTED_MAX);
  const newer = typeof format === 'number' && format > SNAPSHOT_FORMAT;
  const does = newer ? 'was written by a newer version: read it with that one' : 'is none that there ever was';
  return `says format ${found}, this version reads ${SNAPSHOT_FORMAT}: it ${does}`;
}

function otherSchema({ schema, version }: SnapshotHeader): string {
  return `says schema ${schema}, this version works with ${STORE_SCHEMA}: restore it with version ${version}`;
}

function sorted(counts: Readonly<Record<string, number>>): [string, number][] {
  return Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1));
}
