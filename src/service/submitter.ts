/*
 * Takes checked requests into the store. Every submit of one turn of the loop that goes to the same shard leaves in one
 * commit. The id is made here, before the write, so a write whose answer was lost is repeated under the same operation
 * and found to be done; a caller who never got an answer repeats with the same `key`.
 */

import { AgentSystemError } from '../errors.ts';
import type { Ports } from '../fleet/ports.ts';
import { taskMoved } from '../fleet/task-moved.ts';
import { digestOf, seal } from '../message/seal.ts';
import { Batcher } from '../runtime/batcher.ts';
import { PRIORITY_DEFAULT, scoreOf } from '../scheduling/order.ts';
import { requirementsText } from '../scheduling/requirements.ts';
import { unitOf } from '../store/commit.ts';
import { durabilityFor } from '../store/durability.ts';
import { patiently } from '../store/patience.ts';
import { DURABILITIES, type Durability, UNITS_MAX, type Unit } from '../store/store.ts';
import type { TaskEvent } from '../task/events.ts';
import { shardOf, TaskIds } from '../task/id.ts';
import type { SystemPolicy } from '../task/policy.ts';
import { newTask, type TaskRecord, type TaskSpec } from '../task/task.ts';
import { transition } from '../task/transition.ts';
import type { AgentCard } from './agent-catalog.ts';
import { FirstLimits } from './first-limits.ts';
import { RequirementGuard } from './requirement-guard.ts';
import type { CheckedRequest } from './submit-request.ts';

const FLIGHTS_MAX = 4;
const TRIES = 3;
/** Characters of inputs in one commit: what takes longer than a command may, would be repeated for ever. */
const INPUTS_LENGTH_MAX = 16 * 1024 * 1024;
/**
 * Of a task without its input. All of it is read and sent with every look at the task, in pages of hundreds, where the
 * input is left out: what is large belongs there.
 */
export const SPEC_BYTES_MAX = 64 * 1024;
export const DEFAULT_TENANT = 'default';
export const DEFAULT_METHOD = 'run';

/** Makes a submit by the system itself repeatable: whoever comes second with the name finds the task of the first. */
export interface Once {
  name: string;
  ttlMs: number;
}

export type Created =
  | { created: true; task: TaskRecord; reached?: Durability }
  | { created: false; id: string; same: boolean };

/** A new task as it is to be committed. */
export interface TaskDraft {
  unit: Unit;
  task: TaskRecord;
  events: TaskEvent[];
}

interface Creation extends TaskDraft {
  digest: string;
}

export class Submitter {
  readonly #options: Ports;
  readonly #ids: TaskIds[];
  /** Of each shard, and there of each level: who asked for nothing does not wait for others' replicas. */
  readonly #batchers: Map<Durability, Batcher<Creation, Created>>[];
  readonly #firstLimits: FirstLimits;
  readonly #requirements = new RequirementGuard();
  #nextShard = 0;

