/**
 * What people hold who submit tasks, the same in the process of the system and far from it. Types come from the agent:
 * what may be submitted to it and what comes back.
 */
import type { Agent, DEFAULT_METHOD } from '../agent/define-agent.ts';
import { AgentSystemError } from '../errors.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { AgentCard } from '../service/agent-catalog.ts';
import type { InstanceView, QueueView, WorkerView } from '../service/cluster-service.ts';
import type { EventFilter, EventType, EventView } from '../service/event-service.ts';
import type { SubmitRequest } from '../service/submit-request.ts';
import type { ListFilter, TaskPage } from '../service/task-list.ts';
import type { WhyView } from '../service/why-service.ts';
import type { TaskState } from '../task/task.ts';
import type { TaskView } from '../task/view.ts';
import { TaskCancelledError, TaskFailedError } from './errors.ts';
import { type EventStreamOptions, eventStream, type OpenEvents, subscribe } from './event-stream.ts';
import type { ManyRequest, Operations } from './operations.ts';
import { type Duration, durationMs, requestOf, type SubmitOptions } from './submit-options.ts';
import type { Receipt, TaskHistory, Transport } from './transport.ts';
import { waitForEnd } from './wait-for-result.ts';

export interface Client extends Operations<TaskFilter, ManyTasks> {
  /** Input and result are typed by the agent's `run`. */
  submit<In, Out>(
    agent: Agent<In, Out>,
    input: NoInfer<In>,
    options?: SubmitOptions & { method?: typeof DEFAULT_METHOD },
  ): Promise<TaskHandle<Out>>;
  /** By name, or to another method than `run`: say yourself what comes back. */
  submit<Out = unknown>(agent: string, input: unknown, options?: SubmitOptions): Promise<TaskHandle<Out>>;
  submit<Out = unknown>(
    agent: Agent,
    input: unknown,
    options: SubmitOptions & { method: string },
  ): Promise<TaskHandle<Out>>;
  /** Many at once, in the form of `POST /v1/tasks`; each is answered on its own. At most 1,000. */
  submitMany(requests: readonly SubmitRequest[]): Promise<(Receipt | AgentSystemError)[]>;
  /** A handle to a task that exists, or does not: nothing is asked before its first call. */
  handle<Out = unknown>(id: string): TaskHandle<Out>;
  task(id: string): Promise<TaskView>;
  /** A page, newest first, without inputs and results. It may be short and still have a `nextCursor`. */
  list(filter?: TaskFilter): Promise<TaskPage>;
  cancel(id: string, reason?: string): Promise<TaskView>;
  /** Gives a failed or cancelled task a new set of attempts. */
  retry(id: string): Promise<TaskView>;
  history(id: string): Promise<TaskHistory>;
  /** Why the task stands where it stands. */
  why(id: string): Promise<WhyView>;
  /** What happens in the whole system, as it happens. */
  readonly events: Events;
  workers(): Promise<WorkerView[]>;
  instances(): Promise<InstanceView[]>;
  queues(): Promise<QueueView[]>;
  agents(): Promise<AgentCard[]>;
}

export interface TaskHandle<Out = unknown> {
  readonly id: string;
  /** The task as it stands now. */
  task(): Promise<TaskView>;
  /**
   * Waits for the end of the task.
   *
   * @throws TaskFailedError, TaskCancelledError, WaitTimeoutError (the task goes on), or the reason of `signal`
   */
  result(options?: ResultOptions): Promise<Out>;
  cancel(reason?: string): Promise<TaskView>;
  history(): Promise<TaskHistory>;
  why(): Promise<WhyView>;
  /** From the task's beginning (or from behind `after`) to its end; goes on by itself when the connection is cut. */
  events(options?: EventsOptions): AsyncIterable<HeardEvent>;
}

export interface EventsOptions {
  /** `cursor` of the last event that was handled. */
  after?: string;
  signal?: AbortSignal;
}

/** An event with the cursor by which a listener goes on behind it. */
export type HeardEvent = EventView & { cursor: string };

export interface Events {
  /**
   * Calls `fn` for every event of this type (`*` = of all) from now on; answers a function that ends it. `onError` is told
   * when it ends for good: the system refuses it or stays away, or `fn` has thrown. Without one that is a rejection that
   * nobody handles.
   */
  subscribe(type: EventType | '*', fn: (event: EventView) => void, onError?: (error: unknown) => void): () => void;
  /** The same as a loop; `after` goes on where another one ended. */
  all(filter?: EventFilter, options?: EventsOptions): AsyncIterable<HeardEvent>;
}

export interface ResultOptions {
  /** Without one it waits as long as it takes. */
  timeout?: Duration;
  signal?: AbortSignal;
}

export interface TaskFilter {
  state?: TaskState | TaskState[];
  agent?: string;
  tenant?: string;
  correlationId?: string;
  /** The worker of its attempt now, or of the last one. */
  worker?: string;
  /** All must match. */
  labels?: Record<string, string>;
  createdBefore?: Date | string;
  /** 1 to 500, default 50. */
  limit?: number;
  /** `nextCursor` of the page before. */
  cursor?: string;
}

