import { decodeTask, type StoredTask } from '../task/codec.ts';
import type { TaskRecord } from '../task/task.ts';
import type { OwnerContext } from './owner-context.ts';

/** Null for a record that someone wrote over: it is told of, and must not keep the others from what is due to them. */
export function decodeReadable({ observe, shard }: OwnerContext, stored: StoredTask): TaskRecord | null {
  try {
    return decodeTask(stored);
  } catch (error) {
    observe({ type: 'fault', where: `records of shard ${shard}`, error });
    return null;
  }
}