  constructor(options: Ports) {
    this.#options = options;
    const shards = Array.from({ length: options.policy.shards }, (_, shard) => shard);
    const { runtime } = options;
    this.#firstLimits = new FirstLimits(options);
    this.#ids = shards.map((shard) => new TaskIds(shard, runtime.id));
    const run = (shard: number) => (batch: Creation[]) => this.#commit(shard, batch);
    const weight = { of: ({ task }: Creation) => task.input?.length ?? 0, max: INPUTS_LENGTH_MAX };
    const bounds = { runtime, sizeMax: UNITS_MAX, flightsMax: FLIGHTS_MAX, weight };
    this.#batchers = shards.map(
      (shard) => new Map(DURABILITIES.map((level) => [level, new Batcher({ ...bounds, run: run(shard) })])),
    );
  }

  /** @param inputText the input as JSON text, at most `maxPayloadBytes` */
  async submit(request: CheckedRequest, inputText: string, card: AgentCard, once?: Once): Promise<Created> {
    const shard = this.#shardFor(request, once);
    const standing = this.#firstLimits.see(shard, card);
    if (standing) await standing;
    const creation = this.#creation(request, inputText, card, shard);
    this.#guard(creation.task.spec);
    if (once) creation.unit.unique = { key: digestOf(JSON.stringify([once.name])), digest: '', ttlMs: once.ttlMs };
    const level = creation.task.spec.durability ?? 'memory';
    if (level !== 'memory') await this.#refuseUnlessDurable(shard, level);
    return this.#batchers[shard]!.get(level)!.add(creation);
  }

  #guard({ require, tenant, agent }: TaskSpec): void {
    const text = require && requirementsText(require);
    if (text !== undefined) this.#requirements.admit(tenant, `${agent} ${text}`, this.#options.runtime.now());
  }

  /** Before anything is written: a task that cannot have what it asks for is not made. */
  async #refuseUnlessDurable(shard: number, level: Durability): Promise<void> {
    const { store, runtime } = this.#options;
    const gap = await patiently(() => store.whyNotDurable(shard, level), { runtime, tries: TRIES });
    if (gap === null) return;
    const code = gap.lasting ? 'DURABILITY_UNSUPPORTED' : 'DURABILITY_UNAVAILABLE';
    const message = `durability ${level} cannot be had ${gap.lasting ? 'here' : 'now'}: ${gap.why}`;
    throw new AgentSystemError(code, message, { retryable: !gap.lasting, details: { durability: level } });
  }

  /** A task under an id that was given out before, for whoever commits it; its shard is the id's. */
  async draft(request: CheckedRequest, inputText: string, card: AgentCard, id: string): Promise<TaskDraft> {
    const shard = shardOf(id);
    await this.#firstLimits.see(shard, card);
    return this.#creation(request, inputText, card, shard, id);
  }

  /**
   * Requests with a key meet on one shard, so that the key is unique, and those with a concurrency key, so that its limit
   * is exact; the others go round.
   */
  #shardFor({ agent, tenant = DEFAULT_TENANT, key, concurrencyKey }: CheckedRequest, once?: Once): number {
    const { shards } = this.#options.policy;
    if (shards === 1) return 0;
    if (key !== undefined && concurrencyKey !== undefined) throw keysMeetNowhere(shards);
    const name = key ?? once?.name;
    if (name === undefined && concurrencyKey === undefined) return this.#nextShard++ % shards;
    const place = concurrencyKey === undefined ? [tenant, name] : [tenant, agent, concurrencyKey];
    const digest = digestOf(JSON.stringify(place));
    return Buffer.from(digest, 'base64url').readUInt32BE(0) % shards;
  }

  #creation(request: CheckedRequest, inputText: string, card: AgentCard, shard: number, given?: string): Creation {
    const { clock, keys, policy } = this.#options;
    const now = clock.now();
    const spec = specOf(request, { id: given ?? this.#ids[shard]!.next(now), inputText, card, now, policy });
    const text = JSON.stringify(spec);
    refuseLarge(text);
    const fresh = newTask(spec, { text, seal: seal(text, keys) }, inputText);
    const score = scoreOf({ priority: spec.priority, queuedAt: now }, policy.priorityAgeing);
    const submitted = transition(fresh, { type: 'submit', score }, now);
    if (!submitted.ok) throw new Error(`a new task was refused: ${submitted.reason}`);
    const unit = unitOf(null, submitted.next, policy);
    const digest = request.key === undefined ? '' : contentDigest(request, spec.inputDigest);
    if (request.key !== undefined) {
      // As JSON: a tenant with a line break in it must not meet the keys of another.
      const key = digestOf(JSON.stringify([spec.tenant, spec.agent, request.key]));
      unit.unique = { key, digest, ttlMs: policy.idempotencyTtlMs };
    }
    return { unit, task: submitted.next, events: submitted.events, digest };
  }

  async #commit(shard: number, batch: Creation[]): Promise<(Created | Error)[]> {
    const { store, clock, runtime, observe } = this.#options;
    const units = batch.map((creation) => creation.unit);
    const commit = { op: runtime.id(12), units, ...durabilityFor(batch.map(({ task }) => task)) };
    const reply = await patiently(() => clock.learn(() => store.commit(shard, commit)), { runtime, tries: TRIES });
    return batch.map(({ task, digest }, i) => {
      const outcome = reply.units[i]!;
      // The random id can only have been taken by this very operation, whose record has moved on since.
      if (outcome.ok || outcome.reason === 'conflict') {
        observe(taskMoved(task, { type: 'task.submitted', at: task.spec.createdAt }));
        return { created: true, task, ...(reply.durability && { reached: reply.durability }) };
      }
      if (outcome.reason === 'exists') return { created: false, id: outcome.id, same: outcome.digest === digest };
      return new AgentSystemError('COMMIT_REFUSED', `the store refused task ${task.id}: ${outcome.reason}`);
    });
  }
}

