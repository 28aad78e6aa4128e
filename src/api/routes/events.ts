import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { EVENT_TYPES, type EventFilter, type EventService } from '../../service/event-service.ts';
import { TASK_STATES } from '../../task/task.ts';
import { one, readQuery, several } from '../query.ts';
import type { EventStreams } from '../sse.ts';

interface ById {
  Params: { id: string };
}

/** Without HEAD: an answer that has no body and never ends would hold its place for nobody. */
const stream = { exposeHeadRoute: false, config: { access: 'tasks:read' } } as const;

export function eventRoutes(app: FastifyInstance, events: EventService, streams: EventStreams): void {
  app.get<ById>('/v1/tasks/:id/events', stream, async (request, reply) => {
    const { after } = readQuery(request.query, taskQuery);
    const last = lastEventId(request);
    await streams.serve(reply, async (signal) => {
      const { over, events: told } = await events.ofTask(request.params.id, {
        after: last ?? after,
        caller: request.caller,
        signal,
      });
      // A browser that comes back after the end would do so again and again.
      return over && last !== undefined ? null : told;
    });
    return reply;
  });

  app.get('/v1/events', stream, async (request, reply) => {
    const { after, types, ...rest } = readQuery(request.query, allQuery);
    const filter: EventFilter = types ? { ...rest, types } : rest;
    const listening = { after: lastEventId(request) ?? after, caller: request.caller };
    await streams.serve(reply, (signal) => events.ofAll(filter, { ...listening, signal }));
    return reply;
  });
}

/** What a client that comes back sends by itself; it counts more than the query, which is the same each time. */
function lastEventId({ headers }: FastifyRequest): string | undefined {
  const id = headers['last-event-id'];
  return typeof id === 'string' && id !== '' ? id : undefined;
}

const CURSOR_LENGTH_MAX = 65_536;
const after = one.max(CURSOR_LENGTH_MAX).optional();

const type = z.enum(EVENT_TYPES, {
  error: ({ input }) => `${JSON.stringify(input)} is no event: wanted ${EVENT_TYPES.join(', ')}`,
});
const state = z.enum(TASK_STATES, {
  error: ({ input }) => `${JSON.stringify(input)} is no state: wanted ${TASK_STATES.join(', ')}`,
});

export const taskQuery = z.object({ after });
export const allQuery = z.object({
  after,
  types: several(EVENT_TYPES.length).pipe(z.array(type)).optional(),
  agent: one.max(128).optional(),
  state: several(TASK_STATES.length).pipe(z.array(state)).optional(),
  tenant: one.max(128).optional(),
  task: one.max(64).optional(),
  correlationId: one.max(256).optional(),
});
