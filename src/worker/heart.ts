/**
 * The heart keeps a worker's leases, apart from the loop that runs handlers: in a thread of its own in production, in
 * the same loop where the store is embedded. The worker posts what changes; the heart answers with news.
 */

import type { KeyRing } from '../message/keys.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { Store } from '../store/store.ts';

/** What a heart knows of its worker from the beginning; plain values, so that it can be handed to a thread. */
export interface HeartSettings {
  worker: string;
  incarnation: string;
  deployment: string;
  shards: number;
  slots: number;
  agents: { name: string; version?: string }[];
  resources?: Record<string, number>;
  labels?: Record<string, string>;
  /** The distributor it wants to belong to, while that one is alive. */
  distributorId?: string;
  heartbeatIntervalMs: number;
  instanceTtlMs: number;
  /** Not ready once the worker's loop has not moved for so long. */
  readyProgressWithinMs: number;
}

export interface HeartPorts {
  store: Store;
  keys: KeyRing;
  runtime: Runtime;
  /** Shares in use, from 0 to 1, for placement. */
  load?: () => { cpu?: number; memory?: number };
}

export type HeldStage = 'unstarted' | 'started' | 'done' | 'gone';

/** `endsAt`: local time from which a started attempt is no longer vouched for: its deadline and the grace. */
export type HeldChange = [shard: number, held: string, stage: HeldStage, endsAt?: number];

export interface HeartFacts {
  ready: boolean;
  draining: boolean;
  extra: number;
  quick: string[];
  /** Resources that held attempts take. */
  used?: Record<string, number>;
  /** Absent = still those of the settings. */
  agents?: { name: string; version?: string }[];
}

export interface HeartPost {
  /** Local time at which the worker's loop was seen to move. */
  progressAt: number;
  changes: HeldChange[];
  /** Per shard, the last mailbox entry acted on. */
  mailbox: string[];
  /** Absent = unchanged. */
  facts?: HeartFacts;
  /** Beat at once, and wake the distributors. */
  hurry: boolean;
}

export type HeartNews =
  /** `sentAt` is local time before the request left: the lease counts from there. `now` is the store's. */
  | {
      type: 'beat';
      shard: number;
      sentAt: number;
      now: number;
      released: string[];
      distributor: string | null;
      /** Of the envelopes to the coordinators and to the distributors. */
      jtis: readonly [string, string];
    }
  /** The `tried`-th failure in a row; the next beat comes after `waitMs`. */
  | { type: 'failed'; shard: number; at: number; message: string; tried?: number; waitMs?: number }
  /** Another incarnation is registered: everything held here has ended. */
  | { type: 'replaced' }
  /** The heart itself is gone. */
  | { type: 'stopped'; message: string };

export interface Heart {
  /** One listener; to be set before the first post. */
  listen(listener: (news: HeartNews) => void): void;
  /** The first post starts the heart. */
  post(post: HeartPost): void;
  /** Beats once more and ends, within `withinMs` at most. */
  stop(withinMs: number): Promise<void>;
}
