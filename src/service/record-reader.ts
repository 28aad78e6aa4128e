import { AgentSystemError } from '../errors.ts';
import type { Ports } from '../fleet/ports.ts';
import { Batcher } from '../runtime/batcher.ts';
import { patiently } from '../store/patience.ts';
import { type ReadParts, UNITS_MAX } from '../store/store.ts';
import { decodeTask, type StoredTask } from '../task/codec.ts';
import { isTaskId, shardOf } from '../task/id.ts';
import type { TaskRecord } from '../task/task.ts';
import { type Caller, sees } from './caller.ts';

const READ_TRIES = 2;
const FLIGHTS_MAX = 4;

export type RecordReaderOptions = Pick<Ports, 'store' | 'clock' | 'runtime' | 'policy'>;

/** Reads single records for many callers at once: reads of one turn and the same parts go to a shard together. */
export class RecordReader {
  readonly #options: RecordReaderOptions;
  readonly #reads = new Map<string, Batcher<string, TaskRecord | null>>();

  constructor(options: RecordReaderOptions) {
    this.#options = options;
  }

  /**
   * A task of another tenant is read like any other and then answered as one that is not there: neither the answer nor
   * its delay tells them apart. So is a record that cannot be read, for nobody knows whose it is.
   *
   * @throws NOT_FOUND, STORE_UNAVAILABLE; RECORD_UNREADABLE for callers who see every tenant
   */
  async record(id: string, parts: ReadParts, caller: Caller): Promise<TaskRecord> {
    const task = await this.find(id, parts).catch((error: unknown) => {
      if (caller.tenant !== null && isUnreadable(error)) return null;
      throw error;
    });
    if (!task || !sees(caller, task.spec.tenant)) throw notFound(id);
    return task;
  }

  /** Null where there is none. For callers who check themselves what they tell of it. */
  async find(id: string, parts: ReadParts): Promise<TaskRecord | null> {
    if (!isTaskId(id) || shardOf(id) >= this.#options.policy.shards) return null;
    const shard = shardOf(id);
    const name = `${shard} ${parts.input ?? ''} ${parts.result ?? ''}`;
    const reads = this.#reads.get(name) ?? this.#reader(shard, parts);
    this.#reads.set(name, reads);
    return reads.add(id);
  }

  #reader(shard: number, parts: ReadParts): Batcher<string, TaskRecord | null> {
    const { store, clock, runtime } = this.#options;
    const run = async (ids: string[]) => {
      const read = () => clock.learn(() => store.read(shard, ids, parts));
      const { tasks } = await patiently(read, { runtime, tries: READ_TRIES });
      return tasks.map((task) => task && readable(task));
    };
    return new Batcher({ runtime, sizeMax: UNITS_MAX, flightsMax: FLIGHTS_MAX, run });
  }
}

/** The fault of a record that was written over is for whoever asked for that one. */
function readable(task: StoredTask): TaskRecord | Error {
  try {
    return decodeTask(task);
  } catch (error) {
    return error as Error;
  }
}

export function isUnreadable(error: unknown): boolean {
  return error instanceof AgentSystemError && error.code === 'RECORD_UNREADABLE';
}

export function notFound(id: string): AgentSystemError {
  const form = isTaskId(id) ? '' : ' (a task id has 25 letters and digits)';
  return new AgentSystemError('NOT_FOUND', `there is no task ${JSON.stringify(id.slice(0, 80))}${form}`, {
    details: { id },
  });
}
