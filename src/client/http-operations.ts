/** The calls of `Operations` over HTTP. */
import type { BulkResult } from '../service/bulk-service.ts';
import type { QueueView } from '../service/cluster-service.ts';
import type { ClusterView, SteppedDown } from '../service/fleet-service.ts';
import type { CorrelatedHistory } from '../service/history-service.ts';
import type { ScheduleView } from '../service/schedule-service.ts';
import type { ListFilter, TaskPage } from '../service/task-list.ts';
import type { RestoreReport } from '../snapshot/restore.ts';
import { isoOf, type TaskView } from '../task/view.ts';
import type { HttpCaller } from './http-call.ts';
import type { ManyRequest, Operations, Schedules } from './operations.ts';

/** A shard is read before its first task is told. */
const SNAPSHOT_SILENCE_MS = 300_000;
const RESTORE_WITHIN_MS = 3_600_000;

export function httpOperations(caller: HttpCaller): Operations<ListFilter, ManyRequest> {
  const get = async <T>(path: string): Promise<T> =>
    (await caller.call({ method: 'GET', path, repeatable: true })).body as T;
  // Asked twice, each of these leaves what asking once leaves: what was done no longer matches, and is paused already.
  const post = async <T>(path: string, body: unknown = {}): Promise<T> =>
    (await caller.call({ method: 'POST', path, body, repeatable: true })).body as T;
  const many = (path: string) => (request: ManyRequest) => post<BulkResult>(path, bodyOf(request));
  return {
    cancelMany: many('/v1/tasks/cancel'),
    retryMany: many('/v1/tasks/retry'),
    correlated: (correlationId, cursor) => get<CorrelatedHistory>(`/v1/history${queryText({ correlationId, cursor })}`),
    deadletters: {
      list: async (filter = {}) => {
        const { deadletters: tasks, nextCursor } = await get<{
          deadletters: TaskView[];
          nextCursor: TaskPage['nextCursor'];
        }>(`/v1/deadletters${filterQuery(filter)}`);
        return { tasks, nextCursor };
      },
      retry: many('/v1/deadletters/retry'),
      drop: many('/v1/deadletters/drop'),
    },
    schedules: schedulesOver(caller),
    pause: (agent) => post<QueueView>(`/v1/queues/${encodeURIComponent(agent)}/pause`),
    resume: (agent) => post<QueueView>(`/v1/queues/${encodeURIComponent(agent)}/resume`),
    drain: (worker, reason) => post(`/v1/workers/${encodeURIComponent(worker)}/drain`, { reason }),
    cluster: () => get<ClusterView>('/v1/cluster'),
    stepDown: (options = {}) => post<SteppedDown>('/v1/cluster/step-down', options),
    snapshot: ({ signal } = {}) => {
      const call = { method: 'GET', path: '/v1/snapshot', repeatable: false, signal } as const;
      return caller.stream(call, SNAPSHOT_SILENCE_MS);
    },
    restore: async (source, { force = false, signal } = {}) => {
      const path = `/v1/snapshot/restore${queryText({ force: force ? 'true' : undefined })}`;
      const headers = { 'content-type': 'application/x-ndjson' };
      const call = { method: 'POST', path, headers, source, repeatable: false, signal } as const;
      return (await caller.wait(call, RESTORE_WITHIN_MS, (same) => same)).body as RestoreReport;
    },
  };
}

function schedulesOver(caller: HttpCaller): Schedules {
  const path = (id: string, tenant: string | undefined, rest = '') =>
    `/v1/schedules/${encodeURIComponent(id)}${rest}${queryText({ tenant })}`;
  const call = async <T>(method: 'GET' | 'POST' | 'PUT' | 'DELETE', at: string, body?: unknown, repeatable = true) =>
    (await caller.call({ method, path: at, body, repeatable })).body as T;
  return {
    list: async () => (await call<{ schedules: ScheduleView[] }>('GET', '/v1/schedules')).schedules,
    get: (id, tenant) => call<ScheduleView>('GET', path(id, tenant)),
    // Asked again it would be refused as one that exists, though it was this very call that made it.
    create: (schedule) => call<ScheduleView>('POST', '/v1/schedules', schedule, false),
    put: async (id, schedule) => {
      const { status, body } = await caller.call({
        method: 'PUT',
        path: path(id, undefined),
        body: schedule,
        repeatable: true,
      });
      return { schedule: body as ScheduleView, created: status === 201 };
    },
    pause: (id, tenant) => call<ScheduleView>('POST', path(id, tenant, '/pause')),
    resume: (id, tenant) => call<ScheduleView>('POST', path(id, tenant, '/resume')),
    trigger: (id, tenant) => call<TaskView>('POST', path(id, tenant, '/trigger'), undefined, false),
    remove: (id, tenant) => call<void>('DELETE', path(id, tenant), undefined, false),
  };
}

/** A filter in the words of the query, which a bulk action takes as fields. */
function bodyOf({ filter, ...request }: ManyRequest): Record<string, unknown> {
  if (!filter) return request;
  const { labels, createdBefore, ...same } = filter;
  return {
    ...request,
    filter: {
      ...same,
      ...(labels && { label: Object.entries(labels).map(([name, value]) => `${name}=${value}`) }),
      ...(createdBefore !== undefined && { createdBefore: isoOf(createdBefore) }),
    },
  };
}

/** `?…`, or nothing. */
export function filterQuery(filter: ListFilter): string {
  const { state = [], labels = {}, createdBefore, ...rest } = filter;
  const query = new URLSearchParams();
  for (const one of state) query.append('state', one);
  for (const [name, value] of Object.entries(labels)) query.append('label', `${name}=${value}`);
  for (const [name, value] of Object.entries(rest)) if (value !== undefined) query.set(name, String(value));
  if (createdBefore !== undefined) query.set('createdBefore', isoOf(createdBefore));
  return query.size === 0 ? '' : `?${query}`;
}

function queryText(values: Record<string, string | undefined>): string {
  const given = Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`;
}
