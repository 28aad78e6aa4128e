import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { AgentSystemError } from '../../errors.ts';
import { BULK_IDS_MAX, BULK_LIMIT_MAX, type BulkRequest, type BulkService } from '../../service/bulk-service.ts';
import type { TaskService } from '../../service/task-service.ts';
import { readFields, required } from '../body.ts';
import type { ApiContext } from '../context.ts';
import { readQuery } from '../query.ts';
import { cursor, filterBody, filterOf, statelessQuery } from '../task-filter.ts';

const read = { config: { access: 'tasks:read' } } as const;
const write = { config: { access: 'tasks:write' } } as const;

/** Many tasks at once, and the failed ones, which wait here for somebody to look at them. */
export function bulkRoutes(app: FastifyInstance, bulk: BulkService, tasks: TaskService, { runtime }: ApiContext): void {
  app.post('/v1/tasks/cancel', write, async ({ body, caller }) => {
    const { reason, ...request } = readFields(required(body), bulkCancelBody, 'the cancel');
    const bulkRequest = bulkOf(request, runtime.now());
    return bulk.cancel(reason === undefined ? bulkRequest : { ...bulkRequest, reason }, caller);
  });

  app.post('/v1/tasks/retry', write, async ({ body, caller }) =>
    bulk.retry(bulkOf(readFields(required(body), bulkBody, 'the retry'), runtime.now()), caller),
  );

  app.get('/v1/deadletters', read, async ({ query, caller }) => {
    const filter = filterOf(readQuery(query, statelessQuery), runtime.now());
    const { tasks: deadletters, nextCursor } = await tasks.list({ ...filter, state: ['failed'] }, caller);
    return { deadletters, nextCursor };
  });

  app.post('/v1/deadletters/retry', write, async ({ body, caller }) =>
    bulk.retry(ofFailed(bulkOf(readFields(required(body), bulkBody, 'the retry'), runtime.now())), caller),
  );

  app.post('/v1/deadletters/drop', write, async ({ body, caller }) =>
    bulk.drop(ofFailed(bulkOf(readFields(required(body), bulkBody, 'the drop'), runtime.now())), caller),
  );
}

const fields = {
  ids: z.array(z.string().min(1).max(64)).min(1).max(BULK_IDS_MAX).optional(),
  filter: filterBody.optional(),
  all: z.boolean().optional(),
  dryRun: z.boolean().optional(),
  limit: z.int().min(1).max(BULK_LIMIT_MAX).optional(),
  cursor: cursor.optional(),
};
export const bulkBody = z.strictObject(fields);
export const bulkCancelBody = z.strictObject({ ...fields, reason: z.string().min(1).max(1_000).optional() });

function bulkOf({ filter, ...request }: z.output<typeof bulkBody>, now: number): BulkRequest {
  if (request.ids && (filter || request.all)) throw bothNamed();
  return { ...request, ...(filter ? { filter: filterOf(filter, now) } : {}) } as BulkRequest;
}

function bothNamed(): AgentSystemError {
  const problem = 'excludes filter and all: give one of them';
  return new AgentSystemError('BAD_REQUEST', `the body is refused: ids: ${problem}`, {
    details: { fields: [{ field: 'ids', problem }] },
  });
}

/** A filter by another state finds nothing here. Without one both wishes mean failed tasks anyway. */
function ofFailed(request: BulkRequest): BulkRequest {
  const { state } = request.filter ?? {};
  if (!state) return request;
  return { ...request, filter: { ...request.filter, state: state.filter((one) => one === 'failed') } };
}