/** Which tasks are meant: those named, or those of a filter; a filter that leaves nothing out only with `all`. */
export interface ManyTasks {
  /** At most 1,000; excludes `filter`. */
  ids?: string[];
  filter?: Omit<TaskFilter, 'limit' | 'cursor'>;
  all?: boolean;
  /** Only counts what matches. */
  dryRun?: boolean;
  /** Tasks changed by one call: at most, and by default, 10,000. */
  limit?: number;
  /** `nextCursor` of the call before. */
  cursor?: string;
}

export function clientOver(transport: Transport, runtime: Runtime): Client {
  const handle = <Out>(id: string): TaskHandle<Out> => handleOf<Out>(id, transport, runtime);
  const submit = async (agent: Agent | string, input: unknown, options?: SubmitOptions) => {
    const { task } = await transport.submit(requestOf(nameOf(agent), input, options));
    return handle(task.id);
  };
  return {
    submit: submit as Client['submit'],
    handle,
    submitMany: (requests) => transport.submitMany(requests),
    task: (id) => transport.task(id),
    list: (filter) => transport.list(filterOf(filter ?? {})),
    cancel: (id, reason) => transport.cancel(id, reason),
    retry: (id) => transport.retry(id),
    history: (id) => transport.history(id),
    why: (id) => transport.why(id),
    events: eventsOver(transport, runtime),
    workers: () => transport.workers(),
    instances: () => transport.instances(),
    queues: () => transport.queues(),
    agents: () => transport.agents(),
    ...operationsOver(transport.operations),
  };
}

function operationsOver(operations: Operations<ListFilter, ManyRequest>): Operations<TaskFilter, ManyTasks> {
  const { deadletters } = operations;
  return {
    ...operations,
    cancelMany: async (request) => operations.cancelMany(manyOf(request)),
    retryMany: async (request) => operations.retryMany(manyOf(request)),
    deadletters: {
      list: async (filter) => deadletters.list(filterOf(filter ?? {})),
      retry: async (request) => deadletters.retry(manyOf(request)),
      drop: async (request) => deadletters.drop(manyOf(request)),
    },
  };
}

function handleOf<Out>(id: string, transport: Transport, runtime: Runtime): TaskHandle<Out> {
  return {
    id,
    task: () => transport.task(id),
    result: async ({ timeout, signal } = {}) => {
      const timeoutMs = timeout === undefined ? undefined : durationMs('timeout', timeout);
      const task = await waitForEnd(transport, runtime, id, { timeoutMs, signal });
      if (task.state === 'failed') throw new TaskFailedError(task);
      if (task.state === 'cancelled') throw new TaskCancelledError(task);
      return task.result as Out;
    },
    cancel: (reason) => transport.cancel(id, reason),
    history: () => transport.history(id),
    why: () => transport.why(id),
    events: (options = {}) => {
      const open: OpenEvents = (after, signal) => transport.taskEvents(id, after, signal);
      return heard({ ...options, open, runtime });
    },
  };
}

function eventsOver(transport: Transport, runtime: Runtime): Events {
  const all: Events['all'] = (filter = {}, options = {}) => {
    const open: OpenEvents = (after, signal) => transport.allEvents(filter, after, signal);
    return heard({ ...options, open, runtime });
  };
  return {
    all,
    subscribe: (type, fn, onError = thrown) => {
      const filter = type === '*' ? {} : { types: [type] };
      return subscribe((signal) => all(filter, { signal }), fn, onError);
    },
  };
}

function thrown(error: unknown): never {
  throw error;
}

async function* heard(options: EventStreamOptions): AsyncGenerator<HeardEvent> {
  for await (const { cursor, event } of eventStream(options)) if (event) yield { ...event, cursor };
}

function nameOf(agent: Agent | string): string {
  const name: unknown = typeof agent === 'string' ? agent : (agent as Partial<Agent> | undefined)?.name;
  if (typeof name === 'string') return name;
  throw new AgentSystemError('BAD_REQUEST', `agent is ${String(agent)}, wanted its name or what defineAgent returned`);
}

function manyOf<M extends ManyTasks>({ filter, ...same }: M) {
  return filter === undefined ? same : { ...same, filter: filterOf(filter) };
}

function filterOf({ state, createdBefore, ...same }: TaskFilter): ListFilter {
  return {
    ...same,
    state: typeof state === 'string' ? [state] : state,
    createdBefore: createdBefore === undefined ? undefined : timeOf(createdBefore),
  };
}

function timeOf(time: Date | string): number {
  const ms = new Date(time).getTime();
  if (!Number.isNaN(ms)) return ms;
  throw new AgentSystemError('BAD_REQUEST', `createdBefore is ${String(time)}, wanted a Date or an ISO 8601 text`);
}
