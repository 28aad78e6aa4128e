import { digestOf } from '../../src/message/seal.ts';
import { encodeBase32 } from '../../src/runtime/base32.ts';
import type { IndexChange, Unit } from '../../src/store/store.ts';
import type { StoredTask } from '../../src/task/codec.ts';
import { TaskIds } from '../../src/task/id.ts';
import { refText } from '../../src/task/payload.ts';
import {
  type CurrentAttempt,
  isActive,
  isTerminal,
  type TaskRecord,
  type TaskSpec,
  type TaskState,
  type TaskTrail,
} from '../../src/task/task.ts';

/** When everything that is built here begins: a fixed time in the past, in milliseconds. */
export const T0 = 1_700_000_000_000;

/** A lane that `aUnit` uses: agent `echo`, tenant `default`. */
export const A_LANE = 'echo|default';

let drawn = 0;
const idsOfShard = new Map<number, TaskIds>();

/** A new id of this shard: every call answers a greater one, the same ones in every run. */
export function anId(shard = 0, at = T0): string {
  const ids = idsOfShard.get(shard) ?? new TaskIds(shard, (length) => encodeBase32(drawn++ % 32 ** length, length));
  idsOfShard.set(shard, ids);
  return ids.next(at);
}

export function aSpec(over: Partial<TaskSpec> = {}): TaskSpec {
  const id = over.id ?? anId();
  return {
    id,
    agent: 'echo',
    method: 'run',
    tenant: 'default',
    priority: 5,
    createdAt: T0,
    inputDigest: 'RBNvo1WzZ4oRRq0W9-hknpT7T8If536DEMBg9hyq_4o',
    correlationId: id,
    timeoutMs: 60_000,
    retry: { maxAttempts: 3, backoffMs: 1_000, factor: 2, maxBackoffMs: 60_000 },
    ...over,
  };
}

export function anAttempt(over: Partial<CurrentAttempt> = {}): CurrentAttempt {
  return { id: 'a1', worker: 'w1', incarnation: '100-aa', distributor: 'd1', assignedAt: T0, seq: 0, ...over };
}

export interface TaskParts {
  state?: TaskState;
  version?: number;
  trail?: Partial<TaskTrail>;
  input?: string;
  result?: string;
}

/** A record as it would stand in the store: `aTask({ priority: 9 })`, `aTask({ state: 'running', trail: { used: 1 } })`. */
export function aTask(over: Partial<TaskSpec> & TaskParts = {}): TaskRecord {
  const { state = 'queued', version = 1, trail, input = '{}', result, ...specification } = over;
  const spec = aSpec(specification);
  const task: TaskRecord = {
    id: spec.id,
    version,
    state,
    spec,
    sealed: { text: JSON.stringify(spec), seal: 'seal' },
    input,
    trail: { ...trailOf(state, spec), ...trail },
  };
  if (result !== undefined || state === 'completed') task.result = result ?? 'null';
  return task;
}

function trailOf(state: TaskState, spec: TaskSpec): TaskTrail {
  const at = spec.createdAt;
  const trail: TaskTrail = { fence: 0, used: 0, attemptNumber: 0, crashes: 0, history: [[1, at, state]] };
  if (state === 'scheduled') return { ...trail, dueAt: spec.runAt ?? at + 1_000 };
  if (state === 'queued') return { ...trail, queuedAt: at, score: at };
  const begun = { ...trail, queuedAt: at, score: at, fence: 1, attemptNumber: 1, worker: 'w1', distributor: 'd1' };
  if (isActive(state)) return { ...begun, attempt: anAttempt(state === 'running' ? { startedAt: at, seq: 1 } : {}) };
  return isTerminal(state) ? { ...begun, startedAt: at, endedAt: at + 1 } : begun;
}

/** As the store answers it, with input and result. */
export function aStoredTask(task: TaskRecord, op = 'op'): StoredTask {
  const stored: StoredTask = {
    id: task.id,
    version: task.version,
    state: task.state,
    op,
    spec: `${task.sealed.seal} ${task.sealed.text}`,
    trail: JSON.stringify(task.trail),
    input: task.input ?? 'null',
  };
  if (task.result !== undefined) stored.result = task.result;
  return stored;
}

/** Creates a queued task. With `expect` it writes one that exists and touches no index, unless it is told to. */
export function aUnit(over: Partial<Unit> = {}): Unit {
  const change = { id: over.id ?? anId(), expect: 0, state: 'queued', trail: '{"n":1}', ...over } as const;
  if (change.expect > 0) return { indexes: [], ...change };
  return { spec: 'seal {"a":[]}', input: '{"text":"hello"}', indexes: [inLane()], ...change };
}

export function inLane(lane = A_LANE, score = 1): IndexChange {
  return { do: 'add', lane, score };
}

export function outOfLane(lane = A_LANE, score = 1): IndexChange {
  return { do: 'remove', lane, score };
}

/** JSON of so many bytes. */
export function jsonOf(bytes: number, letter = 'x'): string {
  return JSON.stringify(letter.repeat(bytes - 2));
}

/** The reference by which a text is known that is stored apart. */
export function refTo(text: string): string {
  return refText({ bytes: Buffer.byteLength(text), digest: digestOf(text) });
}
