/** A real worker on the embedded store and a virtual clock; the test plays distributor and coordinator with signed envelopes. */

import { builtInAgents } from '../../src/agent/built-in.ts';
import type { Agent } from '../../src/agent/define-agent.ts';
import { AgentRegistry } from '../../src/agent/registry.ts';
import { StoreUnavailableError } from '../../src/errors.ts';
import type { Assignment, Cancel, HeartbeatBody, Report } from '../../src/message/bodies.ts';
import { openEnvelope, signEnvelope } from '../../src/message/envelope.ts';
import { type KeyRing, keyRingFromSecret } from '../../src/message/keys.ts';
import { workerAddress } from '../../src/message/principals.ts';
import { createVirtualRuntime, type VirtualRuntime } from '../../src/runtime/virtual-runtime.ts';
import type { Requirements } from '../../src/scheduling/requirements.ts';
import { createMemoryStore } from '../../src/store/memory/memory-store.ts';
import { heldName, holderOf, type Store, streamPlace, type Unit } from '../../src/store/store.ts';
import { startHeartbeatLoop } from '../../src/worker/heartbeat-loop.ts';
import { heartSettings, Worker, type WorkerOptions } from '../../src/worker/worker.ts';
import type { WorkerEvent } from '../../src/worker/worker-events.ts';
import { anId, refTo } from '../support/builders.ts';

const DEPLOYMENT = 'test';
export const WORKER = 'w1';
export const INCARNATION = '1700000000000-aa';
const HOLDER = holderOf(WORKER, INCARNATION);

export interface Order {
  task: string;
  attemptId: string;
  held: string;
}

export interface AssignOptions {
  agent?: string;
  method?: string;
  input?: unknown;
  inputText?: string;
  /** JSON text that is stored apart: the assignment holds the reference to it. */
  largeInput?: string;
  /** Stands in the store in place of `largeInput`. */
  storedInput?: string;
  timeoutMs?: number | null;
  fence?: number;
  attempt?: number;
  task?: string;
  attemptId?: string;
  delivery?: 'at-most-once';
  require?: Requirements;
  deadline?: number;
}

export class Harness {
  readonly runtime: VirtualRuntime = createVirtualRuntime(1);
  readonly memory: Store;
  /** The worker's view of the store; rejects everything while `away`. */
  readonly store: Store;
  readonly keys: KeyRing = keyRingFromSecret('a secret of at least thirty-two bytes');
  readonly events: WorkerEvent[] = [];
  readonly worker: Worker;
  away = false;
  /** Calls that are rejected as if the store were away. */
  awayFor: string[] = [];
  registryAway = false;
  replaced = 0;
  fatal: Error | undefined;
  #ops = 0;
  #cursor = '0-0';

  constructor(agents: Agent[] = [], over: Partial<WorkerOptions> = {}) {
    this.memory = createMemoryStore({ runtime: this.runtime, shards: over.shards ?? 1 });
    const isAway = (call: string | symbol) => this.awayFor.includes(String(call));
    this.store = flaky(this.memory, (call) => this.away || (this.registryAway && call === 'instances') || isAway(call));
    const registry = new AgentRegistry([...builtInAgents, ...agents]);
    const settings = { id: WORKER, incarnation: INCARNATION, deployment: DEPLOYMENT, shards: 1, slots: 2, ...over };
    const { store, keys, runtime } = this;
    const heart = over.heart ?? startHeartbeatLoop(heartSettings(settings, registry), { store, keys, runtime });
    this.worker = new Worker({
      ...settings,
      store,
      keys,
      runtime,
      agents: registry,
      heart,
      observe: (event) => this.events.push(event),
      onReplaced: () => {
        this.replaced += 1;
      },
      onFatal: (error) => {
        this.fatal = error;
      },
    });
  }

  async start(): Promise<this> {
    this.worker.start();
    await this.runtime.advance(1);
    return this;
  }

  /** Signs and delivers one envelope with an assignment for each, and lets the worker act on it. */
  async assign(...orders: AssignOptions[]): Promise<Order[]> {
    const sent = await this.post(orders);
    await this.runtime.advance(1);
    return sent;
  }

