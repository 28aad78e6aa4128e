import type { OwnerContext } from '../../src/coordinator/owner-context.ts';
import type { HeartbeatBody, Report } from '../../src/message/bodies.ts';
import { type Message, openEnvelope, signEnvelope } from '../../src/message/envelope.ts';
import { type KeyRing, keyRingFromSecret } from '../../src/message/keys.ts';
import { workerAddress, workerPrincipal } from '../../src/message/principals.ts';
import { digestOf, seal } from '../../src/message/seal.ts';
import type { Observation } from '../../src/runtime/observer.ts';
import { createVirtualRuntime, type VirtualRuntime } from '../../src/runtime/virtual-runtime.ts';
import { scoreOf } from '../../src/scheduling/order.ts';
import { unitOf } from '../../src/store/commit.ts';
import { createMemoryStore } from '../../src/store/memory/memory-store.ts';
import { heldName, holderOf, type IndexName, type Store, streamPlace } from '../../src/store/store.ts';
import { StoreClock } from '../../src/store/store-clock.ts';
import { decodeTask } from '../../src/task/codec.ts';
import { shardOf, TaskIds } from '../../src/task/id.ts';
import { DEFAULT_POLICY, type SystemPolicy } from '../../src/task/policy.ts';
import { newTask, type TaskRecord, type TaskSpec } from '../../src/task/task.ts';
import { type Command, transition } from '../../src/task/transition.ts';
import { aSpec } from '../support/builders.ts';

export const SECRET = 'a secret of thirty-two bytes, or so';
const DEPLOYMENT = 'test';

export interface WorldOptions {
  policy?: Partial<SystemPolicy>;
  seed?: number;
  /** Stands between the roles and the store. */
  through?: (store: Store) => Store;
}

/** What a report needs to name. */
export interface Ref {
  task: string;
  attemptId: string;
  fence: number;
}

/** A memory store on a virtual clock with real keys, and the hands that play whoever is not under test. */
export class World {
  readonly runtime: VirtualRuntime;
  readonly store: Store;
  readonly clock: StoreClock;
  readonly keys: KeyRing = keyRingFromSecret(SECRET);
  readonly policy: SystemPolicy;
  readonly seen: Observation[] = [];
  readonly #ids: TaskIds[];

  constructor({ policy, seed = 1, through = (store) => store }: WorldOptions = {}) {
    this.policy = { ...DEFAULT_POLICY, deployment: DEPLOYMENT, ...policy };
    this.runtime = createVirtualRuntime(seed);
    this.store = through(createMemoryStore({ runtime: this.runtime, shards: this.policy.shards }));
    this.clock = new StoreClock(this.runtime);
    this.#ids = Array.from({ length: this.policy.shards }, (_, shard) => new TaskIds(shard, this.runtime.id));
  }

  readonly observe = (observation: Observation): void => void this.seen.push(observation);

  /** What was observed of one kind. */
  observed<T extends Observation['type']>(type: T): Extract<Observation, { type: T }>[] {
    return this.seen.filter((one): one is Extract<Observation, { type: T }> => one.type === type);
  }

  now(): number {
    return this.runtime.now();
  }

  advance(ms: number): Promise<void> {
    return this.runtime.advance(ms);
  }

  /** Stores a new, rightly sealed task; answers its id. */
  async submit(over: Partial<TaskSpec> = {}, { shard = 0, input = '{"text":"hi"}' } = {}): Promise<string> {
    const now = this.now();
    const id = this.#ids[shard]!.next(now);
    const spec = aSpec({ id, createdAt: now, inputDigest: digestOf(input), ...over });
    const text = JSON.stringify(spec);
    const fresh = newTask(spec, { text, seal: seal(text, this.keys) }, input);
    const score = scoreOf({ priority: spec.priority, queuedAt: now }, this.policy.priorityAgeing);
    await this.#write(shard, null, fresh, { type: 'submit', score });
    return id;
  }

  /** Gives a command to a stored task as whoever may do so. */
  async give(id: string, command: Command): Promise<TaskRecord> {
    const before = await this.task(id);
    return this.#write(this.shardOf(id), before, before, command);
  }

