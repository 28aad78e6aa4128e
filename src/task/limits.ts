/**
 * When a task ends by itself because it waited or lived too long. Pure functions of the record; the owner of the shard
 * acts on them. Total time counts from creation, not from `runAt`: a delay is part of a task's life.
 */
import { isActive, type TaskRecord } from './task.ts';

/** End of the task's whole life; undefined = no bound. */
export function totalEndsAt({ spec, trail }: TaskRecord): number | undefined {
  return spec.totalTimeoutMs === undefined ? undefined : (trail.retriedAt ?? spec.createdAt) + spec.totalTimeoutMs;
}

/** End of its stay in the queue; undefined = no bound, or it does not stand there. */
export function queueEndsAt({ state, spec, trail }: TaskRecord): number | undefined {
  if (state !== 'queued' || spec.queueTimeoutMs === undefined) return undefined;
  return (trail.queuedAt ?? spec.createdAt) + spec.queueTimeoutMs;
}

/** When a task that no worker has expires; undefined = never. */
export function waitEndsAt(task: TaskRecord): number | undefined {
  const ends = [queueEndsAt(task), totalEndsAt(task)].filter((at) => at !== undefined);
  return ends.length === 0 ? undefined : Math.min(...ends);
}

/** For a task that has expired: the sentence that says how; null while it has not. */
export function whyExpired(task: TaskRecord, now: number): string | null {
  const { spec, trail, state } = task;
  if (isActive(state)) return null;
  const queueEnd = queueEndsAt(task);
  if (queueEnd !== undefined && queueEnd <= now) {
    const waited = now - (trail.queuedAt ?? spec.createdAt);
    return `waited ${spoken(waited)} in the queue, at most ${spoken(spec.queueTimeoutMs!)} were allowed`;
  }
  const totalEnd = totalEndsAt(task);
  if (totalEnd === undefined || totalEnd > now) return null;
  return `did not end within its total time of ${spoken(spec.totalTimeoutMs!)}`;
}

function spoken(ms: number): string {
  return ms < 1_000 ? `${ms} ms` : `${Math.round(ms / 100) / 10} s`;
}
