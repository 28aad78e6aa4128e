import type { FastifyInstance, FastifyReply } from 'fastify';
import { z } from 'zod';
import { AgentSystemError } from '../../errors.ts';
import { badRequest, type SubmitRequest } from '../../service/submit-request.ts';
import { LIST_LIMIT_MAX, type ListFilter } from '../../service/task-list.ts';
import { type Submitted, type TaskService, WAIT_MAX_MS } from '../../service/task-service.ts';
import { isTaskId } from '../../task/id.ts';
import { TASK_STATES } from '../../task/task.ts';
import { BATCH_DEPTH_MAX, bodyLimits, required } from '../body.ts';
import type { ApiContext } from '../context.ts';
import { errorReplyOf } from '../errors.ts';
import { noQuery, one, readQuery, repeated, several, wholeNumber } from '../query.ts';
import type { Waits } from '../waits.ts';

export const BATCH_TASKS_MAX = 1_000;
const LABELS_MAX = 32;

interface ById {
  Params: { id: string };
}

export function taskRoutes(app: FastifyInstance, tasks: TaskService, context: ApiContext, waits: Waits): void {
  const bodyLimit = bodyLimits(context.limits);

  // The service checks the request: a schema of the framework would check everything twice.
  app.post('/v1/tasks', { bodyLimit: bodyLimit.single }, async ({ body }, reply) => {
    const { task, created } = await tasks.submit(required(body));
    reply.code(created ? 201 : 200).header('location', `/v1/tasks/${task.id}`);
    return task;
  });

  const batch = { bodyLimit: bodyLimit.batch, config: { depthMax: BATCH_DEPTH_MAX } };
  app.post('/v1/tasks/batch', batch, async ({ body }) => {
    const results = await tasks.submitMany(batchOf(required(body)));
    return { results: results.map(resultOf) };
  });

  app.get('/v1/tasks', async ({ query }) => tasks.list(filterOf(readQuery(query, listQuery))));

  app.get<ById>('/v1/tasks/:id', async ({ params, query }) => {
    readQuery(query, noQuery);
    return tasks.get(params.id);
  });

  app.get<ById>('/v1/tasks/:id/result', async ({ params, query }, reply) => {
    const { waitMs = 0 } = readQuery(query, resultQuery);
    const { ended, task } = await outcome(tasks, params.id, waitMs, { waits, reply });
    reply.code(ended ? 200 : 202);
    return task;
  });

  app.get<ById>('/v1/tasks/:id/history', async ({ params, query }) => {
    readQuery(query, noQuery);
    return tasks.history(params.id);
  });

  app.post<ById>('/v1/tasks/:id/cancel', async ({ params, body }) => {
    const { reason } = readBody(body, cancelBody, 'the cancel');
    return tasks.cancel(params.id, reason);
  });

  app.post<ById>('/v1/tasks/:id/retry', async ({ params, body }) => {
    readBody(body, z.strictObject({}), 'the retry');
    return tasks.retry(params.id);
  });
}

function batchOf(body: unknown): SubmitRequest[] {
  const { tasks } = readBody(body, batchBody, 'the batch');
  if (tasks.length <= BATCH_TASKS_MAX) return tasks as SubmitRequest[];
  const problem = `has ${tasks.length} tasks, at most ${BATCH_TASKS_MAX} are taken at once`;
  throw new AgentSystemError('BAD_REQUEST', `the batch is refused: tasks: ${problem}`, {
    details: { fields: [{ field: 'tasks', problem }], max: BATCH_TASKS_MAX },
  });
}

/** Each task's own answer, as it would have had it alone. */
function resultOf(result: Submitted | AgentSystemError) {
  if (!(result instanceof AgentSystemError)) return { status: result.created ? 201 : 200, task: result.task };
  const { status, body } = errorReplyOf(result);
  return { status, error: body.error };
}

function outcome(tasks: TaskService, id: string, waitMs: number, client: { waits: Waits; reply: FastifyReply }) {
  if (waitMs === 0) return tasks.result(id, 0);
  return client.waits.during(client.reply.raw, (signal) => tasks.result(id, waitMs, signal));
}

/** @param body undefined (none was sent) counts as an object without fields */
function readBody<T>(body: unknown, schema: z.ZodType<T>, what: string): T {
  const read = schema.safeParse(body ?? {});
  if (read.success) return read.data;
  throw badRequest(read.error, what);
}

/** What the tasks are is left to the service, which answers each on its own. */
const batchBody = z.strictObject({ tasks: z.array(z.unknown()) });
const cancelBody = z.strictObject({ reason: z.string().min(1).max(1_000).optional() });
const resultQuery = z.object({ waitMs: wholeNumber(0, WAIT_MAX_MS).optional() });

const state = z.enum(TASK_STATES, {
  error: ({ input }) => `${JSON.stringify(input)} is no state: wanted ${TASK_STATES.join(', ')}`,
});
const label = z.string().regex(/^[^=]+=/, { error: 'a label is given as name=value' });

const listQuery = z.object({
  state: several(TASK_STATES.length).pipe(z.array(state)).optional(),
  agent: one.max(128).optional(),
  tenant: one.max(128).optional(),
  correlationId: one.max(256).optional(),
  label: repeated(LABELS_MAX).pipe(z.array(label)).optional(),
  createdBefore: one.pipe(z.iso.datetime({ offset: true })).optional(),
  limit: wholeNumber(1, LIST_LIMIT_MAX).optional(),
  cursor: one.refine(isTaskId, { error: 'is not a nextCursor that was given out here' }).optional(),
});

function filterOf({ label, createdBefore, ...rest }: z.output<typeof listQuery>): ListFilter {
  const filter: ListFilter = rest;
  if (label) filter.labels = Object.fromEntries(label.map(nameAndValue));
  if (createdBefore !== undefined) filter.createdBefore = Date.parse(createdBefore);
  return filter;
}

function nameAndValue(label: string): [string, string] {
  const gap = label.indexOf('=');
  return [label.slice(0, gap), label.slice(gap + 1)];
}
