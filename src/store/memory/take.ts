import { heapOf } from '../../scheduling/heap.ts';
import { demandOfLane, isUrgentLane } from '../../scheduling/lane.ts';
import { isActive } from '../../task/task.ts';
import { type LanePlace, type TakenTask, type TakeReply, type TakeRequest, UNITS_MAX, UNKNOWN_MAX } from '../store.ts';
import { agentOfLane } from './lanes.ts';
import type { Reserved } from './reservations.ts';
import type { Shard } from './shard.ts';
import { type Entry, isBefore, type SortedSet } from './sorted-set.ts';

/**
 * Moves the best tasks of the lanes that can be served into a reservation: in the exact order of (score, id) across those
 * lanes. A token that is known already gets what it holds and nothing more, so a take whose answer was lost can be repeated.
 */
export function take(shard: Shard, request: TakeRequest): TakeReply {
  const now = shard.clock.now();
  expireReservations(shard);
  const held = shard.reservations.tasksOf(request.token).filter(({ id }) => stillQueued(shard, id));
  const { taken, next, unknown = [] } = held.length > 0 ? { taken: held } : new Taking(shard, request).run();
  shard.reservations.reserve(request.token, taken, now);
  const back = shard.caps.releaseFreed();
  const more = held.length === 0 && taken.length < request.max && shard.caps.releaseMore();
  if (back || more) shard.wake({ q: '1' });
  const reply: TakeReply = { now, tasks: taken.map((task) => takenTask(shard, task)) };
  if (next) reply.next = next;
  if (unknown.length > 0) reply.unknown = unknown;
  return reply;
}

/** Puts tasks back into their lanes; those that are no longer queued only lose the reservation. Answers how many it held. */
export function giveBack(shard: Shard, token: string, ids?: readonly string[]): number {
  const tasks = ids ?? shard.reservations.tasksOf(token).map((task) => task.id);
  let held = 0;
  let waiting = false;
  for (const id of tasks) {
    if (!shard.reservations.holds(token, id)) continue;
    held += 1;
    const task = shard.reservations.end(id)!;
    leaveCapsUnlessActive(shard, task);
    if (putBack(shard, task)) waiting = true;
  }
  if (shard.caps.releaseFreed() || waiting) shard.wake({ q: '1' });
  return held;
}

export function expireReservations(shard: Shard): number {
  let count = 0;
  for (const token of shard.reservations.expiredTokens(shard.clock.now())) count += giveBack(shard, token);
  return count;
}

/** A task that entered a lane again in the meantime stands there by its newer score. */
function putBack(shard: Shard, { id, lane, score }: Reserved): boolean {
  if (!shard.records.isQueued(id) || shard.lanes.has(lane, id)) return false;
  shard.log?.add(['lane', lane, id, score]);
  return shard.lanes.add(lane, id, score);
}

function stillQueued(shard: Shard, id: string): boolean {
  if (shard.records.isQueued(id)) return true;
  leaveCapsUnlessActive(shard, shard.reservations.end(id)!);
  return false;
}

/** A worker that was given the task by hand meanwhile keeps its places. */
export function leaveCapsUnlessActive(shard: Shard, { id, lane }: Reserved): void {
  const record = shard.records.get(id);
  if (!record || !isActive(record.state)) shard.caps.leave(id, lane);
}

function takenTask(shard: Shard, { id, lane, score }: Reserved): TakenTask {
  return { task: shard.records.read(id, { input: 'ref' })!, lane, score };
}

interface OpenLane {
  name: string;
  agent: string;
  urgent: boolean;
  /** What it requires of a worker; see `TakeRequest.requires`. */
  demand: string | undefined;
  /** Caps that bound it. */
  bounds: string[];
  tasks: SortedSet;
  head: Entry;
}

/** One take: a merge of the lanes it may look at. Every turn takes a task, closes a lane or drops a stale entry, so it ends. */
class Taking {
  readonly #shard: Shard;
  readonly #request: TakeRequest;
  readonly #max: number;
  readonly #taken: Reserved[] = [];
  /** By agent, demand and cap, whose names are never the same. */
  readonly #takenOf = new Map<string, number>();
  readonly #unknown = new Set<string>();
  /** Places of caps when this take began. */
  readonly #rooms = new Map<string, number>();
  #urgent = 0;