  async #write(shard: number, before: TaskRecord | null, task: TaskRecord, command: Command): Promise<TaskRecord> {
    const decided = transition(task, command, this.now());
    if (!decided.ok) throw new Error(`${command.type} was refused: ${decided.reason}`);
    const units = [unitOf(before, decided.next, this.policy)];
    const { units: outcomes } = await this.store.commit(shard, { op: this.runtime.id(12), units });
    if (!outcomes[0]?.ok) throw new Error(`${command.type} lost its commit`);
    return decided.next;
  }

  shardOf(id: string): number {
    return shardOf(id);
  }

  async find(id: string): Promise<TaskRecord | null> {
    const { tasks } = await this.store.read(this.shardOf(id), [id], { input: true, result: true });
    return tasks[0] ? decodeTask(tasks[0]) : null;
  }

  async task(id: string): Promise<TaskRecord> {
    const task = await this.find(id);
    if (!task) throw new Error(`there is no task ${id}`);
    return task;
  }

  async state(id: string): Promise<string> {
    return (await this.find(id))?.state ?? 'gone';
  }

  /** Overwrites parts of a record the way someone with access to the store and without a key could. */
  async tamper(id: string, parts: { spec?: string; input?: string; trail?: string }): Promise<void> {
    const { version, state } = (await this.store.read(0, [id])).tasks[0]!;
    await this.store.commit(0, { op: 'tamper', units: [{ id, expect: version, state, indexes: [], ...parts }] });
  }

  /** Takes an index entry away behind everyone's back. */
  async lose(id: string, index: IndexName, member: string): Promise<void> {
    const { version, state } = (await this.store.read(0, [id])).tasks[0]!;
    const indexes = [{ do: 'remove' as const, index, member, score: 0 }];
    await this.store.commit(0, { op: 'lose', units: [{ id, expect: version, state, repair: true, indexes }] });
  }

  async members(index: IndexName, shard = 0): Promise<string[]> {
    const { entries } = await this.store.range(shard, index, Number.MAX_SAFE_INTEGER, 1_000);
    return entries.map(([member]) => member);
  }

  /** Lane → number of waiting tasks. */
  async lanes(shard = 0): Promise<Record<string, number>> {
    const { queues } = await this.store.queues(shard, 1_000);
    return Object.fromEntries(queues.map(({ lane, length }) => [lane, length]));
  }

  /** Takes the lock and the epoch of a shard; `stop` ends the ownership. */
  async own(
    shard = 0,
  ): Promise<OwnerContext & { stop: () => void; committed: TaskRecord[]; away: number; fenced: number }> {
    const held = await this.store.lock(shard).acquire(3_600_000);
    const epoch = await this.store.claimEpoch(shard, held!.value, 'c1');
    const abort = new AbortController();
    const { store, keys, clock, runtime, policy, observe } = this;
    const context = {
      ...{ shard, epoch: epoch!, store, keys, clock, runtime, policy, observe, signal: abort.signal },
      committed: [] as TaskRecord[],
      away: 0,
      fenced: 0,
      stop: () => abort.abort(),
      onAway: () => {
        context.away += 1;
      },
      onFenced: () => {
        context.fenced += 1;
      },
      onCommitted: (task: TaskRecord) => void context.committed.push(task),
    };
    return context;
  }

  worker(name = 'w1', incarnation = `${this.now()}-${name}`): HandWorker {
    return new HandWorker(this, name, incarnation);
  }

  async quarantined(shard = 0) {
    return this.store.quarantined(shard, 100);
  }
}

/** A worker played by hand: it says what the test tells it to, with its own keys. */
export class HandWorker {
  readonly name: string;
  readonly incarnation: string;
  readonly #world: World;
  /** Last entry read of its mailbox, per shard. */
  readonly #read = new Map<number, string>();
  #messages = 0;

  constructor(world: World, name: string, incarnation: string) {
    this.#world = world;
    this.name = name;
    this.incarnation = incarnation;
  }

  get holder(): string {
    return holderOf(this.name, this.incarnation);
  }

  /** Registers this incarnation with every shard. */
  async enlist(): Promise<this> {
    for (let shard = 0; shard < this.#world.policy.shards; shard++) {
      await this.#world.store.enlist(shard, this.name, this.incarnation);
    }
    return this;
  }

