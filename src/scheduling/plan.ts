/**
 * What a distributor asks the store for, and the rule which that serves.
 *
 * `planTake` is production: bounds for one atomic take, computed from the free credit of the distributor's workers. What
 * was taken is placed by `placeTasks`, and what then fits nowhere (two agents may count on the same slot) is given back.
 * `planAssignments` is the rule itself, over lanes in memory: the best task of all lanes goes to the least loaded worker
 * that may run it, again and again, until nothing more fits. Taking and placing in rounds ends at the same plan.
 */
import { heapOf } from './heap.ts';
import { parseDemand, parseLane } from './lane.ts';
import { comparePlaces, type Place } from './order.ts';
import {
  freeCredit,
  kindOf,
  mayRun,
  mayRunKind,
  type PlaceableTask,
  placer,
  roomFor,
  type TaskKind,
  type WorkerCapacity,
} from './placement.ts';

/** While tasks of priority 10 wait, this share of the slots, rounded down, stays with the others. */
export const OTHERS_SHARE = 0.1;

export interface TakePlan {
  /** Tasks in all: the free slots, and what may be sent ahead to quick agents. 0 = nothing to ask for. */
  max: number;
  /** Tasks of priority 10 among them. */
  urgentMax: number;
  /** Free credit at the workers able to run each agent; agents without any are left out. */
  agents: Record<string, number>;
  /** For every demand asked about, the room at the workers that meet it; 0 = none now. */
  requires: Record<string, number>;
}

/** @param demands that were met in lanes, each `agent|r=requirements`, with what they ask for */
export function planTake(workers: readonly WorkerCapacity[], demands: Iterable<[string, TaskKind]> = []): TakePlan {
  let max = 0;
  const agents = new Map<string, number>();
  for (const worker of workers) {
    let most = 0;
    for (const agent of worker.agents) {
      const free = freeCredit(worker, agent);
      if (free === 0) continue;
      agents.set(agent, (agents.get(agent) ?? 0) + free);
      most = Math.max(most, free);
    }
    max += most;
  }
  return {
    max,
    urgentMax: Math.min(max, urgentRoom(workers)),
    agents: Object.fromEntries(agents),
    requires: roomByDemand(workers, demands),
  };
}

/** What to remember of a demand; one that cannot be read is met by nobody. */
export function kindOfDemand(demand: string): TaskKind {
  const parsed = parseDemand(demand);
  return parsed ? kindOf(parsed) : { agent: '', requires: null };
}

function roomByDemand(workers: readonly WorkerCapacity[], demands: Iterable<[string, TaskKind]>) {
  const requires: Record<string, number> = {};
  const asked = [...demands];
  if (asked.length === 0) return requires;
  const byId = new Map(workers.map((worker) => [worker.worker, worker]));
  for (const [demand, kind] of asked) {
    // Pins can be as many as workers: each looks at its own one only.
    const pin = kind.requires?.worker;
    const pinned = pin === undefined ? undefined : byId.get(pin);
    const able = pin === undefined ? workers : pinned ? [pinned] : [];
    let room = 0;
    for (const worker of able) if (mayRunKind(worker, kind)) room += roomFor(worker, kind);
    requires[demand] = room;
  }
  return requires;
}

/** How many more tasks of priority 10 may be given out before they touch the share of the others. */
export function urgentRoom(workers: readonly WorkerCapacity[]): number {
  let slots = 0;
  let urgent = 0;
  for (const worker of workers) {
    slots += worker.slots;
    urgent += worker.urgent ?? 0;
  }
  return Math.max(0, slots - Math.floor(slots * OTHERS_SHARE) - urgent);
}

/** Why nothing more of a lane was assigned. `no_worker`: none may run it. `no_room`: all that may are full. */
export type LaneBlock = 'paused' | 'no_worker' | 'no_room' | 'urgent_share';

export interface AssignmentPlan<T, W> {
  /** In the order of the tasks' scores. */
  assignments: { task: T; worker: W }[];
  /** Lanes with tasks left over. */
  blocked: { lane: string; reason: LaneBlock }[];
}

/**
 * @param state.lanes waiting tasks by lane name (see `laneOf`), each list in the order of `comparePlaces`
 * @param state.paused agents whose queues are paused
 * @param state.now store time
 */
export function planAssignments<T extends Place, W extends WorkerCapacity>(state: {
  lanes: ReadonlyMap<string, readonly T[]>;
  paused: ReadonlySet<string>;
  workers: readonly W[];
  now: number;
}): AssignmentPlan<T, W> {
  const plan: AssignmentPlan<T, W> = { assignments: [], blocked: [] };
  const heads = heapOf(openLanes(state, plan), headFirst);
  const place = placer(state.workers, state.now);
  let urgentLeft = urgentRoom(state.workers);
  // Each turn assigns a task or closes a lane for good, for within a plan room only shrinks and all tasks of a lane need
  // the same; so the turns are bounded by the credit of the workers and the number of lanes.
  for (let lane = heads.peek(); lane; lane = heads.peek()) {
    const outOfShare = lane.urgent && urgentLeft === 0;
    const worker = outOfShare ? null : place(lane.task);
    if (worker) {
      plan.assignments.push({ task: lane.head, worker });
      if (lane.urgent) urgentLeft -= 1;
    } else plan.blocked.push({ lane: lane.name, reason: outOfShare ? 'urgent_share' : 'no_room' });
    if (worker && advance(lane)) heads.settleFirst();
    else heads.pop();
  }
  return plan;
}

/** The lanes with tasks that could be served; those that could not, whatever room there is, go to `plan.blocked`. */
function openLanes<T>(
  state: {
    lanes: ReadonlyMap<string, readonly T[]>;
    paused: ReadonlySet<string>;
    workers: readonly WorkerCapacity[];
  },
  plan: { blocked: { lane: string; reason: LaneBlock }[] },
): OpenLane<T>[] {
  const open: OpenLane<T>[] = [];
  for (const [name, tasks] of state.lanes) {
    const lane = openLane(name, tasks);
    if (!lane) continue;
    const reason = whyClosed(lane, state);
    if (reason) plan.blocked.push({ lane: name, reason });
    else open.push(lane);
  }
  return open;
}

interface OpenLane<T> {
  name: string;
  urgent: boolean;
  /** What placement needs to know of any task of the lane. */
  task: PlaceableTask;
  tasks: readonly T[];
  next: number;
  head: T;
}

function openLane<T>(name: string, tasks: readonly T[]): OpenLane<T> | null {
  const head = tasks[0];
  if (head === undefined) return null;
  const { agent, requirements, urgent } = parseLane(name);
  return { name, urgent, task: { agent, requirements }, tasks, next: 1, head };
}

function whyClosed(
  lane: OpenLane<unknown>,
  state: { paused: ReadonlySet<string>; workers: readonly WorkerCapacity[] },
): LaneBlock | null {
  if (state.paused.has(lane.task.agent)) return 'paused';
  return state.workers.some((worker) => mayRun(worker, lane.task)) ? null : 'no_worker';
}

function headFirst<T extends Place>(a: OpenLane<T>, b: OpenLane<T>): boolean {
  return comparePlaces(a.head, b.head) < 0;
}

function advance<T>(lane: OpenLane<T>): boolean {
  const head = lane.tasks[lane.next];
  if (head === undefined) return false;
  lane.head = head;
  lane.next += 1;
  return true;
}
