/*
 * One entry per route: what the description of the API says of it. The routes themselves stay free of it, so it costs a
 * request nothing; a test holds the table and the registered routes to each other.
 */
import { z } from 'zod';
import { scheduleBody } from '../../service/schedule-request.ts';
import { sendBody } from '../../service/send-service.ts';
import { submitRequest } from '../../service/submit-request.ts';
import { bulkBody, bulkCancelBody } from '../routes/bulk.ts';
import { allQuery, taskQuery } from '../routes/events.ts';
import { drainBody, noFields, stepDownBody } from '../routes/fleet.ts';
import { restoreQuery, SNAPSHOT_TYPE } from '../routes/snapshot.ts';
import { cancelBody, resultQuery } from '../routes/tasks.ts';
import { historyQuery } from '../routes/why.ts';
import { listQuery, statelessQuery } from '../task-filter.ts';
import * as answers from './answers.ts';

export interface RouteDoc {
  id: string;
  tag: 'tasks' | 'events' | 'failed tasks' | 'schedules' | 'fleet' | 'snapshots' | 'process' | 'undescribed';
  summary: string;
  description?: string;
  query?: z.ZodType;
  body?: z.ZodType;
  /** Of a body; it fits `body`. */
  example?: unknown;
  answers: Record<number, Answer>;
  /** Beside 401, 403, 429 and 503, which every route may answer that is not open. */
  refusals?: readonly (400 | 404 | 409 | 413)[];
}

export interface Answer {
  description: string;
  schema?: z.ZodType;
  /** Default: JSON. */
  type?: string;
}

const json = (description: string, schema: z.ZodType): Answer => ({ description, schema });
const TASK = json('The task.', answers.task);
const page = [400] as const;
const ofOne = [400, 404] as const;

const scheduleAction = (id: string, summary: string): RouteDoc => ({
  id,
  tag: 'schedules',
  summary,
  query: z.object({ tenant: z.string().optional() }),
  answers: { 200: json('The schedule.', answers.schedule) },
  refusals: ofOne,
});