  /** As `assign`, but time does not move. `lost`: positions whose unit did not win. */
  async post(orders: AssignOptions[], lost: number[] = []): Promise<Order[]> {
    const assignments = orders.map(assignmentOf);
    const body = { assignments };
    const envelope = this.#sign('task.assign', 'distributors', body);
    const units = assignments.map((assignment, at) =>
      lost.includes(at) ? lostUnit(assignment) : unitOf(assignment, orders[at]!),
    );
    await this.memory.commit(0, {
      op: `op${this.#ops++}`,
      units,
      post: [{ holder: HOLDER, envelope, units: units.map((_, at) => at) }],
    });
    return assignments.map(({ task, attemptId }) => ({ task, attemptId, held: heldName(task, attemptId) }));
  }

  async cancel(order: Order, code: Cancel['code'] = 'cancelled', reason = 'changed my mind'): Promise<void> {
    await this.postCancel(order, code, reason);
    await this.runtime.advance(1);
  }

  async postCancel(order: Order, code: Cancel['code'] = 'cancelled', reason = 'changed my mind'): Promise<void> {
    const { task, attemptId } = order;
    const envelope = this.#sign('task.cancel', 'coordinators', { cancels: [{ task, attemptId, code, reason }] });
    await this.postRaw(envelope);
  }

  async postRaw(envelope: string): Promise<void> {
    await this.memory.commit(0, { op: `op${this.#ops++}`, units: [], post: [{ holder: HOLDER, envelope, units: [] }] });
  }

  /** Takes the task's record out of the store. */
  async remove({ task }: Order): Promise<void> {
    const unit: Unit = { id: task, expect: 1, state: 'assigned', indexes: [], remove: true };
    await this.memory.commit(0, { op: `op${this.#ops++}`, units: [unit] });
  }

  /** Decides the attempts, as the owner does with their reports. */
  async release(...orders: Order[]): Promise<void> {
    const attempts = orders.map(({ held }) => ({ held }));
    await this.memory.commit(0, { op: `op${this.#ops++}`, units: [], release: [{ holder: HOLDER, attempts }] });
  }

