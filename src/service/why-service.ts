import { StoreUnavailableError } from '../errors.ts';
import type { Ports } from '../fleet/ports.ts';
import { verifyTask } from '../fleet/verify-task.ts';
import { laneOf, parseLane } from '../scheduling/lane.ts';
import { meets } from '../scheduling/requirements.ts';
import type { QueueDepth, RegisteredInstance } from '../store/store.ts';
import { shardOf } from '../task/id.ts';
import { isTerminal, type TaskRecord, type TaskState } from '../task/task.ts';
import { type Caller, OPERATOR } from './caller.ts';
import type { WorkerLoad } from './cluster-service.ts';
import { type CapFacts, explain, type Reason, type WaitFacts, type WorkerFacts } from './explain.ts';
import { RecordReader } from './record-reader.ts';

const LANES_MAX = 10_000;
/** Other lanes whose tasks are counted; what stands in more is told as "at least". */
const LANES_COUNTED_MAX = 200;
const CAP_TASKS_SHOWN = 5;

export interface WhyView {
  task: string;
  /** Null while the store is away: nothing is known then. */
  state: TaskState | null;
  reasons: Reason[];
}

export interface WhyServiceOptions extends Omit<Ports, 'observe'> {
  heartbeats: () => Promise<{ now: number; loads: WorkerLoad[] }>;
}

/** Gathers what decides about a task, and says why it stands where it stands. */
export class WhyService {
  readonly #options: WhyServiceOptions;
  readonly #records: RecordReader;

  constructor(options: WhyServiceOptions) {
    this.#options = options;
    this.#records = new RecordReader(options);
  }

  /** @throws NOT_FOUND. A store that is away is an answer here, not an error. */
  async why(id: string, caller: Caller = OPERATOR): Promise<WhyView> {
    try {
      const task = await this.#records.record(id, { input: 'ref' }, caller);
      const facts = isTerminal(task.state) ? NO_FACTS : await this.#facts(task);
      const reasons = explain(task, facts, this.#options.clock.now());
      return { task: id, state: task.state, reasons: caller.tenant === null ? reasons : reasons.map(withoutFleet) };
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      const message = 'the store does not answer: nothing is known of the task, and nothing is done, until it does';
      return { task: id, state: null, reasons: [{ code: 'store_away', message }] };
    }
  }

  async #facts(task: TaskRecord): Promise<WaitFacts> {
    const { store, policy } = this.#options;
    const shard = shardOf(task.id);
    const [owner, { now, loads }, registry] = await Promise.all([
      store.owner(shard),
      this.#options.heartbeats(),
      store.instances(),
    ]);
    const isAlive = ({ seenAt }: RegisteredInstance) => registry.now - seenAt <= policy.instanceTtlMs;
    const distributors = registry.instances.filter((one) => isAlive(one) && distributes(one)).map(({ id }) => id);
    const facts: WaitFacts = {
      ...NO_FACTS,
      owner: owner?.until === null ? null : (owner?.instance ?? null),
      workers: loads.map((load) => workerFacts(load, { now, ttlMs: policy.instanceTtlMs, distributors })),
      distributors: distributors.length,
    };
    return task.state === 'queued' ? { ...facts, ...(await this.#queueFacts(task, shard, facts.workers)) } : facts;
  }

  async #queueFacts(task: TaskRecord, shard: number, workers: readonly WorkerFacts[]) {
    const { store, keys } = this.#options;
    const lane = laneOf(task.spec);
    const [{ queues }, paused] = await Promise.all([store.queues(shard, LANES_MAX), store.paused(shard)]);
    const own = queues.find((queue) => queue.lane === lane);
    const others = competing(queues, task, workers);
    const verdict = verifyTask(task, keys);
    const counted = others.slice(0, LANES_COUNTED_MAX).map((queue) => queue.lane);
    const [rank, cap] = await Promise.all([
      store.place(shard, { lane, id: task.id, others: counted }),
      own?.capped === undefined ? null : this.#cap(shard, own.capped),
    ]);
    const ofOthers = rank?.before.reduce((sum, count) => sum + count, 0) ?? 0;
    return {
      paused: paused.includes(task.spec.agent),
      unknownKey: verdict.verdict === 'unknown_key' ? verdict.detail : null,
      cap,
      place: rank && { inLane: rank.rank, ofOthers, isAll: others.length <= LANES_COUNTED_MAX },
    };
  }

  async #cap(shard: number, cap: string): Promise<CapFacts> {
    const { store } = this.#options;
    const [{ used }, { entries }] = await Promise.all([
      store.caps(shard, LANES_MAX),
      store.range(shard, `cap:${cap}`, Number.MAX_SAFE_INTEGER, CAP_TASKS_SHOWN),
    ]);
    const use = used.find((one) => one.cap === cap);
    const tasks = entries.map(([id]) => id);
    return { cap, used: use?.used ?? tasks.length, limit: use?.limit ?? null, tasks };
  }
}

