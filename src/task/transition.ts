/*
 * The state machine: the only place where a task changes state. Pure: the same record, command and time give the same
 * answer, on either store and in the simulator. Who may give a command, and whether the answer is committed, is decided
 * elsewhere; a record that changed in between loses its commit by version and the command is decided again.
 */
import type { TaskEvent, TaskEventType } from './events.ts';
import { totalEndsAt } from './limits.ts';
import { retryDelayMs } from './retry.ts';
import type { HistoryFacts, TaskError, TaskRecord, TaskState, TaskTrail, TaskUsage } from './task.ts';
import { isActive, isTerminal } from './task.ts';

export const HISTORY_MAX = 40;
/** Of them, how many of the first are kept when those in the middle go. */
export const HISTORY_HEAD = 8;
/** Of a `timeout` after which there is no other attempt. */
export const OUT_OF_TIME = "the task's total time is over";
/** A task whose assignments vanish this often before they start is given up, whoever is to blame. */
export const LOSSES_MAX = 30;

export type Command =
  | { type: 'submit'; score: number }
  | { type: 'promote'; score: number }
  | { type: 'assign'; attemptId: string; worker: string; incarnation: string; distributor: string }
  | { type: 'resend'; attemptId: string }
  | { type: 'start'; from: AttemptRef; at: number }
  | { type: 'progress'; from: AttemptRef; progress?: number; note?: string; usage?: TaskUsage }
  | {
      type: 'complete';
      from: AttemptRef;
      result: string;
      startedAt?: number;
      ranMs?: number;
      usage?: TaskUsage;
      stopReason?: string;
    }
  | {
      type: 'fail';
      from: AttemptRef;
      error: TaskError;
      jitter: number;
      retryAfterMs?: number;
      startedAt?: number;
      ranMs?: number;
      usage?: TaskUsage;
    }
  | { type: 'return'; from: AttemptRef; why: string }
  | { type: 'lose'; attemptId: string; started: 'yes' | 'no' | 'unknown'; crashesMax: number; why: string; tell?: true }
  /** `final`: the task's own time is over, so there is no next attempt. */
  | { type: 'time-out'; attemptId: string; jitter: number; final?: true }
  /** It waited or lived too long without a worker; the message says how. */
  | { type: 'expire'; message: string }
  | { type: 'cancel'; reason: string }
  | { type: 'reject'; message: string }
  | { type: 'retry'; score: number };

/** Names the attempt that a report speaks of, and the report's place in that attempt's sequence. */
export interface AttemptRef {
  attemptId: string;
  fence: number;
  seq: number;
}

/** A message that belongs to the transition and must reach its worker if the commit is accepted. */
export type TaskMessage =
  | { type: 'task.assign'; worker: string; incarnation: string; attemptId: string }
  | {
      type: 'task.cancel';
      worker: string;
      incarnation: string;
      attemptId: string;
      code: 'cancelled' | 'superseded' | 'timeout';
      reason: string;
    };

export type Refusal = 'wrong_state' | 'ended' | 'other_attempt' | 'old_report';

export type Transition =
  | { ok: true; next: TaskRecord; events: TaskEvent[]; messages: TaskMessage[] }
  | { ok: false; reason: Refusal };

/** States in which a command means something. A report also has to come from the attempt that the record holds. */
const FROM: Record<Command['type'], readonly TaskState[]> = {
  submit: ['queued'],
  promote: ['scheduled'],
  assign: ['queued'],
  resend: ['assigned'],
  start: ['assigned'],
  progress: ['assigned', 'running'],
  complete: ['assigned', 'running'],
  fail: ['assigned', 'running'],
  return: ['assigned', 'running'],
  lose: ['assigned', 'running'],
  'time-out': ['assigned', 'running'],
  expire: ['scheduled', 'queued', 'waiting'],
  cancel: ['scheduled', 'queued', 'assigned', 'running', 'waiting'],
  reject: ['queued', 'assigned'],
  retry: ['failed', 'cancelled'],
};

/**
 * What `command` makes of `task` at `now` (milliseconds of the store's clock).
 * The next record has version + 1; `task` itself is never changed.
 */
export function transition(task: TaskRecord, command: Command, now: number): Transition {
  const refusal = refusalOf(task, command);
  if (refusal) return { ok: false, reason: refusal };
  const draft = new Draft(task, now);
  decide(draft, command);
  return draft.done();
}

