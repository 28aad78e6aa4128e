/*
 * The one door to tasks for every face, the command line and the library. It decides nothing about states: it checks
 * what comes in, gives commands to the state machine, commits what that answers, and waits for what others commit.
 */

import { AgentSystemError } from '../errors.ts';
import { cancelPost, type SignedPost, tellSent } from '../fleet/mail.ts';
import type { Ports } from '../fleet/ports.ts';
import { taskMoved } from '../fleet/task-moved.ts';
import { pause } from '../runtime/runtime.ts';
import { scoreOf } from '../scheduling/order.ts';
import { unitOf } from '../store/commit.ts';
import { durabilityFor } from '../store/durability.ts';
import { backoffMs, patiently } from '../store/patience.ts';
import { type Commit, type Durability, holderOf } from '../store/store.ts';
import { shardOf } from '../task/id.ts';
import { isTerminal, type TaskRecord } from '../task/task.ts';
import { type Command, type TaskMessage, transition } from '../task/transition.ts';
import { type HistoryLine, historyOf, type TaskView, viewOf } from '../task/view.ts';
import type { AgentCatalog } from './agent-catalog.ts';
import { type Caller, OPERATOR } from './caller.ts';
import { RecordReader } from './record-reader.ts';
import { type CheckedRequest, checkRequest, type SubmitRequest } from './submit-request.ts';
import { DEFAULT_METHOD, type Once, Submitter } from './submitter.ts';
import { type ListFilter, listTasks, type TaskPage } from './task-list.ts';
import type { Waiters } from './waiters.ts';

const CONFLICT_TRIES = 8;
const READ_TRIES = 2;
/** Changes come by the event stream; a stream that was trimmed or removed is made good by looking this often. */
const LOOK_AGAIN_MS = 3_000;
/** Checking large inputs takes long: after so much of it whatever else waits has its turn, such as keeping a lease. */
const TURN_MS = 50;
export const WAIT_MAX_MS = 300_000;

export interface TaskServiceOptions extends Ports {
  catalog: AgentCatalog;
  waiters: Waiters;
  durability: () => Durability;
}

export interface Submitted {
  task: TaskView;
  /** False: the same request was seen before, this is its task. */
  created: boolean;
}

export class TaskService {
  readonly #options: TaskServiceOptions;
  readonly #submitter: Submitter;
  readonly #records: RecordReader;

  constructor(options: TaskServiceOptions) {
    this.#options = options;
    this.#submitter = new Submitter(options);
    this.#records = new RecordReader(options);
  }

  /**
   * @returns the task and whether it is new
   * @throws BAD_REQUEST, FORBIDDEN, UNKNOWN_AGENT, UNKNOWN_METHOD, PAYLOAD_TOO_LARGE, KEY_CONFLICT, QUEUE_FULL,
   * DURABILITY_UNSUPPORTED, DURABILITY_UNAVAILABLE, STORE_UNAVAILABLE
   */
  async submit(raw: unknown, caller: Caller = OPERATOR): Promise<Submitted> {
    return this.#submit(inTenantOf(caller, checkRequest(raw)), caller);
  }

  /** A submit by the system itself, whose name takes the place of a `key`. */
  async submitOnce(raw: unknown, once: Once, caller: Caller): Promise<Submitted> {
    return this.#submit(inTenantOf(caller, checkRequest(raw)), caller, once);
  }

  async #submit(request: CheckedRequest, caller: Caller, once?: Once): Promise<Submitted> {
    const input = request.input === undefined ? null : request.input;
    const text = jsonOf(input);
    this.#checkSize(text);
    const card = await this.#options.catalog.check(request.agent, request.method ?? DEFAULT_METHOD, input);
    await this.#checkRoom();
    const created = await this.#submitter.submit(request, text, card, once);
    if (created.created) {
      const task = this.#view(created.task);
      return { task: { ...task, durability: created.reached ?? task.durability }, created: true };
    }
    if (!created.same) throw keyConflict(request, created.id);
    return { task: await this.#earlier(request, created.id, caller), created: false };
  }

