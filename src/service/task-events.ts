/*
 * What happened to a task, told from its record. The record's bounded history holds every transition, so a reader who
 * comes late, or asks another coordinator, is told the same events in the same order under the same places. Progress is
 * no transition: only the latest is known, so of several between two looks the last one is told.
 *
 * A commit may fold several events into one version (a quick attempt starts and completes in one). The place of the last
 * one is the version; those before it are `version.n`, n of that version having been told, so that a reader who is cut
 * off between them loses none and sees none twice.
 */
import type { TaskEventType } from '../task/events.ts';
import type { HistoryEntry, TaskError, TaskRecord, TaskState } from '../task/task.ts';
import { HISTORY_HEAD } from '../task/transition.ts';
import { isoOf } from '../task/view.ts';

/** Everything up to `version` was told; with `part`, of `version` itself only the first `part` events. */
export interface TaskPlace {
  version: number;
  part: number;
}

export interface TaskEventView {
  type: TaskEventType;
  task: string;
  agent: string;
  tenant: string;
  version: number;
  state: TaskState;
  at: string;
  correlationId?: string;
  /** Of the attempt it speaks of, where that is the last one. */
  attempt?: number;
  attemptId?: string;
  worker?: string;
  progress?: number;
  progressNote?: string;
  /** Code of the reason: `drain`, `worker_lost`, `handler_error`, … */
  reason?: string;
  error?: TaskError;
}

export interface PlacedEvent {
  place: TaskPlace;
  event: TaskEventView;
}

export const TASK_START: TaskPlace = { version: 0, part: 0 };

export function placeText({ version, part }: TaskPlace): string {
  return part === 0 ? String(version) : `${version}.${part}`;
}

/** Null for a text that `placeText` did not write. */
export function parsePlace(text: string): TaskPlace | null {
  const match = /^(\d{1,15})(?:\.(\d{1,3}))?$/.exec(text);
  return match && { version: Number(match[1]), part: Number(match[2] ?? 0) };
}

export interface PastEvents {
  events: PlacedEvent[];
  /** Transitions that the bounded history no longer holds may lie between `after` and the first event. */
  gap: boolean;
}

/**
 * All that is known to have happened behind `after`, in order.
 *
 * @param now when it is told: the time of a progress, which the record does not keep
 */
export function eventsAfter(task: TaskRecord, after: TaskPlace, now: number): PastEvents {
  const events: PlacedEvent[] = [];
  let last = after.part > 0 ? after.version - 1 : after.version;
  let gap = false;
  for (const version of versionsOf(task)) {
    if (version < after.version || (version === after.version && after.part === 0)) continue;
    gap ||= isBehindDropped(task, last, version);
    last = version;
    const placed = eventsOfVersion(task, version, now);
    events.push(...(version === after.version ? placed.slice(after.part) : placed));
  }
  return { events, gap };
}

/** What happened with the commit of this version; empty for one that only a later one speaks of, as with progress. */
export function eventsOfVersion(task: TaskRecord, version: number, now: number): PlacedEvent[] {
  const entries = task.trail.history.filter((entry) => entry[0] === version);
  const events = entries.flatMap((entry) => ofEntry(task, entry));
  if (version === task.version && isProgressing(task)) events.push(progressOf(task, now));
  return events.map((event, at) => ({ event, place: { version, part: at + 1 < events.length ? at + 1 : 0 } }));
}

/** The versions that something is known of, rising. */
function versionsOf(task: TaskRecord): number[] {
  const versions = new Set(task.trail.history.map(([version]) => version));
  if (isProgressing(task)) versions.add(task.version);
  return [...versions];
}

/** A long history keeps its first and last entries: what went has stood before the first of the last ones. */
function isBehindDropped({ trail }: TaskRecord, from: number, to: number): boolean {
  return (trail.dropped ?? 0) > 0 && to > from + 1 && to === trail.history[HISTORY_HEAD]?.[0];
}

function isProgressing({ state, trail }: TaskRecord): boolean {
  return state === 'running' && trail.progress !== undefined;
}

function ofEntry(task: TaskRecord, entry: HistoryEntry): TaskEventView[] {
  const [version] = entry;
  const type = typeOf(entry);
  const event = viewOfEntry(task, entry, type);
  // A task begins with its first entry, whichever state that is.
  return version === 1 && entry === task.trail.history[0] ? [{ ...event, type: 'task.submitted' }, event] : [event];
}

function typeOf([, , state, facts]: HistoryEntry): TaskEventType {
  switch (state) {
    case 'running':
      return 'task.started';
    case 'scheduled':
      return facts?.why === undefined ? 'task.scheduled' : 'task.retried';
    case 'queued':
      return facts?.why === 'retried_by_hand' ? 'task.retried' : 'task.queued';
    default:
      return `task.${state}`;
  }
}

function viewOfEntry(task: TaskRecord, entry: HistoryEntry, type: TaskEventType): TaskEventView {
  const [version, at, state, facts] = entry;
  const { trail } = task;
  const event = { ...headOf(task, type), version, state, at: isoOf(at) };
  if (facts?.a !== undefined) event.attemptId = facts.a;
  if (facts?.w !== undefined) event.worker = facts.w;
  if (facts?.why !== undefined) event.reason = facts.why;
  const isLast = entry === trail.history.at(-1);
  if (isLast && facts?.a !== undefined && trail.attemptNumber > 0) event.attempt = trail.attemptNumber;
  if (isLast && trail.error && facts?.why === trail.error.code) event.error = trail.error;
  return event;
}

function progressOf(task: TaskRecord, now: number): TaskEventView {
  const { version, state, trail } = task;
  const at = isoOf(now);
  const event: TaskEventView = { ...headOf(task, 'task.progress'), version, state, at, attempt: trail.attemptNumber };
  if (trail.attempt) event.attemptId = trail.attempt.id;
  if (trail.worker !== undefined) event.worker = trail.worker;
  if (trail.progress !== undefined) event.progress = trail.progress;
  if (trail.note !== undefined) event.progressNote = trail.note;
  return event;
}

function headOf({ id, spec, version, state }: TaskRecord, type: TaskEventType): TaskEventView {
  const { agent, tenant, correlationId, createdAt } = spec;
  return { type, task: id, agent, tenant, version, state, at: isoOf(createdAt), correlationId };
}