function refusalOf(task: TaskRecord, command: Command): Refusal | null {
  if ((command.type === 'submit') !== (task.version === 0)) return 'wrong_state';
  if (!FROM[command.type].includes(task.state)) return isTerminal(task.state) ? 'ended' : staleOr(task, command);
  const attempt = task.trail.attempt;
  if ('from' in command) {
    if (attempt?.id !== command.from.attemptId || task.trail.fence !== command.from.fence) return 'other_attempt';
    if (command.from.seq <= attempt.seq) return 'old_report';
  }
  if (command.type === 'lose' || command.type === 'time-out' || command.type === 'resend') {
    if (attempt?.id !== command.attemptId) return 'other_attempt';
  }
  return null;
}

function staleOr(task: TaskRecord, command: Command): Refusal {
  if (!('from' in command)) return 'wrong_state';
  const attempt = task.trail.attempt;
  if (attempt?.id !== command.from.attemptId) return 'other_attempt';
  return command.from.seq <= attempt.seq ? 'old_report' : 'wrong_state';
}

function decide(draft: Draft, command: Command): void {
  switch (command.type) {
    case 'submit':
      return submit(draft, command);
    case 'promote':
      return enqueue(draft, command.score, 'task.queued');
    case 'assign':
      return assign(draft, command);
    case 'resend':
      return resend(draft);
    case 'start':
      return start(draft, command);
    case 'progress':
      return progress(draft, command);
    case 'complete':
      return complete(draft, command);
    case 'fail':
      return fail(draft, command);
    case 'return':
      return giveBack(draft, command.why);
    case 'lose':
      return lose(draft, command);
    case 'time-out':
      return timeOut(draft, command);
    case 'expire':
      return end(draft, 'failed', { code: 'expired', message: command.message, retryable: false });
    case 'cancel':
      return cancel(draft, command);
    case 'reject':
      return end(draft, 'failed', { code: 'rejected', message: command.message, retryable: false });
    case 'retry':
      return retryByHand(draft, command.score);
  }
}

type Of<T extends Command['type']> = Extract<Command, { type: T }>;

function submit(draft: Draft, command: Of<'submit'>): void {
  draft.event('task.submitted');
  const { runAt } = draft.task.spec;
  if (runAt !== undefined && runAt > draft.now) return schedule(draft, runAt, 'task.scheduled');
  enqueue(draft, command.score, 'task.queued');
}

function enqueue(draft: Draft, score: number, event: TaskEventType, facts?: HistoryFacts): void {
  draft.trail.queuedAt = draft.now;
  draft.trail.score = score;
  delete draft.trail.dueAt;
  draft.enter('queued', event, facts);
}

function schedule(draft: Draft, dueAt: number, event: TaskEventType, facts?: HistoryFacts): void {
  draft.trail.dueAt = dueAt;
  draft.enter('scheduled', event, facts);
}

function assign(draft: Draft, { attemptId, worker, incarnation, distributor }: Of<'assign'>): void {
  draft.trail.fence += 1;
  draft.trail.attemptNumber = draft.trail.used + 1;
  draft.trail.worker = worker;
  draft.trail.distributor = distributor;
  draft.trail.attempt = { id: attemptId, worker, incarnation, distributor, assignedAt: draft.now, seq: 0 };
  clearLastRun(draft.trail);
  draft.enter('assigned', 'task.assigned', { a: attemptId, w: worker, d: distributor });
  draft.messages.push({ type: 'task.assign', worker, incarnation, attemptId });
}

function clearLastRun(trail: TaskTrail): void {
  delete trail.startedAt;
  delete trail.ranMs;
  delete trail.progress;
  delete trail.note;
  delete trail.usage;
}

function resend(draft: Draft): void {
  const attempt = draft.attempt();
  draft.trail.attempt = { ...attempt, resent: true };
  draft.messages.push({
    type: 'task.assign',
    worker: attempt.worker,
    incarnation: attempt.incarnation,
    attemptId: attempt.id,
  });
}

function start(draft: Draft, command: Of<'start'>): void {
  draft.sawReport(command.from.seq, command.at);
  draft.enter('running', 'task.started', draft.attemptFacts());
}

