import type { Settings } from './schema.ts';

export const ROLES = ['coordinator', 'distributor', 'worker', 'all'] as const;
export type Role = (typeof ROLES)[number];

type RoleSettings = Pick<Settings, 'COORDINATOR_ID' | 'DISTRIBUTOR_ID' | 'WORKER_ID' | 'SERVER_ID'>;

/**
 * `chosen` is `--role`, else `AGENT_ROLE`. Else the most specific id decides: a worker is also told its distributor's
 * id, and a distributor its coordinator's, so the worker's own comes first. Null = no role anywhere.
 */
export function roleOf(chosen: Role | 'auto' | null, ids: RoleSettings): Role | null {
  if (chosen !== null && chosen !== 'auto') return chosen;
  if (ids.WORKER_ID !== null) return 'worker';
  if (ids.DISTRIBUTOR_ID !== null) return 'distributor';
  if (ids.COORDINATOR_ID !== null) return 'coordinator';
  return ids.SERVER_ID !== null || chosen === 'auto' ? 'all' : null;
}

export function ownId(role: Role, ids: RoleSettings): string | null {
  const own = {
    worker: ids.WORKER_ID,
    distributor: ids.DISTRIBUTOR_ID,
    coordinator: ids.COORDINATOR_ID,
    all: ids.SERVER_ID,
  };
  return own[role];
}

/** `worker-web-3-k2f8x1`: readable, and unlike that of any other process on the same host. */
export function defaultId(role: Role, hostname: string, random: string): string {
  const host = hostname.replace(/[^A-Za-z0-9.-]+/g, '-').slice(0, 64);
  return `${role}-${host || 'host'}-${random}`;
}
