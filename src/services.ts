import { FleetView } from './fleet/fleet-view.ts';
import type { Ports } from './fleet/ports.ts';
import { AdmitService } from './service/admit-service.ts';
import type { AgentCatalog } from './service/agent-catalog.ts';
import { BulkService } from './service/bulk-service.ts';
import { ClusterService, type WorkerLoad } from './service/cluster-service.ts';
import { EventService } from './service/event-service.ts';
import { FleetService, type FleetServiceOptions } from './service/fleet-service.ts';
import { HistoryService } from './service/history-service.ts';
import { ScheduleService } from './service/schedule-service.ts';
import { SendService } from './service/send-service.ts';
import { TaskService } from './service/task-service.ts';
import type { Waiters } from './service/waiters.ts';
import { WhyService } from './service/why-service.ts';
import { SnapshotService } from './snapshot/snapshot-service.ts';
import type { Durability } from './store/store.ts';
import { VERSION } from './version.ts';

/** What a process serves that runs a coordinator: the doors for faces, command line and library. */
export interface Services {
  tasks: TaskService;
  cluster: ClusterService;
  schedules: ScheduleService;
  events: EventService;
  why: WhyService;
  bulk: BulkService;
  history: HistoryService;
  fleet: FleetService;
  snapshots: SnapshotService;
  send: SendService;
  /** Makes tasks of what workers and distributors pass on. */
  admit: AdmitService;
}

export interface ServicesOptions extends Ports, Pick<FleetServiceOptions, 'id' | 'stepDown' | 'describeStore'> {
  catalog: AgentCatalog;
  waiters: Waiters;
  durability: () => Durability;
  /** Default: those of the store. */
  heartbeats?: FleetLook;
}

type FleetLook = () => Promise<{ now: number; loads: WorkerLoad[] }>;

export function makeServices(options: ServicesOptions): Services {
  const { catalog } = options;
  const view = new FleetView(options);
  const heartbeats: FleetLook = options.heartbeats ?? (() => view.look());
  const tasks = new TaskService(options);
  const cluster = new ClusterService({ ...options, heartbeats });
  return {
    tasks,
    cluster,
    schedules: new ScheduleService({ ...options, tasks, catalog }),
    events: new EventService(options),
    why: new WhyService({ ...options, heartbeats }),
    bulk: new BulkService(options),
    history: new HistoryService(options),
    fleet: new FleetService({ ...options, cluster }),
    snapshots: new SnapshotService({ ...options, version: VERSION }),
    send: new SendService({ tasks, catalog }),
    admit: new AdmitService(options),
  };
}