function progress(draft: Draft, command: Of<'progress'>): void {
  draft.sawReport(command.from.seq, draft.trail.startedAt ?? draft.now);
  if (command.progress !== undefined) draft.trail.progress = command.progress;
  if (command.note !== undefined) draft.trail.note = command.note;
  if (command.usage) draft.trail.usage = command.usage;
  if (draft.state === 'assigned') draft.enter('running', 'task.started', draft.attemptFacts());
  draft.event('task.progress');
}

function complete(draft: Draft, command: Of<'complete'>): void {
  draft.sawReport(command.from.seq, command.startedAt);
  if (command.ranMs !== undefined) draft.trail.ranMs = command.ranMs;
  if (command.usage) draft.trail.usage = command.usage;
  if (command.stopReason) draft.trail.stopReason = command.stopReason;
  delete draft.trail.error;
  draft.result = command.result;
  const facts = draft.attemptFacts();
  delete draft.trail.attempt;
  draft.trail.endedAt = draft.now;
  draft.enter('completed', 'task.completed', facts);
}

function fail(draft: Draft, command: Of<'fail'>): void {
  draft.sawReport(command.from.seq, command.startedAt);
  if (command.ranMs !== undefined) draft.trail.ranMs = command.ranMs;
  if (command.usage) draft.trail.usage = command.usage;
  attemptFailed(draft, command.error, command.jitter, command.retryAfterMs);
}

/**
 * An attempt ended badly and counts: the next one is scheduled, unless none is left, the error is terminal, or the task's
 * total time would be over before it began. The error of the last attempt then stands as it is.
 */
function attemptFailed(draft: Draft, error: TaskError, jitter: number, retryAfterMs?: number): void {
  const { retry } = draft.task.spec;
  draft.trail.used += 1;
  if (!error.retryable || draft.trail.used >= retry.maxAttempts) return end(draft, 'failed', error);
  const dueAt = draft.now + retryDelayMs(retry, draft.trail.used, jitter, retryAfterMs);
  if (dueAt >= (totalEndsAt(draft.task) ?? Number.POSITIVE_INFINITY)) return end(draft, 'failed', error);
  draft.trail.error = error;
  const facts = { ...draft.attemptFacts(), why: error.code };
  delete draft.trail.attempt;
  schedule(draft, dueAt, 'task.retried', facts);
}

function end(draft: Draft, state: 'failed' | 'cancelled', error: TaskError): void {
  const facts = { ...draft.attemptFacts(), why: error.code };
  draft.trail.error = error;
  draft.trail.endedAt = draft.now;
  delete draft.trail.attempt;
  delete draft.trail.dueAt;
  draft.enter(state, state === 'failed' ? 'task.failed' : 'task.cancelled', facts);
}

/** Back to the lane at its old place: the time it waited already is not taken from it. */
function giveBack(draft: Draft, why: string): void {
  const facts = { ...draft.attemptFacts(), why };
  draft.trail.attemptNumber = draft.trail.used;
  delete draft.trail.attempt;
  clearLastRun(draft.trail);
  draft.enter('queued', 'task.queued', facts);
}

function lose(draft: Draft, command: Of<'lose'>): void {
  const started = draft.state === 'running' ? 'yes' : command.started;
  // A worker that lives may still have it, or get it late.
  if (command.tell) draft.cancelMessage('superseded', command.why);
  if (draft.task.spec.delivery === 'at-most-once' && started !== 'no') return outcomeUnknown(draft, 'was lost');
  if (started === 'no') draft.trail.losses = (draft.trail.losses ?? 0) + 1;
  else draft.trail.crashes += 1;
  if (draft.trail.crashes >= command.crashesMax || (draft.trail.losses ?? 0) >= LOSSES_MAX) {
    const { crashes, losses = 0 } = draft.trail;
    const message = `its worker was lost ${crashes} times while running it and ${losses} times before, last ${draft.attempt().worker}`;
    return end(draft, 'failed', { code: 'worker_lost', message, retryable: false });
  }
  giveBack(draft, command.why);
}

/** Nobody can say whether the work was done, so it must not be done again. */
function outcomeUnknown(draft: Draft, how: string): void {
  const message = `its worker ${how} and may have done the work: not run again (at-most-once)`;
  end(draft, 'failed', { code: 'outcome_unknown', message, retryable: false });
}

