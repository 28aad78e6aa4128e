import type { ApiContext, HealthView } from '../../src/api/context.ts';
import { type Api, createApi, type ServerTimes } from '../../src/api/server.ts';
import { keyRingFromSecret } from '../../src/message/keys.ts';
import type { Observation } from '../../src/runtime/observer.ts';
import { systemRuntime } from '../../src/runtime/system-runtime.ts';
import { AgentCatalog } from '../../src/service/agent-catalog.ts';
import type { WorkerLoad } from '../../src/service/cluster-service.ts';
import { EventFeed } from '../../src/service/event-feed.ts';
import type { TaskService } from '../../src/service/task-service.ts';
import { Waiters } from '../../src/service/waiters.ts';
import { makeServices, type Services } from '../../src/services.ts';
import { createMemoryStore } from '../../src/store/memory/memory-store.ts';
import type { Store } from '../../src/store/store.ts';
import { StoreClock } from '../../src/store/store-clock.ts';
import { DEFAULT_POLICY, type SystemPolicy } from '../../src/task/policy.ts';

export const KEYS = keyRingFromSecret('0123456789abcdef0123456789abcdef');

export const CARDS = [
  {
    name: 'echo',
    methods: { run: { input: { type: 'object', properties: { text: { type: 'string' } } } }, shout: {} },
  },
  { name: 'summarise', methods: { run: {} } },
];

export interface TestApi {
  api: Api;
  store: Store;
  tasks: TaskService;
  waiters: Waiters;
  services: Services;
  seen: Observation[];
  context: ApiContext;
}

/** An API over real services and the embedded store, with the agents `echo` and `summarise` known. */
export async function anApi(
  over: Partial<ApiContext> & {
    policy?: Partial<SystemPolicy>;
    store?: (store: Store) => Store;
    times?: Partial<ServerTimes>;
    /** Default: an empty embedded store. */
    open?: (shards: number) => Store;
    heartbeats?: WorkerLoad[];
    stepDown?: (o: { shard?: number; restMs: number }) => number[];
  } = {},
): Promise<TestApi> {
  const { policy: policyOver, store: wrap = (store) => store, times, open, heartbeats = [], ...rest } = over;
  const { stepDown = () => [], ...contextOver } = rest;
  const runtime = systemRuntime;
  const policy: SystemPolicy = { deployment: 'test', ...DEFAULT_POLICY, ...policyOver };
  const store = wrap(open?.(policy.shards) ?? createMemoryStore({ runtime, shards: policy.shards }));
  await store.announce(CARDS.map((card) => ({ name: card.name, card: JSON.stringify(card) })));
  const seen: Observation[] = [];
  const observe = (observation: Observation) => void seen.push(observation);
  const catalog = new AgentCatalog(store, runtime);
  const waiters = new Waiters();
  const services = makeServices({
    store,
    keys: KEYS,
    clock: new StoreClock(runtime),
    runtime,
    policy,
    catalog,
    waiters,
    observe,
    durability: () => 'memory',
    id: 'coordinator-1',
    stepDown,
    describeStore: () => 'a store for tests',
    heartbeats: async () => ({ now: await store.now(), loads: heartbeats }),
  });
  const { tasks, cluster, send } = services;
  const feed = new EventFeed({
    store,
    shards: policy.shards,
    runtime,
    observe,
    onChanges: (changes) => {
      for (const { id, state } of changes) waiters.tell(id, state);
      services.events.heard();
    },
  });
  feed.start();
  const context: ApiContext = {
    tasks,
    cluster,
    services,
    send,
    health: () => aHealth(),
    readiness: () => ({ ready: true, reasons: [] }),
    status: () => ({ agent: 'coordinator', role: 'coordinator', status: 'ready', mode: 'distributed' }),
    metrics: async () => ({ contentType: 'text/plain; version=0.0.4; charset=utf-8', text: 'agent_leader 1\n' }),
    access: { apiKey: null, metricsToken: null },
    limits: { maxPayloadBytes: policy.maxPayloadBytes },
    runtime,
    observe,
    ...contextOver,
  };
  const api = createApi(context, times);
  const close = async () => {
    await api.close();
    await feed.stop();
  };
  return { api: { ...api, close }, store, tasks, waiters, services, seen, context };
}

export function aHealth(over: Partial<HealthView> = {}): HealthView {
  return {
    status: 'healthy',
    agent_id: 'coordinator-1',
    instance_id: 'coordinator-1',
    agent: 'coordinator',
    role: 'coordinator',
    agent_status: 'ready',
    uptime: 1,
    redis_connected: null,
    is_leader: true,
    is_running: true,
    version: '0.1.0',
    ...over,
  };
}

export interface Answer {
  status: number;
  headers: Record<string, unknown>;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  body: any;
}

/** Calls the API without a network. `body` goes as JSON unless it is text already. */
export async function call(
  { api }: Pick<TestApi, 'api'>,
  method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'HEAD',
  url: string,
  { body, headers = {} }: { body?: unknown; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const payload = body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const typed = payload === undefined ? headers : { 'content-type': 'application/json', ...headers };
  const request = {
    method,
    url,
    headers: typed,
    ...(payload === undefined ? {} : { payload: payload as string | Buffer }),
  };
  const reply = await api.inject(request);
  const isJson = String(reply.headers['content-type'] ?? '').includes('json') && reply.body !== '';
  return { status: reply.statusCode, headers: reply.headers, body: isJson ? JSON.parse(reply.body) : reply.body };
}
