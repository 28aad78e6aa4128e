import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { ScheduleService } from '../../service/schedule-service.ts';
import { required } from '../body.ts';
import { noQuery, one, readQuery } from '../query.ts';

interface ById {
  Params: { id: string };
}

/** For an operator, where several tenants have a schedule of one name. */
const tenantQuery = z.object({ tenant: one.max(128).optional() });

const read = { config: { access: 'tasks:read' } } as const;
const write = { config: { access: 'tasks:write' } } as const;

/** Schedules belong to a tenant like tasks: whoever may submit its tasks may have them submitted. */
export function scheduleRoutes(app: FastifyInstance, schedules: ScheduleService): void {
  app.get('/v1/schedules', read, async ({ query, caller }) => {
    readQuery(query, noQuery);
    return { schedules: await schedules.list(caller) };
  });

  app.post('/v1/schedules', write, async ({ body, caller }, reply) => {
    const schedule = await schedules.create(required(body), caller);
    reply.code(201).header('location', `/v1/schedules/${schedule.id}`);
    return schedule;
  });

  app.get<ById>('/v1/schedules/:id', read, async ({ params, query, caller }) =>
    schedules.get(params.id, caller, readQuery(query, tenantQuery).tenant),
  );

  app.put<ById>('/v1/schedules/:id', write, async ({ params, body, caller }, reply) => {
    const { schedule, created } = await schedules.put(params.id, required(body), caller);
    reply.code(created ? 201 : 200);
    return schedule;
  });

  app.delete<ById>('/v1/schedules/:id', write, async ({ params, query, caller }, reply) => {
    await schedules.remove(params.id, caller, readQuery(query, tenantQuery).tenant);
    reply.code(204);
  });

  for (const action of ['pause', 'resume'] as const) {
    app.post<ById>(`/v1/schedules/:id/${action}`, write, async ({ params, query, caller }) =>
      schedules[action](params.id, caller, readQuery(query, tenantQuery).tenant),
    );
  }

  app.post<ById>('/v1/schedules/:id/trigger', write, async ({ params, query, caller }, reply) => {
    const task = await schedules.trigger(params.id, caller, readQuery(query, tenantQuery).tenant);
    reply.code(201).header('location', `/v1/tasks/${task.id}`);
    return task;
  });
}
