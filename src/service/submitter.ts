/*
 * Takes checked requests into the store. Every submit of one turn of the loop that goes to the same shard leaves in one
 * commit. The id is made here, before the write, so a write whose answer was lost is repeated under the same operation
 * and found to be done; a caller who never got an answer repeats with the same `key`.
 */

import { AgentSystemError } from '../errors.ts';
import type { Ports } from '../fleet/ports.ts';
import { digestOf, seal } from '../message/seal.ts';
import { Batcher } from '../runtime/batcher.ts';
import { PRIORITY_DEFAULT, scoreOf } from '../scheduling/order.ts';
import { unitOf } from '../store/commit.ts';
import { patiently } from '../store/patience.ts';
import { UNITS_MAX, type Unit } from '../store/store.ts';
import { TaskIds } from '../task/id.ts';
import type { SystemPolicy } from '../task/policy.ts';
import { newTask, type TaskRecord, type TaskSpec } from '../task/task.ts';
import { transition } from '../task/transition.ts';
import type { AgentCard } from './agent-catalog.ts';
import type { CheckedRequest } from './submit-request.ts';

const FLIGHTS_MAX = 4;
const TRIES = 3;
export const DEFAULT_TENANT = 'default';
export const DEFAULT_METHOD = 'run';

export type Created = { created: true; task: TaskRecord } | { created: false; id: string; same: boolean };

interface Creation {
  unit: Unit;
  task: TaskRecord;
  digest: string;
}

export class Submitter {
  readonly #options: Ports;
  readonly #ids: TaskIds[];
  readonly #batchers: Batcher<Creation, Created>[];
  #nextShard = 0;

  constructor(options: Ports) {
    this.#options = options;
    const shards = Array.from({ length: options.policy.shards }, (_, shard) => shard);
    const { runtime } = options;
    this.#ids = shards.map((shard) => new TaskIds(shard, runtime.id));
    this.#batchers = shards.map((shard) => {
      const run = (batch: Creation[]) => this.#commit(shard, batch);
      return new Batcher({ runtime, sizeMax: UNITS_MAX, flightsMax: FLIGHTS_MAX, run });
    });
  }

  /** @param inputText the input as JSON text, at most `maxPayloadBytes` */
  submit(request: CheckedRequest, inputText: string, card: AgentCard): Promise<Created> {
    const shard = this.#shardFor(request);
    const creation = this.#creation(request, inputText, card, shard);
    return this.#batchers[shard]!.add(creation);
  }

  /** Requests with a key meet on one shard, so that the key is unique; the others go round. */
  #shardFor(request: CheckedRequest): number {
    const { shards } = this.#options.policy;
    if (shards === 1) return 0;
    if (request.key === undefined) return this.#nextShard++ % shards;
    const digest = digestOf(JSON.stringify([request.tenant ?? DEFAULT_TENANT, request.key]));
    return Buffer.from(digest, 'base64url').readUInt32BE(0) % shards;
  }

  #creation(request: CheckedRequest, inputText: string, card: AgentCard, shard: number): Creation {
    const { clock, keys, policy } = this.#options;
    const now = clock.now();
    const spec = specOf(request, { id: this.#ids[shard]!.next(now), inputText, card, now, policy });
    const text = JSON.stringify(spec);
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
    return { unit, task: submitted.next, digest };
  }

  async #commit(shard: number, batch: Creation[]): Promise<(Created | Error)[]> {
    const { store, clock, runtime, observe } = this.#options;
    const commit = { op: runtime.id(12), units: batch.map((creation) => creation.unit) };
    const reply = await patiently(() => clock.learn(() => store.commit(shard, commit)), { runtime, tries: TRIES });
    return batch.map(({ task, digest }, i) => {
      const outcome = reply.units[i]!;
      // The random id can only have been taken by this very operation, whose record has moved on since.
      if (outcome.ok || outcome.reason === 'conflict') {
        observe({
          type: 'task.moved',
          event: 'task.submitted',
          id: task.id,
          agent: task.spec.agent,
          state: task.state,
          at: task.spec.createdAt,
        });
        return { created: true, task };
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
  if (request.delivery === 'at-most-once') spec.delivery = request.delivery;
  if (request.key !== undefined) spec.key = request.key;
  if (request.session !== undefined) spec.session = request.session;
  if (request.labels) spec.labels = request.labels;
  if (request.metadata) spec.metadata = request.metadata;
  return spec;
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
