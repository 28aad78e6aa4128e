import type { Runtime } from '../runtime/runtime.ts';
import type { BulkService } from '../service/bulk-service.ts';
import { OPERATOR } from '../service/caller.ts';
import type { ClusterService } from '../service/cluster-service.ts';
import type { EventService } from '../service/event-service.ts';
import type { FleetService } from '../service/fleet-service.ts';
import type { HistoryService } from '../service/history-service.ts';
import type { ScheduleService } from '../service/schedule-service.ts';
import type { ListFilter } from '../service/task-list.ts';
import type { TaskService } from '../service/task-service.ts';
import type { WhyService } from '../service/why-service.ts';
import type { SnapshotService } from '../snapshot/snapshot-service.ts';
import { bytesOf } from './bytes.ts';
import { type Client, clientOver } from './client.ts';
import type { ManyRequest, Operations } from './operations.ts';

export interface LocalClientOptions {
  tasks: TaskService;
  cluster: ClusterService;
  events: EventService;
  why: WhyService;
  bulk: BulkService;
  history: HistoryService;
  fleet: FleetService;
  schedules: ScheduleService;
  snapshots: SnapshotService;
  runtime: Runtime;
}

/** The client of a process that runs a coordinator: no network, no copy of its own rules. */
export function localClient(options: LocalClientOptions): Client {
  const { tasks, cluster, events, why, runtime } = options;
  return clientOver(
    {
      submit: (request) => tasks.submit(request),
      submitMany: (requests) => tasks.submitMany([...requests]),
      task: (id) => tasks.get(id),
      list: (filter) => tasks.list(filter),
      result: async (id, waitMs, signal) => (await tasks.result(id, waitMs, signal)).task,
      cancel: (id, reason) => tasks.cancel(id, reason),
      retry: (id) => tasks.retry(id),
      history: (id) => tasks.history(id),
      why: (id) => why.why(id),
      taskEvents: async function* (id, after, signal) {
        yield* (await events.ofTask(id, { after, caller: OPERATOR, signal })).events;
      },
      allEvents: async function* (filter, after, signal) {
        yield* await events.ofAll(filter, { after, caller: OPERATOR, signal });
      },
      workers: () => cluster.workers(),
      instances: () => cluster.instances(),
      queues: () => cluster.queues(),
      agents: () => cluster.agents(),
      operations: localOperations(options),
    },
    runtime,
  );
}

function localOperations(o: LocalClientOptions): Operations<ListFilter, ManyRequest> {
  const { tasks, bulk, history, fleet, schedules, snapshots } = o;
  return {
    cancelMany: (request) => bulk.cancel(request),
    retryMany: (request) => bulk.retry(request),
    correlated: (correlationId, cursor) => history.ofCorrelation(correlationId, cursor === undefined ? {} : { cursor }),
    deadletters: {
      list: (filter) => tasks.list({ ...filter, state: ['failed'] }),
      retry: (request) =>
        bulk.retry({ ...request, filter: request.filter && { ...request.filter, state: ['failed'] } }),
      drop: (request) => bulk.drop(request),
    },
    schedules: {
      list: () => schedules.list(),
      get: (id, tenant) => schedules.get(id, OPERATOR, tenant),
      create: (schedule) => schedules.create(schedule),
      put: (id, schedule) => schedules.put(id, schedule),
      pause: (id, tenant) => schedules.pause(id, OPERATOR, tenant),
      resume: (id, tenant) => schedules.resume(id, OPERATOR, tenant),
      trigger: (id, tenant) => schedules.trigger(id, OPERATOR, tenant),
      remove: (id, tenant) => schedules.remove(id, OPERATOR, tenant),
    },
    pause: (agent) => fleet.pause(agent),
    resume: (agent) => fleet.resume(agent),
    drain: (worker, reason) => fleet.drain(worker, reason),
    cluster: () => fleet.view(),
    stepDown: (options) => fleet.stepDown(options),
    snapshot: ({ signal } = {}) => snapshots.take(signal),
    restore: (source, { force = false } = {}) => snapshots.restore(bytesOf(source), { force }),
  };
}
