import { digestOf } from '../../message/seal.ts';
import type { StoredTask } from '../../task/codec.ts';
import { blockOf } from '../../task/id.ts';
import { isLarge, refText } from '../../task/payload.ts';
import type { TaskState } from '../../task/task.ts';
import { type ReadParts, type Unit, versionAfter } from '../store.ts';
import { SortedSet } from './sorted-set.ts';

/** What is kept of a task. Never handed out: readers get copies with the parts they asked for. */
export interface StoredRecord {
  readonly id: string;
  version: number;
  state: TaskState;
  op: string;
  spec: string;
  trail: string;
  /** Whole, as is the result: what is large is stored apart only where a copy of it costs something. */
  input: string;
  /** Stands for a large input; made when it is first asked for. */
  inputRef?: string | undefined;
  result: string | null;
}

/** The records of one shard, by block. */
export class Records {
  readonly #blocks = new Map<string, Map<string, StoredRecord>>();
  /** Block names begin with their creation time: all at score 0, they stand in order of creation. */
  readonly #names = new SortedSet();

  get(id: string): StoredRecord | undefined {
    return this.#blocks.get(blockOf(id))?.get(id);
  }

  isQueued(id: string): boolean {
    return this.get(id)?.state === 'queued';
  }

  create(unit: Unit, op: string): void {
    const { id, state, spec = '', input = '', trail = '', result = null } = unit;
    this.#block(blockOf(id)).set(id, { id, version: versionAfter(unit), state, op, spec, trail, input, result });
  }

  /** As it was read back from a journal. */
  put(record: StoredRecord): void {
    this.#block(blockOf(record.id)).set(record.id, record);
  }

  delete(id: string): void {
    const name = blockOf(id);
    const block = this.#blocks.get(name);
    block?.delete(id);
    if (block?.size !== 0) return;
    this.#blocks.delete(name);
    this.#names.delete(name);
  }

  newestBlocks(before: string | null, limit: number): string[] {
    const place = before === null ? null : { member: before, score: 0 };
    return this.#names.descending(place, limit).map((entry) => entry.member);
  }

  blocksAfter(after: string | null, limit: number): string[] {
    const place = after === null ? null : { member: after, score: 0 };
    return this.#names.ascending(place, limit).map((entry) => entry.member);
  }

  /** In order of id. */
  idsOf(block: string): string[] {
    return [...(this.#blocks.get(block)?.keys() ?? [])].sort();
  }

  /** Characters of all texts, which take a byte each as long as they are Latin. */
  sizeOf(block: string): number {
    let size = 0;
    for (const record of this.#blocks.get(block)?.values() ?? []) size += lengthOf(record);
    return size;
  }

  read(id: string, parts: ReadParts = {}): StoredTask | null {
    const record = this.get(id);
    return record ? copyOf(record, parts) : null;
  }

  #block(name: string): Map<string, StoredRecord> {
    const found = this.#blocks.get(name);
    if (found) return found;
    const block = new Map<string, StoredRecord>();
    this.#blocks.set(name, block);
    this.#names.set(name, 0);
    return block;
  }
}

function lengthOf({ id, op, spec, trail, input, result }: StoredRecord): number {
  return id.length + op.length + spec.length + trail.length + input.length + (result?.length ?? 0);
}

/** Writes what the unit brings; parts it leaves out stay as they are. */
export function overwrite(record: StoredRecord, unit: Unit, op: string): void {
  record.version += 1;
  record.state = unit.state;
  record.op = op;
  if (unit.spec !== undefined) record.spec = unit.spec;
  if (unit.input !== undefined) {
    record.input = unit.input;
    record.inputRef = undefined;
  }
  if (unit.trail !== undefined) record.trail = unit.trail;
  if (unit.result !== undefined) record.result = unit.result;
}

function copyOf(record: StoredRecord, parts: ReadParts): StoredTask {
  const { id, version, state, op, spec, trail, input, result } = record;
  const task: StoredTask = { id, version, state, op, spec, trail };
  if (parts.input) task.input = parts.input === 'ref' ? inputOrRef(record) : input;
  if (parts.result && result !== null) task.result = result;
  return task;
}

function inputOrRef(record: StoredRecord): string {
  const { input } = record;
  if (!isLarge(input)) return input;
  record.inputRef ??= refText({ bytes: Buffer.byteLength(input), digest: digestOf(input) });
  return record.inputRef;
}
