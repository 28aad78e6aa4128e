import type { RegisteredInstance } from '../store/store.ts';

export interface DistributorChoice {
  worker: string;
  instances: readonly RegisteredInstance[];
  /** The store's time. */
  now: number;
  /** An instance not seen for so long is dead. */
  ttlMs: number;
  /** Wanted by configuration; taken while it is alive. */
  fixed?: string;
}

/**
 * The distributor a worker belongs to; null when none is alive. Rendezvous hashing: each worker ranks all distributors
 * in an order of its own, so one that goes moves only its own workers, and spreads them over all others.
 */
export function chooseDistributor({ worker, instances, now, ttlMs, fixed }: DistributorChoice): string | null {
  const live = instances
    // One seen in the future was written by another clock: it shows that it lives by renewing under this one.
    .filter(({ role, seenAt }) => (role === 'distributor' || role === 'all') && Math.abs(now - seenAt) < ttlMs)
    .map(({ id }) => id);
  if (fixed !== undefined && live.includes(fixed)) return fixed;
  let best: { id: string; rank: number } | null = null;
  for (const id of live.sort()) {
    const rank = rankOf(`${worker}\n${id}`);
    if (!best || rank > best.rank) best = { id, rank };
  }
  return best?.id ?? null;
}

/** FNV-1a (32 bits), then the final mix of MurmurHash3: names that differ in their last letter rank far apart. */
function rankOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
