/** Every metric of our own, one row each. Names, labels and meanings are fixed: alert rules and dashboards use them. */
interface Metric {
  kind: 'counter' | 'gauge' | 'histogram';
  help: string;
  labels: readonly string[];
  /** Upper bounds, seconds. */
  buckets?: readonly number[];
}

/** From a hop inside one process to a slow network. */
const HOP_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30];
/** From a no-op to hours of model work. */
const WORK_S = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600];

export const METRICS = {
  agent_messages_total: {
    kind: 'counter',
    help: 'Signed messages, or entries of them, sent and received.',
    labels: ['type', 'direction'],
  },
  agent_messages_rejected_total: {
    kind: 'counter',
    help: 'Messages that failed a check and changed nothing.',
    labels: ['reason'],
  },
  agent_message_latency_seconds: {
    kind: 'histogram',
    help: 'From signing a message to having read it.',
    labels: [],
    buckets: HOP_S,
  },
  agent_failures_total: { kind: 'counter', help: 'Attempts that failed, by error code.', labels: ['reason'] },
  agent_tasks_total: { kind: 'counter', help: 'Tasks that entered a state.', labels: ['agent', 'state'] },
  task_duration_seconds: {
    kind: 'histogram',
    help: 'How long the last attempt of a completed or failed task ran.',
    labels: ['agent'],
    buckets: WORK_S,
  },
  task_queue_wait_seconds: {
    kind: 'histogram',
    help: 'How long an attempt that has ended had waited in its queue before.',
    labels: ['agent'],
    buckets: WORK_S,
  },
  pending_tasks: { kind: 'gauge', help: "Tasks that wait in queues; told by shard 0's owner.", labels: ['agent'] },
  running_tasks: { kind: 'gauge', help: 'Attempts that run in this process.', labels: ['agent'] },
  redis_connected: { kind: 'gauge', help: '1 while Redis answers, else 0; none on the embedded store.', labels: [] },
  redis_connections: { kind: 'gauge', help: 'Connections to Redis.', labels: ['purpose', 'state'] },
  redis_reconnects_total: { kind: 'counter', help: 'Connections to Redis that were lost and made again.', labels: [] },
  redis_command_seconds: {
    kind: 'histogram',
    help: 'From sending a command to Redis to its reply; blocking reads are left out.',
    labels: [],
    buckets: HOP_S,
  },
  agent_state_conflicts_total: {
    kind: 'counter',
    help: 'Commits that found their record changed and were decided again.',
    labels: [],
  },
  agent_retries_total: { kind: 'counter', help: 'Tasks that were given another attempt.', labels: [] },
  agent_leases_expired_total: { kind: 'counter', help: 'Leases of workers that ran out.', labels: [] },
  agent_leader: { kind: 'gauge', help: '1 while this process owns a shard, else 0.', labels: [] },
  agent_workers: { kind: 'gauge', help: "Workers by state; told by shard 0's owner.", labels: ['state'] },
  worker_slots: { kind: 'gauge', help: 'Slots of the workers in this process.', labels: ['state'] },
} as const satisfies Record<string, Metric>;

type Table = typeof METRICS;
export type MetricName = keyof Table;
type NameOf<Kind extends Metric['kind']> = { [N in MetricName]: Table[N]['kind'] extends Kind ? N : never }[MetricName];
export type CounterName = NameOf<'counter'>;
export type GaugeName = NameOf<'gauge'>;
export type HistogramName = NameOf<'histogram'>;
export type LabelsOf<N extends MetricName> = Record<Table[N]['labels'][number], string>;
