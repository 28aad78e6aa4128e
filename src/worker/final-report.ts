/** The terminal report of an attempt: pure, from what the handler did and what it had been told. */
import type { Outcome } from '../agent/run-method.ts';
import type { AttemptError, Report } from '../message/bodies.ts';
import { OUT_OF_TIME } from '../task/transition.ts';
import type { HeldAttempt } from './held-attempt.ts';

export type FinalReport = Extract<Report, { kind: 'completed' | 'failed' | 'returned' }>;

/**
 * @param now local time, to tell whether a handler that blocked the loop ended too late
 * @param at the store's time
 */
export function finalReport(attempt: HeldAttempt, outcome: Outcome, now: number, at: number): FinalReport {
  switch (attempt.context?.aborted) {
    case 'timeout':
      return failed(attempt, timedOut(attempt), at);
    case 'cancelled':
      // Refused where the task was cancelled. Where it was not after all, the work is still to be done.
      return failed(attempt, { code: 'cancelled', message: 'the attempt was cancelled', retryable: true }, at);
    case 'lease_lost':
      return outcome.ok ? completed(attempt, outcome.result, at) : interrupted(attempt, 'lease_lost', at);
    case 'shutdown':
      return outcome.ok ? completed(attempt, outcome.result, at) : interrupted(attempt, 'drain', at);
    default:
      if (now >= attempt.deadlineAt) return failed(attempt, timedOut(attempt), at);
      return outcome.ok ? completed(attempt, outcome.result, at) : failed(attempt, outcome.error, at);
  }
}

/** What an attempt is told whose deadline has come, and what is reported of it. */
export function timedOut({ endsWithTask }: HeldAttempt): AttemptError {
  if (endsWithTask) return { code: 'timeout', message: OUT_OF_TIME, retryable: false };
  return { code: 'timeout', message: 'run timed out', retryable: true };
}

/** Hands back an attempt whose handler has begun, which uses up no attempt; at-most-once work cannot be handed back then. */
export function interrupted(attempt: HeldAttempt, why: string, at: number): FinalReport {
  if (!attempt.atMostOnce) return returned(attempt, why, at);
  const message = `ended by the worker (${why}) and may have done the work: not run again (at-most-once)`;
  return failed(attempt, { code: 'outcome_unknown', message, retryable: false }, at);
}

export function returned(attempt: HeldAttempt, why: string, at: number): FinalReport {
  return { kind: 'returned', ...ofAttempt(attempt, at), why };
}

export function failed(attempt: HeldAttempt, error: AttemptError, at: number): FinalReport {
  const report: FinalReport = { kind: 'failed', ...ofAttempt(attempt, at), error };
  if (attempt.startedAt > 0) report.startedAt = attempt.startedAtStore;
  const used = attempt.context?.used;
  if (used) report.usage = used;
  return report;
}

function completed(attempt: HeldAttempt, result: string, at: number): FinalReport {
  const report: FinalReport = {
    kind: 'completed',
    ...ofAttempt(attempt, at),
    result,
    startedAt: attempt.startedAtStore,
  };
  const used = attempt.context?.used;
  if (used) report.usage = used;
  return report;
}

/** What every report of an attempt begins with; takes the next place in the attempt's sequence. */
export function ofAttempt(attempt: HeldAttempt, at: number) {
  const { task, attemptId, fence } = attempt.assignment;
  attempt.seq += 1;
  return { task, attemptId, fence, seq: attempt.seq, at };
}
