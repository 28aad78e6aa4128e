import type { Observe } from '../runtime/observer.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { ClusterService } from '../service/cluster-service.ts';
import type { TaskService } from '../service/task-service.ts';

/** What the HTTP server of a process serves. `app.ts` fills it from the roles that run here. */
export interface ApiContext {
  /** Null on a distributor and on a worker: they serve no tasks. */
  tasks: TaskService | null;
  cluster: ClusterService | null;
  health(): HealthView;
  readiness(): Readiness;
  status(): StatusView;
  metrics(): Promise<{ contentType: string; text: string }>;
  /** Null = not asked for. */
  access: { apiKey: string | null; metricsToken: string | null };
  limits: { maxPayloadBytes: number };
  runtime: Runtime;
  observe: Observe;
}

/** `GET /health`. Names and meanings are fixed: probes and dashboards read them. */
export interface HealthView {
  /** `unhealthy` only when this process itself cannot make progress; a store that is away is `degraded`. */
  status: 'healthy' | 'degraded' | 'unhealthy';
  agent_id: string;
  instance_id: string;
  agent: string;
  role: string;
  agent_status: 'starting' | 'ready' | 'busy' | 'draining';
  /** Seconds since the start. */
  uptime: number;
  /** Null on the embedded store. */
  redis_connected: boolean | null;
  /** Owns at least one shard. */
  is_leader: boolean;
  is_running: boolean;
  version: string;
  /** The level that the store reaches: `memory`, `local` or `replicated`. */
  durability?: string;
  /** Why it is not `healthy`, in sentences for people. */
  reasons?: string[];
  [more: string]: unknown;
}

export interface Readiness {
  ready: boolean;
  /** Why not, in sentences for people; empty when ready. */
  reasons: string[];
}

/** `GET /status`. */
export interface StatusView {
  agent: string;
  role: string;
  status: string;
  mode: string;
  [more: string]: unknown;
}
