import { AgentSystemError } from '../errors.ts';
import type { TaskRecord, TaskSpec, TaskState, TaskTrail } from './task.ts';

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
}

export function decodeTask(stored: StoredTask): TaskRecord {
  const gap = stored.spec.indexOf(' ');
  const sealed = { seal: stored.spec.slice(0, gap), text: stored.spec.slice(gap + 1) };
  const record: TaskRecord = {
    id: stored.id,
    version: stored.version,
    state: stored.state,
    spec: parse<TaskSpec>(stored.id, 'specification', sealed.text),
    sealed,
    trail: parse<TaskTrail>(stored.id, 'trail', stored.trail),
  };
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

function parse<T>(id: string, part: string, text: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new AgentSystemError('RECORD_UNREADABLE', `the ${part} of task ${id} is not JSON: ${text.slice(0, 80)}`, {
      cause,
    });
  }
}
