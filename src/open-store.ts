import { randomUUID } from 'node:crypto';
import type { Config } from './config/load.ts';
import { AgentSystemError, ConfigurationError } from './errors.ts';
import type { Observe } from './runtime/observer.ts';
import { pause, type Runtime } from './runtime/runtime.ts';
import type { JournalNews } from './store/memory/journal/journal.ts';
import { createMemoryStore } from './store/memory/memory-store.ts';
import { patiently } from './store/patience.ts';
import type { OnCommand, OnRetry } from './store/redis/connect.ts';
import { STORE_SCHEMA, type Store, type StoreCheck, type StoreIdentity } from './store/store.ts';

const IDENTITY_LOOK_MS = 500;
/** A store that stays away is spoken of again and again, but not with every try. */
const TELL_EVERY_MS = 10_000;

/** Makes the store that the configuration names, without reaching for it yet. The server's client is loaded on demand. */
export async function makeStore(config: Config, runtime: Runtime, hooks: StoreHooks = {}): Promise<Store> {
  const { redis, journal, limits, id } = config;
  if (redis === null) {
    const { onNews } = hooks;
    return createMemoryStore({ runtime, shards: limits.shards, journal: journal ? { ...journal, onNews } : undefined });
  }
  const { createRedisStore } = await import('./store/redis/redis-store.ts');
  const known = new Set<string>();
  return createRedisStore({
    connection: redis,
    prefix: redis.keyPrefix,
    shards: limits.shards,
    runtime,
    name: `agent-system:${id}`,
    maxConnections: redis.maxConnections,
    requireAof: redis.requireAof,
    allowUnsafe: redis.allowUnsafe,
    wait: redis.wait,
    onCommand: hooks.onCommand,
    onRetry: hooks.onRetry,
    onConnection: (state, name) => {
      if (state === 'closed') return;
      hooks.onConnection?.({
        purpose: 'commands',
        state: state === 'lost' ? 'lost' : known.has(name) ? 'reconnected' : 'connected',
      });
      known.add(name);
    },
  });
}

/** Tells of every command and retry; there are several to a task, so only where somebody wants to know. */
export function commandHooks(observe: Observe): { onCommand: OnCommand; onRetry: OnRetry } {
  return {
    onCommand: (command, seconds, { key: place, address, code, waits }) =>
      observe({ type: 'store.command', command, place, address, ms: Math.round(seconds * 1e5) / 100, code, waits }),
    onRetry: (what, tried, waitMs, reason) => observe({ type: 'store.retry', what, tried, waitMs, reason }),
  };
}

export interface StoreHooks {
  /** Of the journal of an embedded store. */
  onNews?: (news: JournalNews) => void;
  onCommand?: OnCommand;
  onRetry?: OnRetry;
  onConnection?: (change: { purpose: string; state: 'connected' | 'lost' | 'reconnected' }) => void;
}

export interface OpenedStore {
  check: StoreCheck;
  identity: StoreIdentity;
}

export interface OpenOptions {
  store: Store;
  runtime: Runtime;
  shards: number;
  /** Coordinators give an empty store its identity; the others wait for that. */
  claims: boolean;
  signal: AbortSignal;
  onAway: (message: string) => void;
  onNoIdentity: () => void;
}

/**
 * Checks the store and its identity, waiting for a store that is away and for coordinators that have not been there.
 * @throws ConfigurationError for a store that must not be used, or that was set up with other shards or a newer schema
 */
export async function openStore(options: OpenOptions): Promise<OpenedStore> {
  const { store, runtime, signal, onAway } = options;
  let toldAt = Number.NEGATIVE_INFINITY;
  const patience = {
    runtime,
    tries: Number.POSITIVE_INFINITY,
    signal,
    onAway: (error: Error) => {
      if (runtime.now() - toldAt < TELL_EVERY_MS) return;
      toldAt = runtime.now();
      onAway(error.message);
    },
  };
  const check = await patiently(() => store.check(), patience).catch(asRefusal);
  if (check.problems.length > 0) throw new ConfigurationError(check.problems);
  const identity = await patiently(() => identityOf(options), patience).catch(asRefusal);
  const problems = identityProblems(identity, options);
  if (problems.length > 0) throw new ConfigurationError(problems);
  return { check, identity };
}

/** A server that does not let us in, or is not what the settings say, will not change its mind by itself. */
function asRefusal(error: unknown): never {
  const lasting = ['STORE_FORBIDDEN', 'STORE_MISCONFIGURED'];
  if (!(error instanceof AgentSystemError) || !lasting.includes(error.code)) throw error;
  throw new ConfigurationError([error.message]);
}

async function identityOf({
  store,
  runtime,
  shards,
  claims,
  signal,
  onNoIdentity,
}: OpenOptions): Promise<StoreIdentity> {
  if (claims) return store.claimIdentity({ uuid: randomUUID(), schema: STORE_SCHEMA, shards });
  for (let told = false; ; told = true) {
    const identity = await store.identity();
    if (identity !== null) return identity;
    if (!told) onNoIdentity();
    await pause(runtime, IDENTITY_LOOK_MS, signal);
    signal.throwIfAborted();
  }
}

function identityProblems(identity: StoreIdentity, { shards, store }: OpenOptions): string[] {
  const another = store.kind === 'redis' ? 'another REDIS_KEY_PREFIX' : 'another DATA_DIR';
  const problems: string[] = [];
  if (identity.schema !== STORE_SCHEMA) {
    problems.push(
      `the store holds schema ${identity.schema}, this version works with ${STORE_SCHEMA}: run the version that wrote it, or ${another}`,
    );
  }
  if (identity.shards !== shards) {
    problems.push(
      `the store was set up with SHARDS=${identity.shards}, SHARDS is ${shards} here: set SHARDS=${identity.shards}, or ${another}`,
    );
  }
  return problems;
}
