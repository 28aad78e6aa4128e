import { AgentSystemError } from '../errors.ts';
import type { PayloadPart } from './payload.ts';
import { isActive, type TaskRecord, type TaskSpec, type TaskState, type TaskTrail } from './task.ts';

/** A record as the store keeps it: state and version to compare, texts it never looks into. */
export interface StoredTask {
  id: string;
  version: number;
  state: TaskState;
  /** Id of the operation that wrote this version. */
  op: string;
  /** The seal, a space, the specification's JSON. */
  spec: string;
  trail: string;
  input?: string;
  result?: string;
  /** What the store found in place of version and state, which then say nothing: someone wrote over them. */
  unreadable?: string;
  /** This part is stored apart, and what is there is not what the record refers to. */
  damaged?: PayloadPart;
}

/**
 * Every reader of records decodes them here, also before the seal is checked, so what passes can be walked safely.
 * @throws RECORD_UNREADABLE when someone else wrote over a part
 */
export function decodeTask(stored: StoredTask): TaskRecord {
  if (stored.unreadable !== undefined) {
    throw unreadable(stored.id, 'version', 'is none', stored.unreadable);
  }
  if (stored.damaged !== undefined) {
    const found = stored[stored.damaged] ?? 'nothing';
    throw unreadable(stored.id, stored.damaged, 'is not there as it was stored', found);
  }
  const gap = stored.spec.indexOf(' ');
  const sealed = { seal: stored.spec.slice(0, gap), text: stored.spec.slice(gap + 1) };
  const record: TaskRecord = {
    id: stored.id,
    version: stored.version,
    state: stored.state,
    spec: parse<TaskSpec>(stored.id, 'specification', sealed.text, isSpec),
    sealed,
    trail: parse<TaskTrail>(stored.id, 'trail', stored.trail, isTrail),
  };
  if (isActive(record.state) && !record.trail.attempt) {
    throw unreadable(stored.id, 'trail', `names no attempt of a task that is ${record.state}`, stored.trail);
  }
  if (stored.input !== undefined) record.input = stored.input;
  if (stored.result !== undefined) record.result = stored.result;
  return record;
}

export function encodeSpec(task: TaskRecord): string {
  return `${task.sealed.seal} ${task.sealed.text}`;
}

export function encodeTrail(task: TaskRecord): string {
  return JSON.stringify(task.trail);
}

function parse<T>(id: string, part: string, text: string, fits: (value: Fields) => boolean): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw unreadable(id, part, 'is not JSON', text, cause);
  }
  if (typeof value !== 'object' || value === null || !fits(value as Fields)) {
    throw unreadable(id, part, 'lacks what every one has', text);
  }
  return value as T;
}

type Fields = Record<string, unknown>;

function isSpec({ agent, tenant, retry }: Fields): boolean {
  return typeof agent === 'string' && typeof tenant === 'string' && typeof retry === 'object' && retry !== null;
}

function isTrail({ history, fence, used, attemptNumber, crashes, attempt }: Fields): boolean {
  const counts = [fence, used, attemptNumber, crashes].every(isCount);
  return Array.isArray(history) && counts && (attempt === undefined || isAttempt(attempt));
}

/** It names streams and receivers: a name that cannot be one would fail the whole batch that it travels in. */
function isAttempt(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { id, worker, incarnation, distributor, assignedAt, startedAt = 0, seq } = value as Fields;
  if (![assignedAt, startedAt].every(isTime) || !isCount(seq)) return false;
  return [id, worker, incarnation].every(isName) && typeof distributor === 'string';
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isTime(value: unknown): boolean {
  return Number.isFinite(value);
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && /^[\w.-]{1,128}$/.test(value);
}

function unreadable(id: string, part: string, what: string, text: string, cause?: unknown): AgentSystemError {
  return new AgentSystemError('RECORD_UNREADABLE', `the ${part} of task ${id} ${what}: ${text.slice(0, 80)}`, {
    cause,
  });
}