  constructor(shard: Shard, request: TakeRequest) {
    this.#shard = shard;
    this.#request = request;
    this.#max = Math.min(request.max, UNITS_MAX);
  }

  run(): { taken: Reserved[]; next?: LanePlace | undefined; unknown: string[] } {
    const { after, lanesMax } = this.#request;
    // One more than may be looked at shows whether there are more.
    const heads = this.#shard.lanes.heads(after ? { member: after.lane, score: after.score } : null, lanesMax + 1);
    const open = this.#openLanes(heads.slice(0, lanesMax));
    this.#merge(open);
    for (const { id, lane } of this.#taken) this.#shard.caps.enter(id, lane);
    for (const lane of open) this.#settle(lane);
    const last = heads.length > lanesMax && this.#taken.length < this.#max ? heads[lanesMax - 1] : undefined;
    const next = last && { lane: last.member, score: last.score };
    return { taken: this.#taken, next, unknown: [...this.#unknown] };
  }

  #openLanes(heads: readonly Entry[]): OpenLane[] {
    const lanes: OpenLane[] = [];
    for (const { member: name } of heads) {
      const tasks = this.#shard.lanes.tasks(name)!;
      const agent = agentOfLane(name);
      const demand = demandOfLane(name);
      const bounds = this.#shard.caps.boundsOf(name);
      const lane = { name, agent, urgent: isUrgentLane(name), demand, bounds, tasks, head: tasks.first()! };
      if (this.#mayServe(lane)) lanes.push(lane);
    }
    return lanes;
  }

  #merge(open: readonly OpenLane[]): void {
    const lanes = heapOf([...open], (a, b) => isBefore(a.head, b.head));
    for (let lane = lanes.peek(); lane && this.#taken.length < this.#max; lane = lanes.peek()) {
      if (this.#mayServe(lane) && this.#hasPlace(lane) && this.#takeFrom(lane)) lanes.settleFirst();
      else lanes.pop();
    }
  }

  #mayServe({ agent, urgent, demand }: OpenLane): boolean {
    if (urgent && this.#urgent >= this.#request.urgentMax) return false;
    const { agents, requires = {} } = this.#request;
    if (!this.#hasRoom(agents, agent)) return false;
    if (demand === undefined || this.#hasRoom(requires, demand)) return true;
    if (!Object.hasOwn(requires, demand) && this.#unknown.size < UNKNOWN_MAX) this.#unknown.add(demand);
    return false;
  }

  #hasRoom(bounds: Record<string, number>, name: string): boolean {
    return Object.hasOwn(bounds, name) && (this.#takenOf.get(name) ?? 0) < bounds[name]!;
  }

  #hasPlace({ bounds }: OpenLane): boolean {
    return bounds.every((cap) => (this.#takenOf.get(cap) ?? 0) < this.#roomOf(cap));
  }

  #roomOf(cap: string): number {
    const room = this.#rooms.get(cap) ?? this.#shard.caps.roomOf(cap);
    this.#rooms.set(cap, room);
    return room;
  }

  /** A lane that has no place left waits at the first cap that is full. */
  #settle({ name, bounds }: OpenLane): void {
    const { caps, lanes } = this.#shard;
    const full = bounds.find((cap) => caps.roomOf(cap) <= 0);
    if (full === undefined) lanes.settle(name);
    else lanes.letWait(name, full);
  }

  /** An entry whose record is gone or no longer queued should not be here, and goes. False: the lane is empty now. */
  #takeFrom(lane: OpenLane): boolean {
    const { member: id, score } = lane.tasks.shift()!;
    if (this.#shard.records.isQueued(id)) {
      this.#taken.push({ id, lane: lane.name, score });
      this.#count(lane.agent);
      if (lane.demand !== undefined) this.#count(lane.demand);
      for (const cap of lane.bounds) this.#count(cap);
      if (lane.urgent) this.#urgent += 1;
    }
    const head = lane.tasks.first();
    if (head) lane.head = head;
    return head !== undefined;
  }

  #count(name: string): void {
    this.#takenOf.set(name, (this.#takenOf.get(name) ?? 0) + 1);
  }
}
