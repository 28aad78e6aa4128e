import type { HealthView, Readiness, StatusView } from './api/context.ts';
import type { Config } from './config/load.ts';
import type { GateState } from './fleet/store-gate.ts';
import type { Roles } from './roles.ts';
import type { StoreCheck } from './store/store.ts';

/** All that decides what probes are told. */
export interface ProcessState {
  config: Config;
  version: string;
  phase: 'starting' | 'running' | 'draining';
  uptimeMs: number;
  /** Null on the embedded store, but false while its journal cannot be written. */
  connected: boolean | null;
  gate: GateState;
  /** Null until the store has been checked. */
  check: StoreCheck | null;
  roles: Roles | null;
}

export function healthOf(state: ProcessState): HealthView {
  const { config, version, roles, check, connected } = state;
  const reasons = [...storeReasons(state), ...(check?.warnings ?? [])];
  return {
    // A store that is away or foreign is not this process's fault: restarting it would help nobody.
    status: reasons.length > 0 ? 'degraded' : 'healthy',
    agent_id: config.id,
    instance_id: config.id,
    agent: config.role,
    role: config.role,
    agent_status: agentStatus(state),
    uptime: Math.round(state.uptimeMs / 1_000),
    redis_connected: config.redis === null ? null : connected,
    is_leader: roles?.coordinator?.isLeader ?? false,
    is_running: state.phase === 'running',
    version,
    durability: check?.durability ?? 'memory',
    reasons,
  };
}

export function readinessOf(state: ProcessState): Readiness {
  const reasons = storeReasons(state);
  if (state.phase === 'starting' && reasons.length === 0) reasons.push('the roles are still starting');
  if (state.phase === 'draining') reasons.push('draining');
  if (state.phase === 'running' && reasons.length === 0) reasons.push(...(state.roles?.problems() ?? []));
  return { ready: reasons.length === 0, reasons };
}

export function statusOf(state: ProcessState): StatusView {
  const { config, roles } = state;
  return {
    agent: config.id,
    role: config.role,
    status: agentStatus(state),
    mode: config.redis === null ? 'monolith' : config.role === 'all' ? 'monolith' : 'distributed',
    store: state.check?.description ?? null,
    shards: roles?.coordinator?.owned() ?? [],
    workers: roles?.workers.map((worker) => worker.stats()) ?? [],
  };
}

function agentStatus({ phase, roles }: ProcessState): HealthView['agent_status'] {
  if (phase !== 'running') return phase;
  const stats = roles?.workers.map((worker) => worker.stats()) ?? [];
  const busy = stats.length > 0 && stats.every(({ running, slots }) => running >= slots);
  return busy ? 'busy' : 'ready';
}

/** A list of its own: callers add to it. */
function storeReasons({ config, gate, connected, check }: ProcessState): string[] {
  if (connected === false) {
    const what = config.redis ? 'Redis is away' : 'the journal in DATA_DIR cannot be written';
    return [`${what}: it is being tried again`];
  }
  if (check === null) return ['the store has not been checked yet'];
  return gate.open ? [...check.problems] : [gate.reason];
}