  async beat(over: Partial<HeartbeatBody> = {}, shard = 0, { wake = true } = {}) {
    const body: HeartbeatBody = {
      ...{ worker: this.name, incarnation: this.incarnation, distributor: 'd1', alive: true, ready: true },
      ...{ draining: false, slots: 4, extra: 0, quick: [], agents: [{ name: 'echo' }] },
      ...{ unstarted: [], started: [], done: [], mailbox: this.#read.get(shard) ?? '0-0' },
      ...over,
    };
    const sign = (to: 'coordinators' | 'distributors') =>
      this.#sign({ type: 'worker.heartbeat', to, stream: streamPlace(shard, `lease:${this.name}`), body });
    return this.#world.store.beat(shard, {
      ...{ worker: this.name, incarnation: this.incarnation, mailbox: '0-0', wake },
      ...{ toCoordinators: sign('coordinators'), toDistributors: sign('distributors') },
    });
  }

  /** Signs and appends one report envelope; answers what the store does. */
  async report(reports: Report[], { shard = 0, hint = null as string | null } = {}) {
    const envelope = this.sealReports(reports, shard);
    return this.#world.store.report(shard, { worker: this.name, incarnation: this.incarnation, envelope, hint });
  }

  sealReports(reports: Report[], shard = 0): string {
    const body = { incarnation: this.incarnation, reports };
    return this.#sign({ type: 'task.report', to: 'coordinators', stream: streamPlace(shard, 'reports'), body });
  }

  /** The messages in its mailbox that it has not read, opened as it would open them. */
  async mail(shard = 0): Promise<{ message: Message; won: string[] }[]> {
    const stream = `mail:${this.holder}` as const;
    const { keys, store, policy } = this.#world;
    const [batch] = await store.readStreams(shard, {
      from: [{ stream, after: this.#read.get(shard) ?? '0' }],
      count: 1_000,
      waitMs: 0,
    });
    return (batch?.entries ?? []).map(({ id, fields }) => {
      this.#read.set(shard, id);
      const expected = {
        ...{ to: workerAddress(this.name, this.incarnation), stream: streamPlace(shard, stream) },
        ...{ streamKind: 'mailbox' as const, deployment: policy.deployment, now: this.#world.now() },
      };
      const opened = openEnvelope(fields.e!, expected, keys);
      if (!opened.ok) throw new Error(`the mail of ${this.holder} is refused: ${opened.reason}, ${opened.detail}`);
      return { message: opened.message, won: fields.w!.split(' ').filter(Boolean) };
    });
  }

  /** Ids of the tasks assigned to it by the mail it has not read. */
  async assigned(shard = 0): Promise<Ref[]> {
    const mail = await this.mail(shard);
    return mail.flatMap(({ message, won }) =>
      message.type === 'task.assign' ? message.body.assignments.filter(({ task }) => won.includes(task)) : [],
    );
  }

  /** Takes a queued task as if a distributor had assigned it. */
  async take(id: string): Promise<Ref> {
    const attemptId = this.#world.runtime.id(16);
    const { name: worker, incarnation } = this;
    const task = await this.#world.give(id, { type: 'assign', attemptId, worker, incarnation, distributor: 'd1' });
    return { task: id, attemptId, fence: task.trail.fence };
  }

  #sign(
    message: Parameters<typeof signEnvelope>[0] extends infer M
      ? Omit<M & object, 'jti' | 'from' | 'deployment' | 'now'>
      : never,
  ) {
    const { keys, policy } = this.#world;
    this.#messages += 1;
    const head = { jti: `${this.name}-${this.#messages}`, from: workerPrincipal(this.name) };
    const whole = { ...head, deployment: policy.deployment, now: this.#world.now(), ...message };
    return signEnvelope(whole as Parameters<typeof signEnvelope>[0], keys);
  }
}

export function heldOf({ task, attemptId }: Ref): string {
  return heldName(task, attemptId);
}

export function started(ref: Ref, seq: number, at: number): Report {
  return { kind: 'started', ...attemptOf(ref), seq, at };
}

export function completed(ref: Ref, seq: number, at: number, result = '{"ok":true}'): Report {
  return { kind: 'completed', ...attemptOf(ref), seq, at, startedAt: at, result };
}

export function failed(
  ref: Ref,
  seq: number,
  at: number,
  over: Partial<Extract<Report, { kind: 'failed' }>['error']> = {},
): Report {
  const error = { code: 'handler_error', message: 'no luck', retryable: true, ...over };
  return { kind: 'failed', ...attemptOf(ref), seq, at, startedAt: at, error };
}

export function returned(ref: Ref, seq: number, at: number, why = 'drain'): Report {
  return { kind: 'returned', ...attemptOf(ref), seq, at, why };
}

function attemptOf({ task, attemptId, fence }: Ref): Ref {
  return { task, attemptId, fence };
}