  /** The task that an earlier submit with this key made; the key may outlive it. */
  async #earlier(request: { agent: string; key?: string }, id: string, caller: Caller): Promise<TaskView> {
    try {
      return await this.get(id, caller);
    } catch (error) {
      if (error instanceof AgentSystemError && error.code === 'NOT_FOUND') throw keyOutlived(request, id);
      throw error;
    }
  }

  /** Each request on its own: one that is refused does not keep the others out. */
  async submitMany(requests: SubmitRequest[], caller: Caller = OPERATOR): Promise<(Submitted | AgentSystemError)[]> {
    const { runtime } = this.#options;
    const results: Promise<Submitted | AgentSystemError>[] = [];
    let turnEnds = runtime.now() + TURN_MS;
    for (const request of requests) {
      if (runtime.now() >= turnEnds) {
        await pause(runtime, 0);
        turnEnds = runtime.now() + TURN_MS;
      }
      const result = this.submit(request, caller).catch((error: unknown) => {
        if (error instanceof AgentSystemError) return error;
        throw error;
      });
      // Is waited for below; until then nobody listens to it.
      result.catch(() => undefined);
      results.push(result);
    }
    return Promise.all(results);
  }

  /** @throws NOT_FOUND */
  async get(id: string, caller: Caller = OPERATOR): Promise<TaskView> {
    return this.#view(await this.#records.record(id, { input: true, result: true }, caller));
  }

  async list(filter: ListFilter, caller: Caller = OPERATOR): Promise<TaskPage> {
    const { store, runtime, durability } = this.#options;
    const { tenant } = caller;
    // Whoever asks for the tasks of another tenant gets what there is of them for this caller: nothing.
    if (tenant !== null && (filter.tenant ?? tenant) !== tenant) return { tasks: [], nextCursor: null };
    const own = tenant === null ? filter : { ...filter, tenant };
    return patiently(() => listTasks(store, this.#options.policy.shards, own, durability()), {
      runtime,
      tries: READ_TRIES,
    });
  }

  async history(
    id: string,
    caller: Caller = OPERATOR,
  ): Promise<{ task: string; history: HistoryLine[]; dropped: number }> {
    const { lines, dropped } = historyOf(await this.#records.record(id, {}, caller));
    return { task: id, history: lines, dropped };
  }

  /** The task once it has ended, or as it stands after `waitMs`; `ended` says which. Ends early when `signal` aborts. */
  async result(
    id: string,
    waitMs: number,
    signal?: AbortSignal,
    caller: Caller = OPERATOR,
  ): Promise<{ ended: boolean; task: TaskView }> {
    const { runtime, waiters } = this.#options;
    const until = runtime.now() + Math.min(waitMs, WAIT_MAX_MS);
    for (;;) {
      // The waiter stands before the record is read: what is committed in between wakes it.
      const woken = new AbortController();
      const off = waiters.on(id, (state) => {
        if (isTerminal(state as TaskRecord['state'])) woken.abort();
      });
      try {
        const task = await this.#records.record(id, { input: true, result: true }, caller);
        const left = until - runtime.now();
        if (isTerminal(task.state) || left <= 0 || signal?.aborted) {
          return { ended: isTerminal(task.state), task: this.#view(task) };
        }
        const either = signal ? AbortSignal.any([woken.signal, signal]) : woken.signal;
        await pause(runtime, Math.min(left, LOOK_AGAIN_MS), either);
      } finally {
        off();
      }
    }
  }

  /** Cancels at once, whatever the state; a worker that runs it is told. Cancelling a cancelled task changes nothing. */
  async cancel(id: string, reason = 'cancelled on request', caller: Caller = OPERATOR): Promise<TaskView> {
    return this.#command(id, () => ({ type: 'cancel', reason }), { caller, done: 'cancelled' });
  }

  /** Gives a failed or cancelled task a new set of attempts. */
  async retry(id: string, caller: Caller = OPERATOR): Promise<TaskView> {
    const { policy } = this.#options;
    const make = (task: TaskRecord, now: number): Command => {
      const score = scoreOf({ priority: task.spec.priority, queuedAt: now }, policy.priorityAgeing);
      return { type: 'retry', score };
    };
    return this.#command(id, make, { caller });
  }

  /** @param done the state in which nothing is left to do */
  async #command(
    id: string,
    make: (task: TaskRecord, now: number) => Command,
    { caller, done }: { caller: Caller; done?: TaskRecord['state'] },
  ): Promise<TaskView> {
    for (let tried = 1; tried <= CONFLICT_TRIES; tried++) {
      const task = await this.#records.record(id, { input: true, result: true }, caller);
      if (task.state === done) return this.#view(task);
      const now = this.#options.clock.now();
      const command = make(task, now);
      const decided = transition(task, command, now);
      if (!decided.ok) throw wrongState(task, command.type);
      const committed = await this.#commit(task, decided.next, decided.messages);
      if (committed) {
        for (const event of decided.events) this.#options.observe(taskMoved(decided.next, event));
        return this.#view(decided.next);
      }
      this.#options.observe({ type: 'state.conflict', id, where: command.type });
      await pause(this.#options.runtime, backoffMs(tried, this.#options.runtime.random()));
    }
    throw new AgentSystemError('STATE_CONFLICT', `task ${id} changed ${CONFLICT_TRIES} times in between, try again`, {
      retryable: true,
    });
  }

  async #commit(before: TaskRecord, after: TaskRecord, messages: TaskMessage[]): Promise<boolean> {
    const { store, clock, runtime, policy, waiters, observe } = this.#options;
    const shard = shardOf(before.id);
    const units = [unitOf(before, after, policy)];
    const post = messages.map((message) => this.#post(shard, after, message));
    const commit: Commit = { op: runtime.id(12), units, post, ...durabilityFor([after]) };
    const reply = await patiently(() => clock.learn(() => store.commit(shard, commit)), { runtime, tries: READ_TRIES });
    if (!reply.units[0]?.ok) return false;
    tellSent(observe, post, reply);
    waiters.tell(after.id, after.state);
    return true;
  }

  #post(shard: number, task: TaskRecord, message: TaskMessage): SignedPost {
    if (message.type !== 'task.cancel') throw new Error(`a command of the service sends no ${message.type}`);
    const { worker, incarnation, attemptId, code, reason } = message;
    const sender = { ...this.#options, principal: 'coordinators' as const, shard };
    const entries = [{ task: task.id, attemptId, code, reason }];
    return cancelPost(sender, { holder: holderOf(worker, incarnation), entries, units: [0] });
  }

  #view(task: TaskRecord): TaskView {
    return viewOf(task, this.#options.durability());
  }

  #checkSize(text: string): void {
    const { maxPayloadBytes } = this.#options.policy;
    const bytes = Buffer.byteLength(text);
    if (bytes <= maxPayloadBytes) return;
    throw new AgentSystemError(
      'PAYLOAD_TOO_LARGE',
      `the input has ${bytes} bytes, at most ${maxPayloadBytes} are taken (MAX_PAYLOAD_BYTES); put large data elsewhere and pass a reference`,
      { details: { bytes, max: maxPayloadBytes } },
    );
  }

  async #checkRoom(): Promise<void> {
    const { queueMax } = this.#options.policy;
    if (queueMax === null) return;
    const waiting = await this.#depth();
    if (waiting < queueMax) return;
    throw new AgentSystemError('QUEUE_FULL', `${waiting} tasks are waiting, at most ${queueMax} may (QUEUE_MAX)`, {
      retryable: true,
    });
  }

  #depthRead: { at: number; waiting: Promise<number> } | null = null;

  /** Waiting tasks in all, at most half a second old. */
  #depth(): Promise<number> {
    const { runtime, store, policy } = this.#options;
    if (this.#depthRead && runtime.now() - this.#depthRead.at < 500) return this.#depthRead.waiting;
    const shards = Array.from({ length: policy.shards }, (_, shard) => store.queues(shard, 10_000));
    const waiting = Promise.all(shards).then((replies) =>
      replies.flatMap((reply) => reply.queues).reduce((sum, queue) => sum + queue.length, 0),
    );
    this.#depthRead = { at: runtime.now(), waiting };
    return waiting;
  }
}

