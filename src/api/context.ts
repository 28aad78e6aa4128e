import type { Observe } from '../runtime/observer.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { BulkService } from '../service/bulk-service.ts';
import type { ClusterService } from '../service/cluster-service.ts';
import type { EventService } from '../service/event-service.ts';
import type { FleetService } from '../service/fleet-service.ts';
import type { HistoryService } from '../service/history-service.ts';
import type { ScheduleService } from '../service/schedule-service.ts';
import type { Sending } from '../service/send-service.ts';
import type { TaskService } from '../service/task-service.ts';
import type { WhyService } from '../service/why-service.ts';
import type { SnapshotService } from '../snapshot/snapshot-service.ts';
import type { AccessParts } from './auth.ts';
import type { Rate } from './rate-limit.ts';
import type { ServerTls } from './tls.ts';

/** What the HTTP server of a process serves. `app.ts` fills it from the roles that run here. */
export interface ApiContext {
  /** Null on a distributor and on a worker: they serve no tasks. */
  tasks: TaskService | null;
  cluster: ClusterService | null;
  /** The rest of what a coordinator offers; absent where `tasks` is null. */
  services?: CoordinatorServices | null;
  /** Takes messages of programs that know nothing of tasks. */
  send?: Sending | null;
  schedules?: ScheduleService | null;
  health(): HealthView;
  readiness(): Readiness;
  status(): StatusView;
  metrics(): Promise<{ contentType: string; text: string }>;
  /** Null = not asked for. */
  access: AccessParts;
  /** Null = HTTP without TLS. */
  tls?: ServerTls | null;
  /** Requests of one caller; null = no limit. */
  rateLimit?: Rate | null;
  /** Addresses and networks whose word on where a request comes from is taken. */
  trustProxy?: readonly string[];
  limits: { maxPayloadBytes: number };
  runtime: Runtime;
  observe: Observe;
}

export interface CoordinatorServices {
  events: EventService;
  why: WhyService;
  bulk: BulkService;
  history: HistoryService;
  fleet: FleetService;
  snapshots: SnapshotService;
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