  /** The reports of each envelope since the last call. */
  async envelopes(): Promise<Report[][]> {
    const from = [{ stream: 'reports' as const, after: this.#cursor }];
    const entries = (await this.memory.readStreams(0, { from, count: 1_000, waitMs: 0 }))[0]?.entries ?? [];
    this.#cursor = entries.at(-1)?.id ?? this.#cursor;
    return entries.map(({ id, fields }) => {
      const opened = openEnvelope(
        fields.e!,
        {
          to: 'coordinators',
          stream: streamPlace(0, 'reports'),
          streamKind: 'reports',
          deployment: DEPLOYMENT,
          now: this.runtime.now(),
          entryTime: Number.parseInt(id, 10),
        },
        this.keys,
      );
      if (!opened.ok || opened.message.type !== 'task.report')
        throw new Error(`not a report: ${JSON.stringify(opened)}`);
      return opened.message.body.reports;
    });
  }

  async reports(): Promise<Report[]> {
    return (await this.envelopes()).flat();
  }

  /** Lets time pass in small steps until a report of this kind has come. */
  async reportOf(order: Order, kind: Report['kind'], withinMs = 1_000): Promise<Report> {
    for (let waited = 0; waited <= withinMs; waited += 10) {
      const found = (await this.reports()).find(
        (report) => report.attemptId === order.attemptId && report.kind === kind,
      );
      if (found) return found;
      await this.runtime.advance(10);
    }
    throw new Error(`no ${kind} report of ${order.held} within ${withinMs} ms`);
  }

  /** The last heartbeat; what both receivers get must be the same. */
  async heartbeat(shard = 0): Promise<HeartbeatBody> {
    const { beats } = await this.memory.heartbeats(shard, 0);
    const beat = beats.at(-1);
    if (!beat) throw new Error('no heartbeat');
    const texts = [
      ['coordinators', beat.toCoordinators],
      ['distributors', beat.toDistributors],
    ] as const;
    const bodies = texts.map(([to, text]) => {
      const expected = {
        to,
        stream: streamPlace(shard, `lease:${WORKER}`),
        streamKind: 'lease' as const,
        deployment: DEPLOYMENT,
      };
      const opened = openEnvelope(text, { ...expected, now: this.runtime.now(), entryTime: beat.at }, this.keys);
      if (!opened.ok || opened.message.type !== 'worker.heartbeat') throw new Error(JSON.stringify(opened));
      return opened.message.body;
    });
    if (JSON.stringify(bodies[0]) !== JSON.stringify(bodies[1])) throw new Error('two different heartbeats');
    return bodies[0]!;
  }

  /** Entry id of the last heartbeat. */
  async beatEntry(): Promise<string> {
    return (await this.memory.heartbeats(0, 0)).beats.at(-1)?.entry ?? 'none';
  }

  /** Hints given with reports. */
  async hints(): Promise<{ w: string; i: string; r: string[]; x: number; q: string[] }[]> {
    const from = [{ stream: 'wake' as const, after: '0' }];
    const entries = (await this.memory.readStreams(0, { from, count: 1_000, waitMs: 0 }))[0]?.entries ?? [];
    return entries.flatMap(({ fields }) => (fields.h === undefined ? [] : [JSON.parse(fields.h)]));
  }

  eventsOf<T extends WorkerEvent['type']>(type: T): Extract<WorkerEvent, { type: T }>[] {
    return this.events.filter((event): event is Extract<WorkerEvent, { type: T }> => event.type === type);
  }

  /** Runs `stop` to its end in virtual time and answers how long it took. */
  async stop(drainMs: number): Promise<number> {
    const from = this.runtime.now();
    let took: number | undefined;
    const stopping = this.worker.stop({ drainMs }).then(() => {
      took = this.runtime.now() - from;
    });
    for (let waited = 0; took === undefined && waited <= 4 * drainMs; waited += 5) await this.runtime.advance(5);
    if (took === undefined) throw new Error(`stop took more than ${4 * drainMs} ms`);
    await stopping;
    return took;
  }

  #sign(type: 'task.assign' | 'task.cancel', from: 'distributors' | 'coordinators', body: object): string {
    return signEnvelope(
      {
        jti: this.runtime.id(20),
        type,
        from,
        to: workerAddress(WORKER, INCARNATION),
        stream: streamPlace(0, `mail:${HOLDER}`),
        deployment: DEPLOYMENT,
        now: this.runtime.now(),
        body: body as never,
      },
      this.keys,
    );
  }
}

export async function aWorker(agents: Agent[] = [], over: Partial<WorkerOptions> = {}): Promise<Harness> {
  return new Harness(agents, over).start();
}

let attempts = 0;
const versions = new Map<string, number>();

function assignmentOf(order: AssignOptions): Assignment {
  const task = order.task ?? anId();
  const { agent = 'echo', method = 'run', delivery, input = {}, timeoutMs = 60_000, fence = 1, attempt = 1 } = order;
  return {
    task,
    attemptId: order.attemptId ?? `a${attempts++}`,
    fence,
    attempt,
    timeoutMs,
    spec: JSON.stringify({ id: task, agent, method, delivery, require: order.require }),
    seal: 'root.x',
    input: order.largeInput ? refTo(order.largeInput) : (order.inputText ?? JSON.stringify(input)),
    deadline: order.deadline,
  };
}

function unitOf({ task, spec, input }: Assignment, { largeInput, storedInput = largeInput }: AssignOptions): Unit {
  const expect = versions.get(task) ?? 0;
  versions.set(task, expect + 1);
  const unit: Unit = { id: task, expect, state: 'assigned', trail: '{}', indexes: [] };
  if (expect > 0) return unit;
  return { ...unit, spec: `seal ${spec}`, input, ...(storedInput ? { large: { input: storedInput } } : {}) };
}

function lostUnit({ task }: Assignment): Unit {
  return { id: task, expect: 99, state: 'assigned', trail: '{}', indexes: [] };
}

function flaky(store: Store, away: (call: string | symbol) => boolean): Store {
  return new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        if (away(name)) return Promise.reject(new StoreUnavailableError('the store is away'));
        return value.apply(target, args);
      };
    },
  });
}
