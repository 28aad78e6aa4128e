/*
 * One simulated life of a deployment, decided by its seed alone. First everything goes wrong and nothing forbidden may
 * happen (safety). Then all faults end and everything must come to its end in bounded time (liveness). At last the
 * store is looked through for what should not be there any more. After TigerBeetle's VOPR (`src/vopr.zig`).
 */
import { createVirtualRuntime, type VirtualRuntime } from '../../src/runtime/virtual-runtime.ts';
import { limitsOf } from '../../src/scheduling/caps.ts';
import { createMemoryStore } from '../../src/store/memory/memory-store.ts';
import type { Store } from '../../src/store/store.ts';
import { DEFAULT_POLICY, type SystemPolicy } from '../../src/task/policy.ts';
import { isTerminal } from '../../src/task/task.ts';
import { Chance } from './chance.ts';
import { Chaos } from './chaos.ts';
import { Clients, type PlannedTask } from './clients.ts';
import { Cluster } from './cluster.ts';
import { inspectStore } from './inspect-store.ts';
import { Ledger, type Rule } from './ledger.ts';
import type { RoleName } from './members.ts';
import { NARROW } from './sim-agents.ts';
import { SimServer } from './sim-server.ts';
import { climateOf, Weather } from './weather.ts';
import { addRequirements, enlargePayloads, planCapped, planWorkload } from './workload.ts';

const SETTLE_MS = 3_000;
const LIVENESS_MS_MAX = 240_000;
const STEP_MS = 500;
/** After the last end: releases come back, mailboxes are trimmed, the dead are retired. */
const TIDY_MS = 25_000;
const STOP_MS_MAX = 8_000;

export interface SimReport {
  seed: number;
  trace: string;
  violations: { rule: Rule; what: string }[];
  /** For people. */
  facts: Record<string, unknown>;
}

export async function simulate(seed: number): Promise<SimReport> {
  const world = createVirtualRuntime(seed);
  const chance = new Chance(seed, 'plan');
  const caps = new Chance(seed, 'caps');
  const policy = { ...aPolicy(chance), tenantConcurrency: caps.pick([null, null, 4]) };
  const store = createMemoryStore({ runtime: world, shards: policy.shards });
  const ledger = new Ledger(() => world.now());
  ledger.capLimits = new Map(
    Object.entries(limitsOf([{ name: 'narrow', concurrency: NARROW }], policy.tenantConcurrency)),
  );
  const weather = new Weather(world, new Chance(seed, 'weather'), climateOf(chance));
  const server = new SimServer(store, weather, ledger, () => world.now());
  const cluster = new Cluster({ world, server, weather, ledger, policy, chance: new Chance(seed, 'cluster') });
  const clients = new Clients(world, new Chance(seed, 'clients'), ledger, () => cluster.members('coordinator'));
  const chaos = new Chaos({
    world,
    chance: new Chance(seed, 'chaos'),
    cluster,
    weather,
    server,
    store,
    ledger,
    policy,
  });
  const demands = new Chance(seed, 'demands');
  const payloads = new Chance(seed, 'payloads');
  const run = new Run({
    world,
    chance,
    demands,
    payloads,
    caps,
    policy,
    store,
    ledger,
    weather,
    server,
    cluster,
    clients,
    chaos,
  });
  const beganAt = world.now();
  await run.safety();
  await run.liveness();
  if (ledger.violations.length === 0) await run.quiet();
  await run.stop();
  const states: Record<string, number> = {};
  for (const { state } of ledger.tasks.values()) states[state] = (states[state] ?? 0) + 1;
  const { accepted, answered, cancelled } = clients;
  const facts = {
    virtualMs: world.now() - beganAt,
    livenessMs: run.livenessMs,
    calls: server.calls,
    harmed: server.harmed,
    runs: ledger.runs,
    states,
    accepted,
    answered,
    cancelled,
    shards: policy.shards,
    climate: run.climate,
    chaos: chaos.counts,
    seen: ledger.seen,
  };
  return { seed, trace: server.trace, violations: ledger.violations, facts };
}

