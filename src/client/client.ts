/**
 * What people hold who submit tasks, the same in the process of the system and far from it. Types come from the agent:
 * what may be submitted to it and what comes back.
 */
import type { Agent, DEFAULT_METHOD } from '../agent/define-agent.ts';
import { AgentSystemError } from '../errors.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { AgentCard } from '../service/agent-catalog.ts';
import type { InstanceView, QueueView, WorkerView } from '../service/cluster-service.ts';
import type { SubmitRequest } from '../service/submit-request.ts';
import type { TaskPage } from '../service/task-list.ts';
import type { TaskState } from '../task/task.ts';
import type { TaskView } from '../task/view.ts';
import { TaskCancelledError, TaskFailedError } from './errors.ts';
import { type Duration, durationMs, requestOf, type SubmitOptions } from './submit-options.ts';
import type { Receipt, TaskHistory, Transport } from './transport.ts';
import { waitForEnd } from './wait-for-result.ts';

export interface Client {
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
  /** All must match. */
  labels?: Record<string, string>;
  createdBefore?: Date | string;
  /** 1 to 500, default 50. */
  limit?: number;
  /** `nextCursor` of the page before. */
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
    workers: () => transport.workers(),
    instances: () => transport.instances(),
    queues: () => transport.queues(),
    agents: () => transport.agents(),
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
  };
}

function nameOf(agent: Agent | string): string {
  const name: unknown = typeof agent === 'string' ? agent : (agent as Partial<Agent> | undefined)?.name;
  if (typeof name === 'string') return name;
  throw new AgentSystemError('BAD_REQUEST', `agent is ${String(agent)}, wanted its name or what defineAgent returned`);
}

function filterOf({ state, createdBefore, ...same }: TaskFilter) {
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
