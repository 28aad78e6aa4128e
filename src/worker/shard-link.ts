import type { KeyRing } from '../message/keys.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { Store } from '../store/store.ts';
import type { StoreClock } from '../store/store-clock.ts';
import type { ObserveWorker } from './worker-events.ts';

/** What speaks for a worker in one shard: who it is there, and what it reads and writes with. */
export interface ShardLink {
  shard: number;
  worker: string;
  incarnation: string;
  deployment: string;
  store: Store;
  keys: KeyRing;
  runtime: Runtime;
  clock: StoreClock;
  observe: ObserveWorker;
}