const NO_FACTS: WaitFacts = {
  owner: null,
  paused: false,
  unknownKey: null,
  workers: [],
  distributors: 0,
  cap: null,
  place: null,
};

/** Open lanes with a better first task, of agents that a worker able to run this one serves too. */
function competing(queues: readonly QueueDepth[], task: TaskRecord, workers: readonly WorkerFacts[]): QueueDepth[] {
  const { agent, require = {} } = task.spec;
  const able = workers.filter(({ agents, state }) => state === 'taking' && agents.includes(agent));
  const agents = new Set([
    agent,
    ...able.filter((worker) => meets(worker, require)).flatMap((worker) => worker.agents),
  ]);
  const score = task.trail.score ?? Number.POSITIVE_INFINITY;
  const own = laneOf(task.spec);
  return queues.filter(
    (queue) =>
      queue.lane !== own &&
      !queue.paused &&
      queue.capped === undefined &&
      queue.score < score &&
      agents.has(agentOf(queue)),
  );
}

function agentOf({ lane }: QueueDepth): string {
  try {
    return parseLane(lane).agent;
  } catch {
    // No code of ours wrote it, and no distributor serves it.
    return '';
  }
}

function workerFacts(
  { heartbeat, at }: WorkerLoad,
  { now, ttlMs, distributors }: { now: number; ttlMs: number; distributors: readonly string[] },
): WorkerFacts {
  const { worker, agents, labels, resources, used, slots, extra, quick, started, unstarted, draining, ready } =
    heartbeat;
  const state = now - at > ttlMs ? 'lost' : draining ? 'draining' : ready ? 'taking' : 'not_ready';
  const { distributor } = heartbeat;
  return {
    worker,
    agents: agents.map(({ name }) => name),
    ...(labels ? { labels } : {}),
    ...(resources ? { resources } : {}),
    ...(used ? { used } : {}),
    slots,
    extra,
    quick,
    held: started.length + unstarted.length,
    state,
    distributor: distributor !== null && distributors.includes(distributor) ? distributor : null,
  };
}

function distributes({ role }: RegisteredInstance): boolean {
  return role === 'distributor' || role === 'all';
}

const OF_THE_FLEET = ['worker', 'workers', 'lost', 'tasks'];

/** Whoever belongs to a tenant learns why its task waits, not who else is there and what they run. */
function withoutFleet({ message, ...reason }: Reason): Reason {
  const kept = Object.entries(reason).filter(([name]) => !OF_THE_FLEET.includes(name));
  const told = kept.length < Object.keys(reason).length ? (PLAINLY[reason.code] ?? message) : message;
  return { ...Object.fromEntries(kept), code: reason.code, message: told } as Reason;
}

const PLAINLY: Partial<Record<Reason['code'], string>> = {
  running_since: 'a worker is running it',
  waiting_for_start: 'a worker was given it and has not started it yet',
  worker_silent: 'its worker is not heard of any more: it is taken from it when the lease has ended',
  no_worker_for_agent: 'no living worker has its agent',
  no_worker_matches: 'no worker with its agent has what it requires',
  no_worker_ready: 'no worker that could run it takes work now',
  all_slots_busy: 'all slots that could run it are taken',
  resources_in_use: 'the workers with a free slot have not enough of the resources it requires left',
};