/** Short times, so that everything that takes its time happens within a minute. */
function aPolicy(chance: Chance): SystemPolicy {
  return {
    ...DEFAULT_POLICY,
    deployment: 'simulated',
    shards: chance.happens(0.7) ? 1 : 2,
    priorityAgeing: chance.pick([60_000, 1_000, 'off'] as const),
    stuckTaskTimeoutMs: 20_000,
    timeoutGraceMs: 800,
    heartbeatIntervalMs: 1_000,
    instanceTtlMs: 3_000,
    leaderTtlMs: 1_500,
    cleanupIntervalMs: 5_000,
    readyProgressWithinMs: 5_000,
  };
}

interface Parts {
  world: VirtualRuntime;
  chance: Chance;
  /** Draws what tasks require. */
  demands: Chance;
  /** Draws which payloads are large. */
  payloads: Chance;
  /** Draws what has to do with caps. */
  caps: Chance;
  policy: SystemPolicy;
  store: Store;
  ledger: Ledger;
  weather: Weather;
  server: SimServer;
  cluster: Cluster;
  clients: Clients;
  chaos: Chaos;
}

class Run {
  readonly #parts: Parts;
  readonly climate: unknown;
  livenessMs = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.climate = parts.weather.climate;
  }

  async safety(): Promise<void> {
    const { world, chance, cluster, clients, chaos, store, policy } = this.#parts;
    await store.claimIdentity({ uuid: 'simulated', schema: 1, shards: policy.shards });
    const lastMs = chance.between(15_000, 40_000);
    this.#startSeats('coordinator', chance.between(1, 3));
    this.#startSeats('distributor', chance.between(1, 2));
    this.#startSeats('worker', chance.between(2, 4));
    await world.advance(SETTLE_MS);
    const planned = planWorkload(chance, Math.floor(lastMs * 0.8));
    addRequirements(planned, this.#parts.demands);
    enlargePayloads(planned, this.#parts.payloads);
    planned.push(...planCapped(this.#parts.caps, Math.floor(lastMs * 0.8)));
    clients.plan(planned);
    chaos.start();
    await world.advance(lastMs);
    chaos.stop();
    for (const { options } of cluster.members()) options.process.resume();
  }

  async liveness(): Promise<void> {
    const { cluster, weather, clients, ledger } = this.#parts;
    weather.becomeCalm();
    for (const { options } of cluster.members()) options.process.resume();
    for (const role of ['coordinator', 'distributor', 'worker'] as const) {
      if (cluster.members(role).length === 0) this.#startSeats(role, 1);
    }
    this.livenessMs = await this.#untilAllEnded();
    if (clients.waiting.size > 0) ledger.violate('clients-get-their-answer', list([...clients.waiting.values()]));
    const open = [...ledger.tasks.values()].filter(({ state }) => !isTerminal(state));
    const described = open.map((task) => `${task.id} ${task.state} v${task.version} ${JSON.stringify(task.trail)}`);
    if (open.length > 0) ledger.violate('everything-ends', list(described));
    for (const id of ledger.forged) {
      const { error } = ledger.tasks.get(id)!.trail;
      // Forged with limits of its own, it may have expired before anyone looked at its seal.
      if (error?.code !== 'rejected' && error?.code !== 'expired')
        ledger.violate('a-forged-task-never-runs', `${id}: ${JSON.stringify(error)}`);
    }
  }

  /** A deployment at rest: what it leaves behind, and whether the best goes first. */
  async quiet(): Promise<void> {
    const { world, store, policy, ledger, server, cluster } = this.#parts;
    await world.advance(TIDY_MS);
    ledger.account();
    await inspectStore({ store, ledger, policy, server, living: cluster.members('worker') });
    if (policy.shards === 1) await this.#bestFirst();
  }

  /** Tasks wait behind a paused queue: their index entries stand, and once it is resumed they go in order of score. */
  async #bestFirst(): Promise<void> {
    const { world, chance, store, clients, server, ledger, policy, cluster } = this.#parts;
    await store.setPaused(0, 'nap', true);
    const waiting = Array.from({ length: 30 }, (): PlannedTask => {
      return {
        atMs: chance.between(0, 2_000),
        request: { agent: 'nap', input: { ms: 20 }, priority: chance.between(0, 10) },
      };
    });
    clients.plan(waiting);
    const delayed: PlannedTask = { atMs: 0, request: { agent: 'echo', input: { text: 'x' }, delayMs: 60_000 } };
    clients.plan([delayed, { atMs: 0, request: { agent: 'deaf', input: { ms: 9_000 } } }]);
    await world.advance(6_000);
    await inspectStore({ store, ledger, policy, server, living: cluster.members('worker') });
    server.takes = [];
    await store.setPaused(0, 'nap', false);
    await world.advance(10_000);
    const { takes } = server;
    server.takes = null;
    // From ten slots on, some stay with the others while the urgent wait: then each band is in order for itself.
    const slots = cluster.members('worker').reduce((sum, { options }) => sum + options.slots, 0);
    const bands =
      slots < 10 ? [takes] : [takes.filter(({ score }) => score < 0), takes.filter(({ score }) => score >= 0)];
    if (takes.length < 30 || !bands.every(isInOrder)) {
      const orderly = takes.map(({ id, score }) => `${id} ${score} p${ledger.tasks.get(id)?.spec.priority}`);
      ledger.violate('best-first', orderly.join(', '));
    }
    await this.#untilAllEnded();
    if (clients.waiting.size > 0) ledger.violate('clients-get-their-answer', list([...clients.waiting.values()]));
  }

  async stop(): Promise<void> {
    const { world, cluster, ledger } = this.#parts;
    const members = cluster.members();
    const late: string[] = [];
    for (const member of members) {
      void cluster.stop(member, STOP_MS_MAX).then((inTime) => inTime || late.push(member.options.process.name));
    }
    await world.advance(STOP_MS_MAX + 1_000);
    if (late.length > 0) ledger.violate('roles-stop-when-told', late.join(', '));
  }

  #startSeats(role: RoleName, count: number): void {
    const { cluster } = this.#parts;
    for (let i = 0; i < count; i++) cluster.start(cluster.newSeat(role));
  }

  /** Answers how long it took. */
  async #untilAllEnded(): Promise<number> {
    const { world, clients, ledger } = this.#parts;
    const ended = () =>
      clients.waiting.size === 0 && [...ledger.tasks.values()].every(({ state }) => isTerminal(state));
    const calmSince = world.now();
    let ms = 0;
    for (; ms < LIVENESS_MS_MAX && !ended(); ms += STEP_MS) {
      await world.advance(STEP_MS);
      ledger.lookForOverstayers(calmSince);
      this.#keepOneOfEach();
    }
    return ms;
  }

  /** A process may still end itself (its id was taken over); a supervisor starts it anew. */
  #keepOneOfEach(): void {
    const { cluster } = this.#parts;
    for (const role of ['coordinator', 'distributor', 'worker'] as const) {
      if (cluster.members(role).length === 0) this.#startSeats(role, 1);
    }
  }
}

function isInOrder(takes: { id: string; score: number }[]): boolean {
  const sorted = [...takes].sort((a, b) => a.score - b.score || (a.id < b.id ? -1 : 1));
  return takes.every(({ id }, i) => sorted[i]!.id === id);
}

function list(found: string[]): string {
  const more = found.length > 5 ? ` and ${found.length - 5} more` : '';
  return `${found.slice(0, 5).join('; ')}${more}`;
}
