import type { FastifyInstance } from 'fastify';
import type { ClusterService } from '../../service/cluster-service.ts';
import { noQuery, readQuery } from '../query.ts';

/** What the system consists of, as seen from a coordinator. */
export function fleetRoutes(app: FastifyInstance, cluster: ClusterService): void {
  const list = (name: string, read: () => Promise<unknown>) => {
    app.get(`/v1/${name}`, async (request) => {
      readQuery(request.query, noQuery);
      return { [name]: await read() };
    });
  };
  list('workers', () => cluster.workers());
  list('instances', () => cluster.instances());
  list('queues', () => cluster.queues());
  list('agents', () => cluster.agents());
}
