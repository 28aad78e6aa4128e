import type { AgentSystemError } from '../errors.ts';
import type { AgentCard } from '../service/agent-catalog.ts';
import type { InstanceView, QueueView, WorkerView } from '../service/cluster-service.ts';
import type { EventFilter, Told } from '../service/event-service.ts';
import type { SubmitRequest } from '../service/submit-request.ts';
import type { ListFilter, TaskPage } from '../service/task-list.ts';
import type { WhyView } from '../service/why-service.ts';
import type { HistoryLine, TaskView } from '../task/view.ts';
import type { ManyRequest, Operations } from './operations.ts';

/** How a client reaches the system: the services of this process, or a coordinator over HTTP. */
export interface Transport {
  submit(request: SubmitRequest): Promise<Receipt>;
  /** Each on its own, answers in the order of the requests. */
  submitMany(requests: readonly SubmitRequest[]): Promise<(Receipt | AgentSystemError)[]>;
  task(id: string): Promise<TaskView>;
  list(filter: ListFilter): Promise<TaskPage>;
  /** The task once it has ended, or as it stands after at most `waitMs`. */
  result(id: string, waitMs: number, signal?: AbortSignal): Promise<TaskView>;
  cancel(id: string, reason: string | undefined): Promise<TaskView>;
  retry(id: string): Promise<TaskView>;
  history(id: string): Promise<TaskHistory>;
  why(id: string): Promise<WhyView>;
  /** One connection's worth of a task's events from behind a cursor; see `eventStream`. */
  taskEvents(id: string, after: string | undefined, signal: AbortSignal): AsyncIterable<Told>;
  /** The same of the whole system's events. */
  allEvents(filter: EventFilter, after: string | undefined, signal: AbortSignal): AsyncIterable<Told>;
  workers(): Promise<WorkerView[]>;
  instances(): Promise<InstanceView[]>;
  queues(): Promise<QueueView[]>;
  agents(): Promise<AgentCard[]>;
  readonly operations: Operations<ListFilter, ManyRequest>;
}

export interface Receipt {
  task: TaskView;
  /** False: a request with this key and content was seen before, this is its task. */
  created: boolean;
}

export interface TaskHistory {
  task: string;
  history: HistoryLine[];
  /** Lines left out of the middle of a long history. */
  dropped: number;
}
