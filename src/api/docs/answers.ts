/** What calls answer, for the description of the API. Services make these; nothing is checked or stripped by them. */
import { z } from 'zod';
import { REASON_CODES } from '../../service/explain.ts';
import { TASK_STATES } from '../../task/task.ts';

/** Those that have a name of their own in the description. */
export const named = z.registry<{ id: string }>();

const time = z.iso.datetime();
const state = z.enum(TASK_STATES);
const texts = z.record(z.string(), z.string());
const anything = z.record(z.string(), z.unknown());

export const errorAnswer = z
  .object({
    error: z.object({ code: z.string(), message: z.string(), details: anything.optional() }),
  })
  .register(named, { id: 'Error' });

const taskError = z.object({ code: z.string(), message: z.string(), retryable: z.boolean() });

export const task = z
  .object({
    id: z.string(),
    agent: z.string(),
    method: z.string(),
    state,
    priority: z.int(),
    version: z.int(),
    attempt: z.int(),
    maxAttempts: z.int(),
    input: z.unknown().optional(),
    result: z.unknown().optional(),
    error: taskError.optional(),
    progress: z.number().optional(),
    progressNote: z.string().optional(),
    usage: z
      .object({
        inputTokens: z.int().optional(),
        outputTokens: z.int().optional(),
        toolIterations: z.int().optional(),
      })
      .optional(),
    stopReason: z.string().optional(),
    key: z.string().optional(),
    tenant: z.string(),
    session: z.string().optional(),
    correlationId: z.string(),
    parentId: z.string().optional(),
    worker: z.string().optional(),
    distributor: z.string().optional(),
    durability: z.string(),
    delivery: z.enum(['at-least-once', 'at-most-once']),
    labels: texts,
    metadata: anything,
    createdAt: time,
    runAt: time.optional(),
    queuedAt: time.optional(),
    startedAt: time.optional(),
    endedAt: time.optional(),
    ranMs: z.number().optional(),
    timeoutMs: z.number(),
    retry: z.object({
      maxAttempts: z.int(),
      backoffMs: z.number(),
      factor: z.number(),
      maxBackoffMs: z.number(),
    }),
  })
  .loose()
  .register(named, { id: 'Task' });

const nextCursor = z.string().nullable();
export const taskPage = z.object({ tasks: z.array(task), nextCursor });
export const deadletterPage = z.object({ deadletters: z.array(task), nextCursor });
export const batch = z.object({
  results: z.array(z.object({ status: z.int(), task: task.optional(), error: errorAnswer.shape.error.optional() })),
});

const historyLine = z
  .object({
    kind: z.enum(['transition', 'message']),
    at: time,
    version: z.int(),
    state: state.optional(),
    type: z.string().optional(),
    sender: z.string().optional(),
    receiver: z.string().optional(),
    attemptId: z.string().optional(),
    worker: z.string().optional(),
    reason: z.string().optional(),
  })
  .register(named, { id: 'HistoryLine' });
export const history = z.object({ task: z.string(), history: z.array(historyLine), dropped: z.int() });
export const correlated = z.object({
  correlationId: z.string(),
  tasks: z.array(z.object({ id: z.string(), agent: z.string(), state, parentId: z.string().optional() })),
  history: z.array(z.intersection(historyLine, z.object({ task: z.string() }))),
  dropped: z.int(),
  nextCursor,
});

export const why = z.object({
  task: z.string(),
  state: state.nullable(),
  reasons: z.array(z.looseObject({ code: z.enum(REASON_CODES), message: z.string(), until: time.optional() })),
});

export const bulk = z.object({
  matched: z.int(),
  changed: z.int(),
  failed: z.array(z.object({ id: z.string(), error: z.string() })),
  dryRun: z.boolean(),
  more: z.boolean(),
  nextCursor,
});

const instance = z
  .looseObject({
    id: z.string(),
    role: z.string(),
    incarnation: z.string(),
    host: z.string(),
    pid: z.int(),
    version: z.string(),
    url: z.string().nullable(),
    startedAt: time,
    seenAt: time,
    alive: z.boolean(),
    agents: z.array(z.string()),
    metadata: texts,
    facts: anything,
  })
  .register(named, { id: 'Instance' });
