import type { FastifyInstance, FastifyReply } from 'fastify';
import { z } from 'zod';
import { AgentSystemError } from '../../errors.ts';
import type { Caller } from '../../service/caller.ts';
import type { SubmitRequest } from '../../service/submit-request.ts';
import { type Submitted, type TaskService, WAIT_MAX_MS } from '../../service/task-service.ts';
import { BATCH_DEPTH_MAX, bodyLimits, readFields, required } from '../body.ts';
import type { ApiContext } from '../context.ts';
import { errorReplyOf } from '../errors.ts';
import { noQuery, readQuery, wholeNumber } from '../query.ts';
import { filterOf, listQuery } from '../task-filter.ts';
import type { Waits } from '../waits.ts';

export const BATCH_TASKS_MAX = 1_000;

const read = { config: { access: 'tasks:read' } } as const;
const write = { config: { access: 'tasks:write' } } as const;

interface ById {
  Params: { id: string };
}

export function taskRoutes(app: FastifyInstance, tasks: TaskService, context: ApiContext, waits: Waits): void {
  const bodyLimit = bodyLimits(context.limits);

  // The service checks the request: a schema of the framework would check everything twice.
  app.post('/v1/tasks', { bodyLimit: bodyLimit.single, ...write }, async ({ body, caller }, reply) => {
    const { task, created } = await tasks.submit(required(body), caller);
    reply.code(created ? 201 : 200).header('location', `/v1/tasks/${task.id}`);
    return task;
  });

  const batch = { bodyLimit: bodyLimit.batch, config: { depthMax: BATCH_DEPTH_MAX, ...write.config } };
  app.post('/v1/tasks/batch', batch, async ({ body, caller }) => {
    const results = await tasks.submitMany(batchOf(required(body)), caller);
    return { results: results.map(resultOf) };
  });

  app.get('/v1/tasks', read, async ({ query, caller }) =>
    tasks.list(filterOf(readQuery(query, listQuery), context.runtime.now()), caller),
  );

  app.get<ById>('/v1/tasks/:id', read, async ({ params, query, caller }) => {
    readQuery(query, noQuery);
    return tasks.get(params.id, caller);
  });

  app.get<ById>('/v1/tasks/:id/result', read, async ({ params, query, caller }, reply) => {
    const { waitMs = 0 } = readQuery(query, resultQuery);
    const { ended, task } = await outcome(tasks, params.id, waitMs, { waits, reply, caller });
    reply.code(ended ? 200 : 202);
    return task;
  });

  app.get<ById>('/v1/tasks/:id/history', read, async ({ params, query, caller }) => {
    readQuery(query, noQuery);
    return tasks.history(params.id, caller);
  });

  app.post<ById>('/v1/tasks/:id/cancel', write, async ({ params, body, caller }) => {
    const { reason } = readFields(body, cancelBody, 'the cancel');
    return tasks.cancel(params.id, reason, caller);
  });

  app.post<ById>('/v1/tasks/:id/retry', write, async ({ params, body, caller }) => {
    readFields(body, z.strictObject({}), 'the retry');
    return tasks.retry(params.id, caller);
  });
}

function batchOf(body: unknown): SubmitRequest[] {
  const { tasks } = readFields(body, batchBody, 'the batch');
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

interface Asking {
  waits: Waits;
  reply: FastifyReply;
  caller: Caller;
}

function outcome(tasks: TaskService, id: string, waitMs: number, { waits, reply, caller }: Asking) {
  if (waitMs === 0) return tasks.result(id, 0, undefined, caller);
  return waits.during(reply.raw, (signal) => tasks.result(id, waitMs, signal, caller));
}

/** What the tasks are is left to the service, which answers each on its own. */
export const batchBody = z.strictObject({ tasks: z.array(z.unknown()) });
export const cancelBody = z.strictObject({ reason: z.string().min(1).max(1_000).optional() });
export const resultQuery = z.object({ waitMs: wholeNumber(0, WAIT_MAX_MS).optional() });