export const DOCS: Record<string, RouteDoc> = {
  'POST /v1/tasks': {
    id: 'submitTask',
    tag: 'tasks',
    summary: 'Submit a task',
    description: 'With a `key` the submit can be repeated: equal content answers the same task, other content 409.',
    body: submitRequest,
    example: { agent: 'echo', input: { text: 'hi' }, priority: 'high', key: 'order-77' },
    answers: { 201: json('It was created.', answers.task), 200: json('It was there under this key.', answers.task) },
    refusals: [400, 404, 409, 413],
  },
  'POST /v1/tasks/batch': {
    id: 'submitTasks',
    tag: 'tasks',
    summary: 'Submit many tasks, each answered on its own',
    body: z.strictObject({ tasks: z.array(submitRequest).max(1_000) }),
    example: {
      tasks: [
        { agent: 'echo', input: { text: 'a' } },
        { agent: 'echo', input: { text: 'b' } },
      ],
    },
    answers: { 200: json('One result per task, in their order.', answers.batch) },
    refusals: [400, 413],
  },
  'GET /v1/tasks': {
    id: 'listTasks',
    tag: 'tasks',
    summary: 'List tasks, newest first, without inputs and results',
    description: 'A page may be short, or empty, and still have a `nextCursor`: only null means that there is no more.',
    query: listQuery,
    answers: { 200: json('A page.', answers.taskPage) },
    refusals: page,
  },
  'GET /v1/tasks/:id': {
    id: 'getTask',
    tag: 'tasks',
    summary: 'Read a task',
    answers: { 200: TASK },
    refusals: ofOne,
  },
  'GET /v1/tasks/:id/result': {
    id: 'getResult',
    tag: 'tasks',
    summary: 'Wait for the end of a task',
    query: resultQuery,
    answers: { 200: json('It has ended.', answers.task), 202: json('It has not ended yet.', answers.task) },
    refusals: ofOne,
  },
  'GET /v1/tasks/:id/history': {
    id: 'getHistory',
    tag: 'tasks',
    summary: 'What happened to a task, and the messages behind it',
    answers: { 200: json('Its history.', answers.history) },
    refusals: ofOne,
  },
  'GET /v1/tasks/:id/why': {
    id: 'getWhy',
    tag: 'tasks',
    summary: 'Why a task stands where it stands',
    answers: { 200: json('Reasons, each with a code.', answers.why) },
    refusals: ofOne,
  },
  'POST /v1/tasks/:id/cancel': {
    id: 'cancelTask',
    tag: 'tasks',
    summary: 'Cancel a task, whatever its state; one that runs is told through its signal',
    body: cancelBody,
    example: { reason: 'not needed any more' },
    answers: { 200: TASK },
    refusals: [400, 404, 409],
  },
  'POST /v1/tasks/:id/retry': {
    id: 'retryTask',
    tag: 'tasks',
    summary: 'Give a failed or cancelled task a new set of attempts',
    body: noFields,
    answers: { 200: TASK },
    refusals: [400, 404, 409],
  },
  'POST /v1/tasks/cancel': {
    id: 'cancelTasks',
    tag: 'tasks',
    summary: 'Cancel many tasks, by filter or by id',
    description:
      'An empty filter is refused unless `all` is true. `more` says that there may be others: call again with `nextCursor`.',
    body: bulkCancelBody,
    example: { filter: { agent: 'echo', olderThan: '1h' }, dryRun: true },
    answers: { 200: json('What was done.', answers.bulk) },
    refusals: page,
  },
  'POST /v1/tasks/retry': {
    id: 'retryTasks',
    tag: 'tasks',
    summary: 'Retry many failed tasks; cancelled ones only when the filter names that state',
    body: bulkBody,
    example: { filter: { agent: 'echo' } },
    answers: { 200: json('What was done.', answers.bulk) },
    refusals: page,
  },
  'GET /v1/history': {
    id: 'getCorrelation',
    tag: 'tasks',
    summary: 'What happened to all tasks of one correlation id, in order of time',
    query: historyQuery,
    answers: { 200: json('Its tasks and their lines.', answers.correlated) },
    refusals: page,
  },
  'GET /v1/tasks/:id/events': {
    id: 'streamTask',
    tag: 'events',
    summary: "A task's events from its beginning to its end, as server-sent events",
    description: 'Each `id` is a cursor: send the last one as `Last-Event-ID`, at any coordinator, to go on behind it.',
    query: taskQuery,
    answers: {
      200: { description: 'Events.', type: 'text/event-stream', schema: z.string() },
      204: { description: 'It has ended and all was told before.' },
    },
    refusals: ofOne,
  },
  'GET /v1/events': {
    id: 'streamEvents',
    tag: 'events',
    summary: 'All events from now on, as server-sent events',
    description: 'An event `gap` says that some were not kept long enough to be told.',
    query: allQuery,
    answers: { 200: { description: 'Events.', type: 'text/event-stream', schema: z.string() } },
    refusals: page,
  },
  'GET /v1/deadletters': {
    id: 'listDeadletters',
    tag: 'failed tasks',
    summary: 'List failed tasks',
    query: statelessQuery,
    answers: { 200: json('A page.', answers.deadletterPage) },
    refusals: page,
  },
  'POST /v1/deadletters/retry': {
    id: 'retryDeadletters',
    tag: 'failed tasks',
    summary: 'Retry failed tasks, by filter or by id',
    body: bulkBody,
    example: { filter: { agent: 'echo' }, limit: 100 },
    answers: { 200: json('What was done.', answers.bulk) },
    refusals: page,
  },
  'POST /v1/deadletters/drop': {
    id: 'dropDeadletters',
    tag: 'failed tasks',
    summary: 'Remove failed tasks for good, by filter or by id',
    body: bulkBody,
    example: { filter: { olderThan: '7d' } },
    answers: { 200: json('What was done.', answers.bulk) },
    refusals: page,
  },
  'GET /v1/schedules': {
    id: 'listSchedules',
    tag: 'schedules',
    summary: 'List schedules',
    answers: { 200: json('All of them.', answers.schedules) },
    refusals: page,
  },
  'POST /v1/schedules': {
    id: 'createSchedule',
    tag: 'schedules',
    summary: 'Create a schedule',
    body: scheduleBody,
    example: { id: 'nightly', cron: '0 3 * * *', timeZone: 'Europe/Berlin', task: { agent: 'echo', input: {} } },
    answers: { 201: json('It was created.', answers.schedule) },
    refusals: [400, 404, 409],
  },
  'GET /v1/schedules/:id': scheduleAction('getSchedule', 'Read a schedule'),
  'PUT /v1/schedules/:id': {
    ...scheduleAction('putSchedule', 'Create a schedule or put another in its place'),
    body: scheduleBody.partial({ id: true }),
    answers: {
      200: json('It was replaced.', answers.schedule),
      201: json('It was created.', answers.schedule),
    },
  },
  'DELETE /v1/schedules/:id': {
    ...scheduleAction('deleteSchedule', 'Delete a schedule; tasks that it has submitted stay'),
    answers: { 204: { description: 'It is gone.' } },
  },
  'POST /v1/schedules/:id/pause': scheduleAction('pauseSchedule', 'Pause a schedule'),
  'POST /v1/schedules/:id/resume': scheduleAction('resumeSchedule', 'Resume a schedule'),
  'POST /v1/schedules/:id/trigger': {
    ...scheduleAction('triggerSchedule', 'Submit the task of a schedule now'),
    answers: { 201: json('The task.', answers.task) },
  },
  'GET /v1/agents': {
    id: 'listAgents',
    tag: 'fleet',
    summary: 'List the agents that a worker ever registered',
    answers: { 200: json('All of them.', answers.agents) },
    refusals: page,
  },
  'GET /v1/agents/:agent': {
    id: 'getAgent',
    tag: 'fleet',
    summary: 'Read an agent with the schemas of its methods',
    answers: { 200: json('The agent.', answers.agent) },
    refusals: ofOne,
  },
  'GET /v1/tools': {
    id: 'listTools',
    tag: 'fleet',
    summary: "The agents' methods as descriptions of tools",
    answers: { 200: json('All of them.', answers.tools) },
    refusals: page,
  },
  'GET /v1/queues': {
    id: 'listQueues',
    tag: 'fleet',
    summary: 'List the queues, one per agent',
    answers: { 200: json('All of them.', answers.queues) },
    refusals: page,
  },
  'GET /v1/queues/:agent': {
    id: 'getQueue',
    tag: 'fleet',
    summary: 'Read the queue of an agent',
    answers: { 200: json('The queue.', answers.queue) },
    refusals: ofOne,
  },
  'POST /v1/queues/:agent/pause': {
    id: 'pauseQueue',
    tag: 'fleet',
    summary: 'Assign nothing more of an agent; what runs goes on',
    body: noFields,
    answers: { 200: json('The queue.', answers.queue) },
    refusals: ofOne,
  },
  'POST /v1/queues/:agent/resume': {
    id: 'resumeQueue',
    tag: 'fleet',
    summary: 'Assign tasks of an agent again',
    body: noFields,
    answers: { 200: json('The queue.', answers.queue) },
    refusals: ofOne,
  },
  'GET /v1/workers': {
    id: 'listWorkers',
    tag: 'fleet',
    summary: 'List the workers by their last heartbeats',
    answers: { 200: json('All of them.', answers.workers) },
    refusals: page,
  },
  'POST /v1/workers/:id/drain': {
    id: 'drainWorker',
    tag: 'fleet',
    summary: 'Let a worker take nothing more and end what runs; a worker process exits then',
    body: drainBody,
    example: { reason: 'new disk' },
    answers: { 202: json('It was told.', answers.draining) },
    refusals: ofOne,
  },
  'GET /v1/instances': {
    id: 'listInstances',
    tag: 'fleet',
    summary: 'List the processes of all roles',
    answers: { 200: json('All of them.', answers.instances) },
    refusals: page,
  },
  'GET /v1/cluster': {
    id: 'getCluster',
    tag: 'fleet',
    summary: 'Who owns which shard until when, and what all of it stands on',
    answers: { 200: json('The cluster.', answers.cluster) },
    refusals: page,
  },
  'POST /v1/cluster/step-down': {
    id: 'stepDown',
    tag: 'fleet',
    summary: 'Let this coordinator give up its shards for a while',
    body: stepDownBody,
    example: { shard: 0 },
    answers: { 200: json('What it gave up, and who owns the rest.', answers.steppedDown) },
    refusals: [400, 409],
  },
  'GET /v1/snapshot': {
    id: 'takeSnapshot',
    tag: 'snapshots',
    summary: 'Everything the system keeps, one JSON value per line',
    description: 'Signed, and exact for each shard. It is whole only when its last line, of type `end`, has come.',
    answers: { 200: { description: 'A snapshot.', type: SNAPSHOT_TYPE, schema: z.string() } },
    refusals: [400, 409],
  },
  'POST /v1/snapshot/restore': {
    id: 'restoreSnapshot',
    tag: 'snapshots',
    summary: 'Put a snapshot back',
    description:
      'The body is a snapshot as `application/x-ndjson`, of any size. Nothing is written before all of it is proven. ' +
      'With `force` also into a store that holds tasks: what is missing is added, what is there stays as it is.',
    query: restoreQuery,
    answers: { 200: json('What was written.', answers.restored) },
    refusals: [400, 409],
  },
  'POST /send': {
    id: 'send',
    tag: 'process',
    summary: 'Send a message that becomes a task, at any role',
    body: sendBody,
    example: { sender: 'billing', message_type: 'request', content: { action: 'echo', text: 'hi' } },
    answers: { 202: json('`message_id` is the id of the task.', answers.accepted) },
    refusals: [400, 413],
  },
  'GET /health': {
    id: 'getHealth',
    tag: 'process',
    summary: 'Whether this process lives',
    answers: {
      200: json('It can make progress.', answers.health),
      503: json('It cannot, and should be restarted.', answers.health),
    },
  },
  'GET /ready': {
    id: 'getReadiness',
    tag: 'process',
    summary: 'Whether this process may be sent work',
    answers: { 200: json('It may.', answers.readiness), 503: json('It may not.', answers.readiness) },
  },
  'GET /status': {
    id: 'getStatus',
    tag: 'process',
    summary: 'What this process is and does',
    answers: { 200: json('Its status.', answers.status) },
  },
  'GET /metrics': {
    id: 'getMetrics',
    tag: 'process',
    summary: 'Metrics of this process, as Prometheus reads them',
    answers: { 200: { description: 'Metrics.', type: 'text/plain', schema: z.string() } },
  },
  'GET /openapi.json': {
    id: 'getOpenApi',
    tag: 'process',
    summary: 'This description',
    answers: { 200: json('OpenAPI 3.1.', z.record(z.string(), z.unknown())) },
  },
};
