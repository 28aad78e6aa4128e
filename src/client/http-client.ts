import { httpUrl } from '../config/parse.ts';
import { AgentSystemError } from '../errors.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { systemRuntime } from '../runtime/system-runtime.ts';
import type { EventFilter, Told } from '../service/event-service.ts';
import type { SubmitRequest } from '../service/submit-request.ts';
import type { TaskPage } from '../service/task-list.ts';
import type { WhyView } from '../service/why-service.ts';
import type { TaskView } from '../task/view.ts';
import { type Client, clientOver } from './client.ts';
import { ResponseError, type ResponseFacts } from './errors.ts';
import { HttpCaller } from './http-call.ts';
import { filterQuery, httpOperations } from './http-operations.ts';
import { SseParser } from './sse-parser.ts';
import { type ClientTls, fetchOver } from './tls-fetch.ts';
import type { Receipt, TaskHistory, Transport } from './transport.ts';

export interface HttpClientOptions {
  /** Of a coordinator, such as `http://127.0.0.1:8001`. */
  url: string;
  apiKey?: string | null;
  /** For an https system with authorities of its own, or one that asks for a certificate. */
  tls?: ClientTls | undefined;
  fetch?: typeof fetch;
  runtime?: Runtime;
}

/** The client over HTTP: the same calls as `system.client`, with a coordinator anywhere. */
export function createClient(options: HttpClientOptions): Client {
  const runtime = options.runtime ?? systemRuntime;
  const url = checkedUrl(options.url);
  if (options.tls && !url.startsWith('https:'))
    throw new AgentSystemError('BAD_REQUEST', `tls is given, but url is ${JSON.stringify(url)}, wanted https://`);
  const call = options.fetch ?? (options.tls ? fetchOver(options.tls) : fetch);
  const caller = new HttpCaller({ url, apiKey: options.apiKey ?? null, fetch: call, runtime });
  return clientOver(transportOver(caller), runtime);
}

function checkedUrl(text: string): string {
  const url = httpUrl.read(String(text));
  if (url === undefined)
    throw new AgentSystemError('BAD_REQUEST', `url is ${JSON.stringify(text)}, wanted ${httpUrl.wanted}`);
  const { username, password, search, hash } = new URL(url);
  // Not shown: it may hold a password.
  if (username || password)
    throw new AgentSystemError('BAD_REQUEST', 'url holds a user or password, wanted apiKey instead');
  if (search || hash)
    throw new AgentSystemError('BAD_REQUEST', `url is ${JSON.stringify(url)}, wanted one without ? and #`);
  return url;
}

function transportOver(caller: HttpCaller): Transport {
  const get = async <T>(path: string): Promise<T> =>
    (await caller.call({ method: 'GET', path, repeatable: true })).body as T;
  const post = async <T>(path: string, body: unknown, repeatable: boolean): Promise<T> =>
    (await caller.call({ method: 'POST', path, body, repeatable })).body as T;
  const listed = async <T>(name: string): Promise<T> => (await get<Record<string, T>>(`/v1/${name}`))[name]!;
  return {
    submit: async (request) => {
      const repeatable = request.key !== undefined;
      const { status, body } = await caller.call({ method: 'POST', path: '/v1/tasks', body: request, repeatable });
      return { task: body as TaskView, created: status === 201 };
    },
    submitMany: async (requests) => {
      const repeatable = requests.every(hasKey);
      const { results } = await post<{ results: BatchResult[] }>('/v1/tasks/batch', { tasks: requests }, repeatable);
      return results.map(receiptOf);
    },
    task: (id) => get<TaskView>(pathOf(id)),
    list: (filter) => get<TaskPage>(`/v1/tasks${filterQuery(filter)}`),
    result: async (id, waitMs, signal) => {
      const call = { method: 'GET', path: pathOf(id, '/result'), repeatable: false, signal } as const;
      const { body } = await caller.wait(call, waitMs, (path, ms) => `${path}?waitMs=${Math.round(ms)}`);
      return body as TaskView;
    },
    // Cancelling a cancelled task changes nothing, so it may be asked twice; a second retry would be refused.
    cancel: (id, reason) => post<TaskView>(pathOf(id, '/cancel'), reason === undefined ? {} : { reason }, true),
    retry: (id) => post<TaskView>(pathOf(id, '/retry'), {}, false),
    history: (id) => get<TaskHistory>(pathOf(id, '/history')),
    why: (id) => get<WhyView>(pathOf(id, '/why')),
    taskEvents: (id, after, signal) => eventsAt(caller, pathOf(id, '/events'), after, signal),
    allEvents: (filter, after, signal) => eventsAt(caller, `/v1/events${eventQueryOf(filter)}`, after, signal),
    workers: () => listed('workers'),
    instances: () => listed('instances'),
    queues: () => listed('queues'),
    agents: () => listed('agents'),
    operations: httpOperations(caller),
  };
}

/** Three heartbeats: after that the coordinator is gone, or something on the way is. */
const EVENT_SILENCE_MS = 45_000;

async function* eventsAt(
  caller: HttpCaller,
  path: string,
  after: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<Told> {
  const headers = { accept: 'text/event-stream' };
  // By the query: a task that has ended tells so again then, where a browser's header is answered with nothing.
  const mark = path.includes('?') ? '&' : '?';
  const from = after === undefined ? path : `${path}${mark}after=${encodeURIComponent(after)}`;
  const parser = new SseParser();
  const pieces = caller.stream({ method: 'GET', path: from, headers, repeatable: true, signal }, EVENT_SILENCE_MS);
  for await (const piece of pieces) yield* parser.push(piece);
}

function eventQueryOf(filter: EventFilter): string {
  const query = new URLSearchParams();
  for (const type of filter.types ?? []) query.append('types', type);
  for (const state of filter.state ?? []) query.append('state', state);
  for (const name of ['agent', 'tenant', 'task', 'correlationId'] as const) {
    const value = filter[name];
    if (value !== undefined) query.set(name, value);
  }
  return query.size === 0 ? '' : `?${query}`;
}

interface BatchResult {
  status: number;
  task?: TaskView;
  error?: ResponseFacts;
}

function receiptOf({ status, task, error }: BatchResult): Receipt | AgentSystemError {
  if (task) return { task, created: status === 201 };
  return new ResponseError(status, error!);
}

/** Lines of a file may be anything at all. */
function hasKey(request: SubmitRequest): boolean {
  return typeof request?.key === 'string';
}

function pathOf(id: string, rest = ''): string {
  return `/v1/tasks/${encodeURIComponent(id)}${rest}`;
}
