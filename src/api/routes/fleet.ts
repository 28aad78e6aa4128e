import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { ClusterService } from '../../service/cluster-service.ts';
import type { FleetService } from '../../service/fleet-service.ts';
import type { Access } from '../auth.ts';
import { readFields } from '../body.ts';
import { noQuery, readQuery } from '../query.ts';

interface ByAgent {
  Params: { agent: string };
}
interface ById {
  Params: { id: string };
}

/** What the system consists of, as seen from a coordinator. */
export function fleetRoutes(app: FastifyInstance, cluster: ClusterService): void {
  const list = (name: string, read: () => Promise<unknown>, access: Access = 'fleet:read') => {
    app.get(`/v1/${name}`, { config: { access } }, async (request) => {
      readQuery(request.query, noQuery);
      return { [name]: await read() };
    });
  };
  list('workers', () => cluster.workers());
  list('instances', () => cluster.instances());
  list('queues', () => cluster.queues());
  list('agents', () => cluster.agents(), 'tasks:read');
}

const admin = { config: { access: 'admin' } } as const;

/** Closer looks at its parts, and what is done with it as a whole. */
export function fleetControlRoutes(app: FastifyInstance, fleet: FleetService): void {
  app.get<ByAgent>('/v1/agents/:agent', { config: { access: 'tasks:read' } }, async ({ params, query }) => {
    readQuery(query, noQuery);
    return fleet.agent(params.agent);
  });

  app.get('/v1/tools', { config: { access: 'tasks:read' } }, async ({ query }) => {
    readQuery(query, noQuery);
    return { tools: await fleet.tools() };
  });

  app.get<ByAgent>('/v1/queues/:agent', { config: { access: 'fleet:read' } }, async ({ params, query }) => {
    readQuery(query, noQuery);
    return fleet.queue(params.agent);
  });

  for (const action of ['pause', 'resume'] as const) {
    app.post<ByAgent>(`/v1/queues/:agent/${action}`, admin, async ({ params, body }) => {
      readFields(body, noFields, `the ${action}`);
      return fleet[action](params.agent);
    });
  }

  app.post<ById>('/v1/workers/:id/drain', admin, async ({ params, body }, reply) => {
    const { reason } = readFields(body, drainBody, 'the drain');
    reply.code(202);
    return fleet.drain(params.id, reason);
  });

  app.get('/v1/cluster', { config: { access: 'fleet:read' } }, async ({ query }) => {
    readQuery(query, noQuery);
    return fleet.view();
  });

  app.post('/v1/cluster/step-down', admin, async ({ body }) =>
    fleet.stepDown(readFields(body, stepDownBody, 'the step-down') as { shard?: number; force?: boolean }),
  );
}

export const noFields = z.strictObject({});
export const drainBody = z.strictObject({ reason: z.string().min(1).max(1_000).optional() });
export const stepDownBody = z.strictObject({ shard: z.int().min(0).optional(), force: z.boolean().optional() });