const worker = z
  .looseObject({
    id: z.string(),
    state: z.enum(['ready', 'busy', 'draining', 'not_ready', 'lost']),
    slots: z.int(),
    labels: texts,
    resources: z.record(z.string(), z.number()),
    used: z.record(z.string(), z.number()),
    running: z.int(),
    waiting: z.int(),
    agents: z.array(z.string()),
    distributor: z.string().nullable(),
    host: z.string().nullable(),
    pid: z.int().nullable(),
    version: z.string().nullable(),
    incarnation: z.string(),
    lastHeartbeat: time,
  })
  .register(named, { id: 'Worker' });
export const queue = z
  .looseObject({
    agent: z.string(),
    pending: z.int(),
    urgent: z.int(),
    lanes: z.int(),
    paused: z.boolean(),
  })
  .register(named, { id: 'Queue' });
export const agent = z
  .looseObject({
    name: z.string(),
    version: z.string().optional(),
    description: z.string().optional(),
    methods: z.record(z.string(), z.looseObject({ input: z.unknown().optional(), output: z.unknown().optional() })),
  })
  .register(named, { id: 'Agent' });

export const workers = z.object({ workers: z.array(worker) });
export const instances = z.object({ instances: z.array(instance) });
export const queues = z.object({ queues: z.array(queue) });
export const agents = z.object({ agents: z.array(agent) });
export const tools = z.object({
  tools: z.array(
    z.object({
      name: z.string(),
      description: z.string(),
      inputSchema: z.unknown(),
      agent: z.string(),
      method: z.string(),
    }),
  ),
});
export const draining = z.object({ worker: z.string(), state: z.literal('draining') });

const owner = z
  .object({
    shard: z.int(),
    instance: z.string(),
    epoch: z.int(),
    until: time.nullable(),
    url: z.string().nullable(),
  })
  .register(named, { id: 'Owner' });
export const cluster = z.object({
  owners: z.array(owner),
  shards: z.int(),
  instances: z.array(instance),
  store: z.object({ kind: z.string(), description: z.string().nullable(), deployment: z.string() }),
});
export const steppedDown = z.object({ steppedDown: z.array(z.int()), elsewhere: z.array(owner) });

export const accepted = z.object({ status: z.literal('accepted'), message_id: z.string() });
export const health = z.looseObject({
  status: z.enum(['healthy', 'degraded', 'unhealthy']),
  agent_id: z.string(),
  instance_id: z.string(),
  agent: z.string(),
  role: z.string(),
  agent_status: z.enum(['starting', 'ready', 'busy', 'draining']),
  uptime: z.number(),
  redis_connected: z.boolean().nullable(),
  is_leader: z.boolean(),
  is_running: z.boolean(),
  version: z.string(),
  durability: z.string().optional(),
  reasons: z.array(z.string()).optional(),
});
export const readiness = z.object({ ready: z.boolean(), reasons: z.array(z.string()) });
export const status = z.looseObject({ agent: z.string(), role: z.string(), status: z.string(), mode: z.string() });

export const schedule = z
  .looseObject({
    id: z.string(),
    tenant: z.string(),
    cron: z.string().optional(),
    timeZone: z.string().optional(),
    everyMs: z.number().optional(),
    at: time.optional(),
    overlap: z.string(),
    missed: z.string(),
    jitterMs: z.number(),
    paused: z.boolean(),
    task: anything,
    version: z.int(),
    nextAt: time.nullable(),
  })
  .register(named, { id: 'Schedule' });
export const schedules = z.object({ schedules: z.array(schedule) });

export const restored = z
  .object({
    snapshot: z.looseObject({
      deployment: z.string(),
      shards: z.int(),
      takenAt: time,
      version: z.string(),
      digest: z.string(),
      counts: z.record(z.string(), z.int()),
      states: z.record(z.string(), z.int()),
      key: z.string(),
      seals: z.object({ unknownKey: z.int(), wrong: z.int() }),
    }),
    restored: z.int(),
    kept: z.int(),
    requeued: z.int(),
    outcomeUnknown: z.int(),
    schedules: z.int(),
    uniqueKeys: z.int(),
  })
  .register(named, { id: 'Restored' });