function timeOut(draft: Draft, command: Of<'time-out'>): void {
  const message = command.final ? OUT_OF_TIME : 'run timed out';
  draft.cancelMessage('timeout', message);
  if (draft.task.spec.delivery === 'at-most-once') {
    draft.trail.used += 1;
    return outcomeUnknown(draft, 'did not end it in time');
  }
  attemptFailed(draft, { code: 'timeout', message, retryable: !command.final }, command.jitter);
}

function cancel(draft: Draft, command: Of<'cancel'>): void {
  if (isActive(draft.state)) draft.cancelMessage('cancelled', command.reason);
  draft.trail.stopReason = 'cancelled';
  end(draft, 'cancelled', { code: 'cancelled', message: command.reason, retryable: false });
}

/** A person gives an ended task a new set of attempts. The fence goes on growing, so old reports stay refused. */
function retryByHand(draft: Draft, score: number): void {
  draft.trail.used = 0;
  draft.trail.attemptNumber = 0;
  draft.trail.crashes = 0;
  draft.trail.retriedAt = draft.now;
  delete draft.trail.losses;
  delete draft.trail.endedAt;
  delete draft.trail.stopReason;
  delete draft.trail.error;
  clearLastRun(draft.trail);
  enqueue(draft, score, 'task.retried', { why: 'retried_by_hand' });
}

/** The record being written: copies what it changes and keeps what goes out with it. */
class Draft {
  readonly task: TaskRecord;
  readonly now: number;
  readonly trail: TaskTrail;
  readonly messages: TaskMessage[] = [];
  readonly #events: TaskEvent[] = [];
  state: TaskState;
  result: string | undefined;

  constructor(task: TaskRecord, now: number) {
    this.task = task;
    this.now = now;
    this.state = task.state;
    this.result = task.result;
    this.trail = { ...task.trail, history: task.trail.history };
  }

  attempt() {
    const { attempt } = this.trail;
    if (!attempt) throw new Error(`task ${this.task.id} is ${this.state} but its record holds no attempt`);
    return attempt;
  }

  attemptFacts(): HistoryFacts {
    const { attempt } = this.trail;
    return attempt ? { a: attempt.id, w: attempt.worker } : {};
  }

  /**
   * Remembers the report, and with the first one when the attempt started: the worker's word, within what can be. A start
   * in the future would put off the run timeout for as long as the worker likes.
   */
  sawReport(seq: number, startedAt: number | undefined): void {
    const attempt = { ...this.attempt(), seq };
    if (startedAt !== undefined) {
      attempt.startedAt ??= Math.max(attempt.assignedAt, Math.min(Math.round(startedAt), this.now));
    }
    this.trail.attempt = attempt;
    if (attempt.startedAt !== undefined) this.trail.startedAt = attempt.startedAt;
  }

  enter(state: TaskState, event: TaskEventType, facts?: HistoryFacts): void {
    this.state = state;
    const { version } = this.task;
    const entry: TaskTrail['history'][number] =
      facts && Object.keys(facts).length > 0 ? [version + 1, this.now, state, facts] : [version + 1, this.now, state];
    this.trail.history = bounded([...this.trail.history, entry], this.trail);
    this.event(event);
  }

  event(type: TaskEventType): void {
    const { id, version, spec } = this.task;
    this.#events.push({ type, id, version: version + 1, state: this.state, agent: spec.agent, at: this.now });
  }

  cancelMessage(code: 'cancelled' | 'superseded' | 'timeout', reason: string): void {
    const { worker, incarnation, id } = this.attempt();
    this.messages.push({ type: 'task.cancel', worker, incarnation, attemptId: id, code, reason });
  }

  done(): Transition {
    const next: TaskRecord = { ...this.task, version: this.task.version + 1, state: this.state, trail: this.trail };
    if (this.result !== undefined && this.state === 'completed') next.result = this.result;
    else delete next.result;
    for (const event of this.#events) event.state = this.state;
    return { ok: true, next, events: this.#events, messages: this.messages };
  }
}

/** The first transitions say how a task began and the last how it stands; what goes is the middle. */
function bounded(history: TaskTrail['history'], trail: TaskTrail): TaskTrail['history'] {
  if (history.length <= HISTORY_MAX) return history;
  const excess = history.length - HISTORY_MAX;
  trail.dropped = (trail.dropped ?? 0) + excess;
  return [...history.slice(0, HISTORY_HEAD), ...history.slice(HISTORY_HEAD + excess)];
}
