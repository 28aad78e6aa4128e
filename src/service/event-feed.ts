import { StoreUnavailableError } from '../errors.ts';
import type { Observe } from '../runtime/observer.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { patiently, retryPause } from '../store/patience.ts';
import type { Store, StreamEntry } from '../store/store.ts';
import type { TaskState } from '../task/task.ts';

const ENTRIES_PER_READ = 500;
const WAIT_MS = 2_000;

export interface TaskChange {
  id: string;
  version: number;
  state: TaskState;
}

export interface EventFeedOptions {
  store: Store;
  shards: number;
  runtime: Runtime;
  observe: Observe;
  /** Called with every change any coordinator or distributor committed, in order per shard. */
  onChanges: (changes: TaskChange[], shard: number, entry: string) => void;
}

/** Follows the event stream of every shard from the moment it is started. */
export class EventFeed {
  readonly #options: EventFeedOptions;
  readonly #stop = new AbortController();
  #loops: Promise<void>[] = [];

  constructor(options: EventFeedOptions) {
    this.#options = options;
  }

  start(): void {
    for (let shard = 0; shard < this.#options.shards; shard++) this.#loops.push(this.#follow(shard));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#loops);
  }

  async #follow(shard: number): Promise<void> {
    const { store, runtime, observe } = this.#options;
    const { signal } = this.#stop;
    const patience = { runtime, tries: Number.POSITIVE_INFINITY, signal };
    let failures = 0;
    let after: string | null = null;
    while (!signal.aborted) {
      try {
        after ??= (await patiently(() => store.lastEntry(shard, 'events'), patience)).id;
        const from = [{ stream: 'events' as const, after }];
        const batches = await store.readStreams(shard, { from, count: ENTRIES_PER_READ, waitMs: WAIT_MS, signal });
        for (const entry of batches[0]?.entries ?? []) {
          this.#options.onChanges(changesOf(entry), shard, entry.id);
          after = entry.id;
        }
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof StoreUnavailableError)) observe({ type: 'fault', where: 'event feed', error });
        await retryPause(error, ++failures, { runtime, signal });
      }
    }
  }
}

/** One entry holds all that one commit changed: `id version state;…`. */
export function changesOf(entry: StreamEntry): TaskChange[] {
  const changes: TaskChange[] = [];
  for (const part of (entry.fields.e ?? '').split(';')) {
    const [id, version, state] = part.split(' ');
    if (id && version && state) changes.push({ id, version: Number(version), state: state as TaskState });
  }
  return changes;
}
