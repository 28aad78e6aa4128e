import { AgentSystemError } from '../errors.ts';
import type { Store } from '../store/store.ts';
import { decodeTask, type StoredTask } from '../task/codec.ts';
import { blockOf, placeOf } from '../task/id.ts';
import type { TaskRecord, TaskState } from '../task/task.ts';
import { type TaskView, viewOf } from '../task/view.ts';

const LIMIT_DEFAULT = 50;
export const LIST_LIMIT_MAX = 500;
/** Blocks read for one page at most: a rare match gives a short page with a cursor, never a long wait. */
const BLOCKS_PER_PAGE = 200;
const BLOCKS_PER_READ = 20;

export interface ListFilter {
  state?: TaskState[];
  agent?: string;
  tenant?: string;
  correlationId?: string;
  /** `name=value`, all must match. */
  labels?: Record<string, string>;
  /** Created before this time, milliseconds. */
  createdBefore?: number;
  /** The worker of its attempt now, or of the last one. */
  worker?: string;
  parentId?: string;
  limit?: number;
  /** From the page before. */
  cursor?: string;
}

export interface TaskPage {
  tasks: TaskView[];
  /** Null: there is nothing more. A page may be short or empty and still have one. */
  nextCursor: string | null;
}

/**
 * Tasks, newest first, without their inputs and results. The cursor is the place of the last task that was looked at, not
 * its id: it may be a task of another tenant.
 */
export async function listTasks(
  store: Store,
  shards: number,
  filter: ListFilter,
  durability: string,
): Promise<TaskPage> {
  const limit = Math.min(filter.limit ?? LIMIT_DEFAULT, LIST_LIMIT_MAX);
  const { records, nextCursor } = await findTasks(store, shards, filter, { limit, blocksMax: BLOCKS_PER_PAGE });
  return { tasks: records.map((record) => viewOf(record, durability)), nextCursor };
}

/** The records that match, newest first, without inputs and results; ends at `limit` of them or so many blocks. */
export async function findTasks(
  store: Store,
  shards: number,
  filter: Omit<ListFilter, 'limit'>,
  { limit, blocksMax }: { limit: number; blocksMax: number },
): Promise<{ records: TaskRecord[]; nextCursor: string | null }> {
  const records: TaskRecord[] = [];
  let looked = 0;
  for await (const record of newestFirst(store, shards, filter.cursor ?? null, () => ++looked)) {
    if (record === null) continue;
    if (matches(record, filter)) records.push(record);
    if (records.length >= limit || looked >= blocksMax) return { records, nextCursor: placeOf(record.id) };
  }
  return { records, nextCursor: null };
}

async function* newestFirst(
  store: Store,
  shards: number,
  cursor: string | null,
  onBlock: () => void,
): AsyncGenerator<TaskRecord> {
  // The cursor's own block is read again: its older tasks have not been shown.
  const from = cursor === null ? null : `${blockOf(cursor)}~`;
  const walks = Array.from({ length: shards }, (_, shard) => new BlockWalk(store, shard, from));
  for (;;) {
    for (const walk of walks) await walk.fill();
    const open = walks.filter((walk) => walk.head !== undefined);
    if (open.length === 0) return;
    const newest = open.reduce((a, b) => (a.head! > b.head! ? a : b));
    const block = newest.shift();
    onBlock();
    const records = (await store.readBlock(newest.shard, block)).flatMap(readable);
    records.sort((a, b) => (a.id < b.id ? 1 : -1));
    for (const record of records) if (cursor === null || record.id < cursor) yield record;
  }
}

/** One record that was written over must not hide the others; whoever asks for it by id is told what is wrong with it. */
function readable(stored: StoredTask): TaskRecord[] {
  try {
    return [decodeTask(stored)];
  } catch (error) {
    if (error instanceof AgentSystemError && error.code === 'RECORD_UNREADABLE') return [];
    throw error;
  }
}

/** The blocks of one shard, newest first, fetched a few at a time. */
class BlockWalk {
  readonly shard: number;
  readonly #store: Store;
  #blocks: string[] = [];
  #before: string | null;
  #ended = false;

  constructor(store: Store, shard: number, before: string | null) {
    this.#store = store;
    this.shard = shard;
    this.#before = before;
  }

  get head(): string | undefined {
    return this.#blocks[0];
  }

  async fill(): Promise<void> {
    if (this.#blocks.length > 0 || this.#ended) return;
    this.#blocks = await this.#store.blocks(this.shard, this.#before, BLOCKS_PER_READ);
    this.#ended = this.#blocks.length < BLOCKS_PER_READ;
    this.#before = this.#blocks.at(-1) ?? this.#before;
  }

  shift(): string {
    return this.#blocks.shift()!;
  }
}

function matches({ spec, state, trail }: TaskRecord, filter: ListFilter): boolean {
  if (filter.state && !filter.state.includes(state)) return false;
  if (filter.agent !== undefined && spec.agent !== filter.agent) return false;
  if (filter.tenant !== undefined && spec.tenant !== filter.tenant) return false;
  if (filter.worker !== undefined && trail.worker !== filter.worker) return false;
  if (filter.parentId !== undefined && spec.parentId !== filter.parentId) return false;
  if (filter.correlationId !== undefined && spec.correlationId !== filter.correlationId) return false;
  if (filter.createdBefore !== undefined && spec.createdAt >= filter.createdBefore) return false;
  return Object.entries(filter.labels ?? {}).every(([name, value]) => spec.labels?.[name] === value);
}