function specOf(
  request: CheckedRequest,
  {
    id,
    inputText,
    card,
    now,
    policy,
  }: { id: string; inputText: string; card: AgentCard; now: number; policy: SystemPolicy },
): TaskSpec {
  const spec: TaskSpec = {
    id,
    agent: request.agent,
    method: request.method ?? DEFAULT_METHOD,
    tenant: request.tenant ?? DEFAULT_TENANT,
    priority: request.priority ?? PRIORITY_DEFAULT,
    createdAt: now,
    inputDigest: digestOf(inputText),
    correlationId: request.correlationId ?? id,
    timeoutMs: request.timeoutMs ?? card.timeoutMs ?? policy.stuckTaskTimeoutMs,
    retry: { ...policy.retry, ...card.retry, ...request.retry },
  };
  const runAt = request.delayMs ? now + request.delayMs : request.runAt ? Date.parse(request.runAt) : undefined;
  if (runAt !== undefined) spec.runAt = runAt;
  if (request.queueTimeoutMs !== undefined) spec.queueTimeoutMs = request.queueTimeoutMs;
  if (request.totalTimeoutMs !== undefined) spec.totalTimeoutMs = request.totalTimeoutMs;
  if (request.require && requirementsText(request.require) !== undefined) spec.require = request.require;
  refuseNeverRun(spec);
  if (request.delivery === 'at-most-once') spec.delivery = request.delivery;
  if (request.durability && request.durability !== 'memory') spec.durability = request.durability;
  if (request.key !== undefined) spec.key = request.key;
  if (request.concurrencyKey !== undefined) spec.concurrencyKey = request.concurrencyKey;
  if (request.session !== undefined) spec.session = request.session;
  if (request.labels) spec.labels = request.labels;
  if (request.metadata) spec.metadata = request.metadata;
  return spec;
}

/** Each of the two chooses the shard, and only within one shard is it exact. */
function keysMeetNowhere(shards: number): AgentSystemError {
  const problem = `cannot be given together with key where the store has more than one shard (SHARDS is ${shards})`;
  return new AgentSystemError('BAD_REQUEST', `the task is refused: concurrencyKey ${problem}`, {
    details: { fields: [{ field: 'concurrencyKey', problem }] },
  });
}

function refuseLarge(specText: string): void {
  // No text has more than three bytes for each of its units.
  if (specText.length * 3 <= SPEC_BYTES_MAX) return;
  const bytes = Buffer.byteLength(specText);
  if (bytes <= SPEC_BYTES_MAX) return;
  const message = `the task without its input has ${bytes} bytes, at most ${SPEC_BYTES_MAX} are taken: put what is large into the input`;
  throw new AgentSystemError('PAYLOAD_TOO_LARGE', message, { details: { bytes, max: SPEC_BYTES_MAX } });
}

/** Its total time counts from its creation, so a task that begins later than that would only ever expire. */
function refuseNeverRun({ createdAt, runAt = createdAt, totalTimeoutMs = Number.POSITIVE_INFINITY }: TaskSpec): void {
  if (runAt < createdAt + totalTimeoutMs) return;
  const problem = `is ${runAt - createdAt} ms from now, and totalTimeoutMs lets the task live for ${totalTimeoutMs} ms`;
  throw new AgentSystemError('BAD_REQUEST', `the task is refused: runAt ${problem}`, {
    details: { fields: [{ field: 'runAt', problem }] },
  });
}

/** Equal for requests that ask for the same: everything that was set, whatever the order of the fields. */
function contentDigest({ input: _, ...request }: CheckedRequest, inputDigest: string): string {
  return digestOf(canonical({ ...request, method: request.method ?? DEFAULT_METHOD, inputDigest }));
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).filter(([, field]) => field !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([name, field]) => `${JSON.stringify(name)}:${canonical(field)}`).join(',')}}`;
}
