/** What a client does beside single tasks: many at once, failed ones, schedules, and the fleet. */
import type { BulkRequest, BulkResult } from '../service/bulk-service.ts';
import type { QueueView } from '../service/cluster-service.ts';
import type { ClusterView, SteppedDown } from '../service/fleet-service.ts';
import type { CorrelatedHistory } from '../service/history-service.ts';
import type { ScheduleInput } from '../service/schedule-request.ts';
import type { ScheduleView } from '../service/schedule-service.ts';
import type { TaskPage } from '../service/task-list.ts';
import type { RestoreReport } from '../snapshot/restore.ts';
import type { TaskView } from '../task/view.ts';

/** The same whether the filter comes from a person (`Filter` with dates) or goes to a service (with milliseconds). */
export interface Operations<Filter, Many> {
  /**
   * Cancels the tasks of a filter, or those named. One call does a bounded part of it: while it answers `more`, call again
   * with its `nextCursor`.
   */
  cancelMany(request: Many & { reason?: string }): Promise<BulkResult>;
  /** Gives failed tasks (or cancelled ones, where the filter names that state) a new set of attempts. */
  retryMany(request: Many): Promise<BulkResult>;
  /** What happened to all tasks of one correlation; `nextCursor` where not all of them were looked at. */
  correlated(correlationId: string, cursor?: string): Promise<CorrelatedHistory>;
  readonly deadletters: DeadLetters<Filter, Many>;
  readonly schedules: Schedules;
  /** Nothing more of the agent is assigned; what runs goes on. */
  pause(agent: string): Promise<QueueView>;
  resume(agent: string): Promise<QueueView>;
  /** Tells a worker to take nothing more and to end what runs. */
  drain(worker: string, reason?: string): Promise<{ worker: string; state: 'draining' }>;
  /** Who owns which shard until when, and which instances there are. */
  cluster(): Promise<ClusterView>;
  /** The coordinator that is asked gives up what it owns. Refused where nobody could take over, unless `force` is set. */
  stepDown(options?: StepDownOptions): Promise<SteppedDown>;
  /** Everything the system keeps, as text of NDJSON in pieces. Whole only when its last line has come. */
  snapshot(options?: { signal?: AbortSignal }): AsyncIterable<string>;
  /**
   * Puts a snapshot back; refused where there are tasks, unless `force` is set, which adds what is missing. Nothing is
   * written before all of it has arrived and is proven. It may be repeated.
   */
  restore(source: AsyncIterable<string | Uint8Array>, options?: RestoreCallOptions): Promise<RestoreReport>;
}

export interface RestoreCallOptions {
  force?: boolean;
  signal?: AbortSignal;
}

/** Failed tasks, which stay until somebody retries or drops them, or their time is over. */
export interface DeadLetters<Filter, Many> {
  list(filter?: Omit<Filter, 'state'>): Promise<TaskPage>;
  retry(request: Many): Promise<BulkResult>;
  /** Removes them for good. */
  drop(request: Many): Promise<BulkResult>;
}

/** `tenant` is for operators, where several tenants have a schedule of one name. */
export interface Schedules {
  list(): Promise<ScheduleView[]>;
  get(id: string, tenant?: string): Promise<ScheduleView>;
  /** Refused where there is one of this id. */
  create(schedule: ScheduleInput): Promise<ScheduleView>;
  /** Makes it, or makes it what is said; what it did so far stays counted. */
  put(id: string, schedule: Omit<ScheduleInput, 'id'>): Promise<{ schedule: ScheduleView; created: boolean }>;
  pause(id: string, tenant?: string): Promise<ScheduleView>;
  /** Goes on with the next time from now. */
  resume(id: string, tenant?: string): Promise<ScheduleView>;
  /** Submits its task now. */
  trigger(id: string, tenant?: string): Promise<TaskView>;
  remove(id: string, tenant?: string): Promise<void>;
}

export interface StepDownOptions {
  /** Default: every shard it owns. */
  shard?: number;
  /** Also where no other coordinator lives. */
  force?: boolean;
}

/** What is asked of many tasks, as the service takes it. */
export type ManyRequest = BulkRequest;
