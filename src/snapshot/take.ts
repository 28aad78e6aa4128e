/** Takes a snapshot of everything a store keeps, line by line, while the system goes on working. */
import type { KeyRing } from '../message/keys.ts';
import type { Observe } from '../runtime/observer.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { patiently } from '../store/patience.ts';
import { STORE_SCHEMA, type Store, type UniqueKey } from '../store/store.ts';
import { isoOf } from '../task/view.ts';
import { type ContentLine, SNAPSHOT_FORMAT, SnapshotSeal } from './format.ts';
import { roleStates } from './role-states.ts';
import { ShardReader } from './shard-reader.ts';
import { Spill } from './spill.ts';

const TRIES = 5;

export interface TakeOptions {
  store: Store;
  keys: KeyRing;
  runtime: Runtime;
  policy: { deployment: string; shards: number };
  /** Of the program. */
  version: string;
  observe: Observe;
  signal?: AbortSignal;
}

/**
 * The lines of a snapshot, each with its line break. Nothing is read ahead of whoever takes them, save that each shard is
 * read to its cut before its first task is told.
 *
 * @throws SNAPSHOT_FELL_BEHIND, NO_ROOM, STORE_UNAVAILABLE; what was told until then has no end line, so it does not verify
 */
export async function* takeSnapshot(options: TakeOptions): AsyncGenerator<string> {
  const { store, keys, policy, version, runtime } = options;
  const now = await patiently(() => store.now(), { runtime, tries: TRIES });
  const seal = new SnapshotSeal();
  const told = (line: ContentLine) => {
    const text = JSON.stringify(line);
    seal.add(line, text);
    return `${text}\n`;
  };
  const { generation: key } = keys.signingKey('snapshot');
  const { deployment, shards } = policy;
  const takenAt = isoOf(now);
  yield told({
    type: 'snapshot',
    ...{ format: SNAPSHOT_FORMAT, schema: STORE_SCHEMA, deployment, shards, takenAt, version, key },
  });
  for (const line of await roleStates(store, shards)) yield told(line);
  for (const agent of await store.catalog()) yield told({ type: 'agent', ...agent });
  for (let shard = 0; shard < shards; shard++) yield* takeShard(options, { shard, takenAt: now, seal, told });
  yield `${JSON.stringify(seal.end(keys, key))}\n`;
}

interface ShardTaking {
  shard: number;
  takenAt: number;
  seal: SnapshotSeal;
  told: (line: ContentLine) => string;
}

/**
 * Schedules are read before the cut and keys of submits after it. So a schedule may be older than the tasks it has made,
 * and makes no second one, because the key under which it made the first is there.
 */
async function* takeShard(options: TakeOptions, { shard, takenAt, seal, told }: ShardTaking): AsyncGenerator<string> {
  const { store, runtime, signal, observe } = options;
  for (const agent of await store.paused(shard)) yield told({ type: 'paused', shard, agent });
  for (const { key, text } of await store.schedules(shard)) yield told({ type: 'schedule', shard, key, text });
  const spill = await Spill.open();
  try {
    const reader = new ShardReader({ store, runtime, shard, takenAt, spill, signal });
    const { event, unreadable } = await reader.read();
    let tasks = 0;
    for await (const { text, stateHash } of reader.tasks()) {
      tasks += 1;
      seal.addTask(text, stateHash);
      yield `${text}\n`;
    }
    yield* uniqueLines(options, reader, { shard, told });
    if (unreadable > 0)
      observe({ type: 'fault', where: `snapshot of shard ${shard}`, error: unreadableError(unreadable) });
    yield told({ type: 'cut', shard, event, tasks, unreadable });
  } finally {
    await spill.close();
  }
}

async function* uniqueLines(
  { store, runtime }: TakeOptions,
  reader: ShardReader,
  { shard, told }: Pick<ShardTaking, 'shard' | 'told'>,
): AsyncGenerator<string> {
  const found = new Map<string, UniqueKey>();
  let step: { next: string | null; keys: UniqueKey[] } = { next: null, keys: [] };
  do {
    const from = step.next;
    step = await patiently(() => store.scanUnique(shard, from), { runtime, tries: TRIES });
    for (const key of step.keys) found.set(key.key, key);
  } while (step.next !== null);
  // Asked when all keys have been read: those of tasks behind the cut would name tasks that are not there.
  const created = await reader.createdSince();
  for (const { key, id, digest, ttlMs } of found.values()) {
    if (!created.has(id)) yield told({ type: 'unique', shard, key, id, digest, ttlMs });
  }
}

function unreadableError(count: number): Error {
  return new Error(`${count} records cannot be read and are left out: someone else wrote over them`);
}
