import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { HistoryService } from '../../service/history-service.ts';
import type { WhyService } from '../../service/why-service.ts';
import { noQuery, readQuery } from '../query.ts';
import { cursor } from '../task-filter.ts';

const read = { config: { access: 'tasks:read' } } as const;

/** Why a task stands where it stands, and how the tasks of one correlation came about. */
export function whyRoutes(app: FastifyInstance, why: WhyService, history: HistoryService): void {
  app.get<{ Params: { id: string } }>('/v1/tasks/:id/why', read, async ({ params, query, caller }) => {
    readQuery(query, noQuery);
    return why.why(params.id, caller);
  });

  app.get('/v1/history', read, async ({ query, caller }) => {
    const { correlationId, cursor } = readQuery(query, historyQuery);
    return history.ofCorrelation(correlationId, cursor === undefined ? {} : { cursor }, caller);
  });
}

export const historyQuery = z.object({
  correlationId: z
    .string({ error: 'is not given, or more than once: wanted the correlation id, once' })
    .min(1, { error: 'is empty' })
    .max(256),
  cursor: cursor.optional(),
});
