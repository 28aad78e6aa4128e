/*
 * What a batch of verified reports makes of the records they name. Pure: reading before and committing after is the
 * report reader's. Reports are applied in stream order; several for one task fold into one unit.
 */
import type { Report } from '../message/bodies.ts';
import { unitOf } from '../store/commit.ts';
import type { IndexPolicy } from '../store/indexes.ts';
import { heldName, holderOf, type Release, type Unit } from '../store/store.ts';
import type { TaskEvent } from '../task/events.ts';
import type { TaskRecord } from '../task/task.ts';
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
  refused: { report: Report; worker: string; reason: Refusal | 'no_task' | 'other_worker' }[];
}

/**
 * @param records by task id, as they were read; missing = there is no such task
 * @param now store time
 * @param jitter a fresh random number in [0, 1) per call
 */
export function decideReports(
  batch: readonly ReportEntry[],
  records: ReadonlyMap<string, TaskRecord>,
  { now, policy, jitter }: { now: number; policy: IndexPolicy; jitter: () => number },
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
      // Also a refused one: the handler has ended, nobody will ask for this report again.
      if (endsAttempt(report)) released.push(releaseOf(report, unit));
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
    const refuse = (reason: Refusal | 'no_task' | 'other_worker') => {
      decided.refused.push({ report, worker, reason });
      return null;
    };
    if (!before || !task) return refuse('no_task');
    if (task.trail.attempt && task.trail.attempt.id === report.attemptId && task.trail.attempt.worker !== worker) {
      return refuse('other_worker');
    }
    // However many transitions are folded, the record is written once: its version grows by one.
    const step = transition({ ...task, version: before.version }, commandOf(report, jitter), now);
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

function commandOf(report: Report, jitter: () => number): Command {
  const from = { attemptId: report.attemptId, fence: report.fence, seq: report.seq };
  switch (report.kind) {
    case 'started':
      return { type: 'start', from, at: report.at };
    case 'progress':
      return { type: 'progress', from, progress: report.progress, note: report.note, usage: report.usage };
    case 'completed': {
      const { result, startedAt, usage } = report;
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

/** From the handler's start to its end, both by the worker's reading of the store's clock. */
function ranMs({ startedAt, at }: { startedAt?: number; at: number }): number | undefined {
  return startedAt === undefined ? undefined : Math.max(0, at - startedAt);
}
