/** A standing order: submit this task at these times. A record of its own, changed under its version like a task's. */
export const OVERLAP_POLICIES = ['skip', 'queue', 'replace', 'allow'] as const;
/**
 * What happens when a time comes while the task of the last one has not ended. `skip`: nothing, this time is left out.
 * `queue`: it is submitted once the other has ended. `replace`: the other is cancelled. `allow`: both run.
 */
export type OverlapPolicy = (typeof OVERLAP_POLICIES)[number];

export const MISSED_POLICIES = ['skip', 'once', 'all'] as const;
/**
 * What happens to times that passed while nobody could act on them. `skip`: they are left out. `once`: one task stands
 * for all of them. `all`: a task for each.
 */
export type MissedPolicy = (typeof MISSED_POLICIES)[number];

export type Timing =
  /** Five fields, or six with seconds first; `timeZone` as in the IANA database. */
  | { kind: 'cron'; cron: string; timeZone: string }
  /** At `anchorAt` plus every multiple of `everyMs`, so that delays do not add up. */
  | { kind: 'interval'; everyMs: number; anchorAt: number }
  | { kind: 'once'; at: number };

export interface Schedule {
  /** Unique within its tenant. */
  id: string;
  tenant: string;
  timing: Timing;
  overlap: OverlapPolicy;
  missed: MissedPolicy;
  /** Each time is put off by up to so much, always by the same for one time, so that schedules do not all fire at once. */
  jitterMs: number;
  paused: boolean;
  /** What is submitted: a request without `key`, delay or tenant. */
  request: ScheduledRequest;
  createdAt: number;
  updatedAt: number;
  /** The next nominal time; null = there is none, or it is paused. */
  nextAt: number | null;
  /** Nominal times for which a task waits to be submitted until the last one has ended (`overlap: queue`). */
  waiting: number[];
  last: LastFire | null;
  /** Tasks submitted, and times left out, since it was created. */
  fired: number;
  skipped: number;
}

export interface ScheduledRequest {
  agent: string;
  input?: unknown;
  [more: string]: unknown;
}

export interface LastFire {
  /** Nominal time. */
  at: number;
  firedAt: number;
  /** The task it made; null when the submit was refused. */
  task: string | null;
  error?: { code: string; message: string };
}

/** Where a schedule is kept, and its name in the store: no two tenants share one. */
export function scheduleKey({ tenant, id }: { tenant: string; id: string }): string {
  return JSON.stringify([tenant, id]);
}
