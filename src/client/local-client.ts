import type { Runtime } from '../runtime/runtime.ts';
import type { ClusterService } from '../service/cluster-service.ts';
import type { TaskService } from '../service/task-service.ts';
import { type Client, clientOver } from './client.ts';

export interface LocalClientOptions {
  tasks: TaskService;
  cluster: ClusterService;
  runtime: Runtime;
}

/** The client of a process that runs a coordinator: no network, no copy of its own rules. */
export function localClient({ tasks, cluster, runtime }: LocalClientOptions): Client {
  return clientOver(
    {
      submit: (request) => tasks.submit(request),
      submitMany: (requests) => tasks.submitMany([...requests]),
      task: (id) => tasks.get(id),
      list: (filter) => tasks.list(filter),
      result: async (id, waitMs, signal) => (await tasks.result(id, waitMs, signal)).task,
      cancel: (id, reason) => tasks.cancel(id, reason),
      retry: (id) => tasks.retry(id),
      history: (id) => tasks.history(id),
      workers: () => cluster.workers(),
      instances: () => cluster.instances(),
      queues: () => cluster.queues(),
      agents: () => cluster.agents(),
    },
    runtime,
  );
}
