/*
 * What a batch of verified reports makes of the records they name. Pure: reading before and committing after is the
 * report reader's. Reports are applied in stream order; several for one task fold into one unit.
 */
import type { Report } from '../message/bodies.ts';
import { unitOf } from '../store/commit.ts';
import type { IndexPolicy } from '../store/indexes.ts';
import { heldName, holderOf, type Release, type Unit } from '../store/store.ts';
import type { TaskEvent } from '../task/events.ts';
import { isRef, parseRef } from '../task/payload.ts';
import type { SystemPolicy } from '../task/policy.ts';
import type { TaskError, TaskRecord } from '../task/task.ts';
import { type Command, type Refusal, transition } from '../task/transition.ts';

/** One stream entry that was verified: who spoke, and what they said. */
export interface ReportEntry {
  id: string;
  worker: string;
  incarnation: string;
  reports: Report[];
}

export interface DecidedReports {
  units: Unit[];
  /** The record each unit writes, and what happened to it. */
  changed: { before: TaskRecord; after: TaskRecord; events: TaskEvent[] }[];
  entries: { id: string; units: number[] }[];
  release: Release[];
  refused: { report: Report; worker: string; reason: Refused }[];
}

type Refused = Refusal | 'no_task' | 'other_worker' | 'result_missing';

export interface Decide {
  /** Store time. */
  now: number;
  policy: IndexPolicy & Pick<SystemPolicy, 'maxPayloadBytes'>;
  /** A fresh random number in [0, 1) per call. */
  jitter: () => number;
  /** Attempts whose large result was not in the store when it was to be adopted. */
  lacking?: ReadonlySet<string>;
}

/**
 * @param records by task id, as they were read; missing = there is no such task
 */
export function decideReports(
  batch: readonly ReportEntry[],
  records: ReadonlyMap<string, TaskRecord>,
  { now, policy, jitter, lacking }: Decide,
): DecidedReports {
  const drafts = new Map<string, Draft>();
  const decided: DecidedReports = { units: [], changed: [], entries: [], release: [], refused: [] };
  for (const entry of batch) {
    const units = new Set<number>();
    const holder = holderOf(entry.worker, entry.incarnation);
    const released: Release['attempts'] = [];
    for (const report of entry.reports) {
      const unit = applyReport(report, entry.worker);
      if (unit !== null) units.add(unit);
      // Also a refused one: the handler has ended, nobody will ask for this report again. Only without its result the worker
      // is to keep it, so that it brings both once more; and one that says again what a unit of this commit takes effect
      // from must not be released if that unit loses.
      const carrier = unit ?? drafts.get(report.task)?.unit ?? null;
      if (endsAttempt(report) && !isLacking(report)) released.push(releaseOf(report, carrier));
    }
    decided.entries.push({ id: entry.id, units: [...units] });
    if (released.length > 0) decided.release.push({ holder, attempts: released });
  }
  const all = [...drafts.values()];
  decided.units = all.map(({ before, task }) => unitOf(before, task, policy));
  decided.changed = all.map(({ before, task, events }) => ({ before, after: task, events }));
  return decided;

  /** The position of the unit that carries the report's effect; null when it was refused. */
  function applyReport(report: Report, worker: string): number | null {
    const before = records.get(report.task);
    const draft = drafts.get(report.task);
    const task = draft?.task ?? before;
    const refuse = (reason: Refused) => {
      decided.refused.push({ report, worker, reason });
      return null;
    };
    if (!before || !task) return refuse('no_task');
    if (task.trail.attempt && task.trail.attempt.id === report.attemptId && task.trail.attempt.worker !== worker) {
      return refuse('other_worker');
    }
    if (isLacking(report)) return refuse('result_missing');
    // However many transitions are folded, the record is written once: its version grows by one.
    const step = transition(
      { ...task, version: before.version },
      commandOf(report, jitter, policy.maxPayloadBytes),
      now,
    );
    if (!step.ok) return refuse(step.reason);
    if (draft) {
      draft.task = step.next;
      draft.events.push(...step.events);
      return draft.unit;
    }
    const unit = drafts.size;
    drafts.set(report.task, { unit, before, task: step.next, events: [...step.events] });
    return unit;
  }

  function isLacking(report: Report): boolean {
    return report.kind === 'completed' && lacking?.has(heldName(report.task, report.attemptId)) === true;
  }
}

interface Draft {
  unit: number;
  before: TaskRecord;
  task: TaskRecord;
  events: TaskEvent[];
}

export function endsAttempt(report: Report): boolean {
  return report.kind === 'completed' || report.kind === 'failed' || report.kind === 'returned';
}

function releaseOf(report: Report, unit: number | null): Release['attempts'][number] {
  const held = heldName(report.task, report.attemptId);
  return unit === null ? { held } : { held, unit };
}

function commandOf(report: Report, jitter: () => number, resultBytesMax: number): Command {
  const from = { attemptId: report.attemptId, fence: report.fence, seq: report.seq };
  switch (report.kind) {
    case 'started':
      return { type: 'start', from, at: report.at };
    case 'progress':
      return { type: 'progress', from, progress: report.progress, note: report.note, usage: report.usage };
    case 'completed': {
      const { result, startedAt, usage } = report;
      const error = resultFault(result, resultBytesMax);
      if (error) return { type: 'fail', from, error, jitter: jitter(), startedAt, ranMs: ranMs(report), usage };
      return { type: 'complete', from, result, startedAt, ranMs: ranMs(report), usage };
    }
    case 'failed': {
      const { retryAfterMs, ...error } = report.error;
      const { startedAt, usage } = report;
      return { type: 'fail', from, error, jitter: jitter(), retryAfterMs, startedAt, ranMs: ranMs(report), usage };
    }
    case 'returned':
      return { type: 'return', from, why: report.why };
  }
}

/** Workers see to this themselves; whoever runs other code than ours gets no further with it. */
function resultFault(result: string, bytesMax: number): TaskError | null {
  const bytes = isRef(result) ? parseRef(result)?.bytes : bytesOf(result, bytesMax);
  if (bytes === undefined) {
    return { code: 'invalid_output', message: 'the reference to its result cannot be read', retryable: false };
  }
  if (bytes <= bytesMax) return null;
  const message = `the result has ${bytes} bytes of JSON, at most ${bytesMax} are kept`;
  return { code: 'result_too_large', message, retryable: false };
}

/** Counted only where it matters. */
function bytesOf(text: string, bytesMax: number): number {
  return text.length * 3 <= bytesMax ? text.length : Buffer.byteLength(text);
}

/** From the handler's start to its end, both by the worker's reading of the store's clock. */
function ranMs({ startedAt, at }: { startedAt?: number; at: number }): number | undefined {
  return startedAt === undefined ? undefined : Math.max(0, at - startedAt);
}
