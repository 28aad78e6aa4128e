import { keyRingFromSecret } from '../../src/message/keys.ts';
import { digestOf, seal } from '../../src/message/seal.ts';
import { systemRuntime } from '../../src/runtime/system-runtime.ts';
import type { SnapshotLine, TaskLine } from '../../src/snapshot/format.ts';
import { type RestoreReport, restoreSnapshot } from '../../src/snapshot/restore.ts';
import { takeSnapshot } from '../../src/snapshot/take.ts';
import { unitOf } from '../../src/store/commit.ts';
import { createMemoryStore } from '../../src/store/memory/memory-store.ts';
import { createRedisStore } from '../../src/store/redis/redis-store.ts';
import type { Store } from '../../src/store/store.ts';
import { shardOf } from '../../src/task/id.ts';
import { DEFAULT_POLICY } from '../../src/task/policy.ts';
import type { TaskRecord } from '../../src/task/task.ts';
import { aTask } from '../support/builders.ts';

export const runtime = systemRuntime;
export const keys = keyRingFromSecret('the-secret-of-the-snapshot-tests-0123456789');
export const policyFor = (shards: number) => ({ ...DEFAULT_POLICY, shards, deployment: 'here' });

export function memoryStore(shards = 1): Store {
  return createMemoryStore({ runtime, shards });
}

let prefixes = 0;
/** Keys of its own on the same server each time. */
export function redisStore(port: number, shards = 1, onCommand?: (name: string, seconds: number) => void): Store {
  prefixes += 1;
  return createRedisStore({ connection: { port }, prefix: `s${prefixes}`, shards, ...(onCommand && { onCommand }) });
}

/** A task whose seal and input digest are right. */
export function aSealedTask(over: Parameters<typeof aTask>[0] = {}): TaskRecord {
  const input = over.input ?? '{"text":"hé \\u2028"}';
  const task = aTask({ ...over, input, inputDigest: digestOf(input) });
  const text = JSON.stringify(task.spec);
  return { ...task, sealed: { text, seal: seal(text, keys) } };
}

/** Stores them at their versions. */
export async function put(store: Store, tasks: TaskRecord[], shards = 1): Promise<void> {
  for (let shard = 0; shard < shards; shard++) {
    const mine = tasks.filter(({ id }) => shardOf(id) === shard);
    for (let from = 0; from < mine.length; from += 500) {
      const units = mine
        .slice(from, from + 500)
        .map((task) => ({ ...unitOf(null, task, policyFor(shards)), version: task.version }));
      await store.commit(shard, { op: `put${shard}-${from}`, units });
    }
  }
}

export async function snapshotOf(store: Store, shards = 1): Promise<string> {
  let text = '';
  const options = { store, keys, runtime, policy: policyFor(shards), version: '1.0.0', observe: () => undefined };
  for await (const line of takeSnapshot(options)) text += line;
  return text;
}

export function restoreInto(
  store: Store,
  text: string | Uint8Array,
  { shards = 1, force = false } = {},
): Promise<RestoreReport> {
  return restoreSnapshot({ store, keys, runtime, policy: policyFor(shards), force, open: () => bytesOf(text) });
}

/** In pieces that end in the middle of lines and characters. */
export async function* bytesOf(text: string | Uint8Array, size = 1_000): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text as string);
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}

export function linesIn(text: string): SnapshotLine[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as SnapshotLine);
}

export function tasksIn(text: string): TaskLine[] {
  return linesIn(text).filter((line): line is TaskLine => line.type === 'task');
}

export function digestIn(text: string): string {
  const end = linesIn(text).at(-1)!;
  if (end.type !== 'end') throw new Error(`the last line is ${end.type}`);
  return end.digest;
}