/** The request as the caller may make it; one that names no tenant is made in the caller's own. */
function inTenantOf({ name, tenant }: Caller, request: CheckedRequest): CheckedRequest {
  if (tenant === null || request.tenant === tenant) return request;
  if (request.tenant === undefined) return { ...request, tenant };
  throw new AgentSystemError(
    'FORBIDDEN',
    `${name} submits for tenant ${JSON.stringify(tenant)} only, the task names tenant ${JSON.stringify(request.tenant)}`,
    { details: { tenant, found: request.tenant } },
  );
}

const DONE: Record<string, string> = { cancel: 'cancelled', retry: 'retried' };

function wrongState(task: TaskRecord, command: string): AgentSystemError {
  return new AgentSystemError(
    'WRONG_STATE',
    `task ${task.id} is ${task.state}: it cannot be ${DONE[command] ?? command}`,
    {
      details: { id: task.id, state: task.state },
    },
  );
}

/** Only callers in this process can hand in what is not JSON. */
function jsonOf(input: unknown): string {
  let text: string | undefined;
  let cause: unknown;
  try {
    text = JSON.stringify(input);
  } catch (error) {
    cause = error;
  }
  if (text !== undefined) return text;
  const why = cause instanceof Error ? cause.message : `a ${typeof input} has no JSON`;
  const fields = [{ field: 'input', problem: `cannot be written as JSON: ${why}` }];
  throw new AgentSystemError('BAD_REQUEST', `the task is refused: input: ${fields[0]!.problem}`, {
    cause,
    details: { fields },
  });
}

function keyOutlived(request: { agent: string; key?: string }, id: string): AgentSystemError {
  return new AgentSystemError(
    'KEY_CONFLICT',
    `key ${JSON.stringify(request.key)} of agent ${request.agent} stands for task ${id}, which has ended and was deleted by age: use another key`,
    { details: { key: request.key, id } },
  );
}

function keyConflict(request: { agent: string; key?: string }, id: string): AgentSystemError {
  return new AgentSystemError(
    'KEY_CONFLICT',
    `key ${JSON.stringify(request.key)} of agent ${request.agent} already stands for task ${id}, which was submitted with other content`,
    { details: { key: request.key, id } },
  );
}
