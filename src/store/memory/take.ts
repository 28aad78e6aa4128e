import { heapOf } from '../../scheduling/heap.ts';
import { isUrgentLane } from '../../scheduling/lane.ts';
import { type LanePlace, type TakenTask, type TakeReply, type TakeRequest, UNITS_MAX } from '../store.ts';
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
  const { taken, next } = held.length > 0 ? { taken: held } : new Taking(shard, request).run();
  shard.reservations.reserve(request.token, taken, now);
  const reply: TakeReply = { now, tasks: taken.map((task) => takenTask(shard, task)) };
  if (next) reply.next = next;
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
    if (putBack(shard, shard.reservations.end(id)!)) waiting = true;
  }
  if (waiting) shard.wake({ q: '1' });
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
  return shard.lanes.add(lane, id, score);
}

function stillQueued(shard: Shard, id: string): boolean {
  if (shard.records.isQueued(id)) return true;
  shard.reservations.end(id);
  return false;
}

function takenTask(shard: Shard, { id, lane, score }: Reserved): TakenTask {
  return { task: shard.records.read(id, { input: true })!, lane, score };
}

interface OpenLane {
  name: string;
  agent: string;
  urgent: boolean;
  tasks: SortedSet;
  head: Entry;
}

/** One take: a merge of the lanes it may look at. Every turn takes a task, closes a lane or drops a stale entry, so it ends. */
class Taking {
  readonly #shard: Shard;
  readonly #request: TakeRequest;
  readonly #max: number;
  readonly #taken: Reserved[] = [];
  readonly #takenOf = new Map<string, number>();
  #urgent = 0;

  constructor(shard: Shard, request: TakeRequest) {
    this.#shard = shard;
    this.#request = request;
    this.#max = Math.min(request.max, UNITS_MAX);
  }

  run(): { taken: Reserved[]; next?: LanePlace | undefined } {
    const { after, lanesMax } = this.#request;
    // One more than may be looked at shows whether there are more.
    const heads = this.#shard.lanes.heads(after ? { member: after.lane, score: after.score } : null, lanesMax + 1);
    const open = this.#openLanes(heads.slice(0, lanesMax));
    this.#merge(open);
    for (const { name } of open) this.#shard.lanes.settle(name);
    const last = heads.length > lanesMax && this.#taken.length < this.#max ? heads[lanesMax - 1] : undefined;
    return { taken: this.#taken, next: last && { lane: last.member, score: last.score } };
  }

  #openLanes(heads: readonly Entry[]): OpenLane[] {
    const lanes: OpenLane[] = [];
    for (const { member: name } of heads) {
      const tasks = this.#shard.lanes.tasks(name)!;
      const lane = { name, agent: agentOfLane(name), urgent: isUrgentLane(name), tasks, head: tasks.first()! };
      if (this.#mayServe(lane)) lanes.push(lane);
    }
    return lanes;
  }

  #merge(open: readonly OpenLane[]): void {
    const lanes = heapOf([...open], (a, b) => isBefore(a.head, b.head));
    for (let lane = lanes.peek(); lane && this.#taken.length < this.#max; lane = lanes.peek()) {
      if (this.#mayServe(lane) && this.#takeFrom(lane)) lanes.settleFirst();
      else lanes.pop();
    }
  }

  #mayServe({ agent, urgent }: OpenLane): boolean {
    if (urgent && this.#urgent >= this.#request.urgentMax) return false;
    const { agents } = this.#request;
    return Object.hasOwn(agents, agent) && (this.#takenOf.get(agent) ?? 0) < agents[agent]!;
  }

  /** An entry whose record is gone or no longer queued should not be here, and goes. False: the lane is empty now. */
  #takeFrom(lane: OpenLane): boolean {
    const { member: id, score } = lane.tasks.shift()!;
    if (this.#shard.records.isQueued(id)) {
      this.#taken.push({ id, lane: lane.name, score });
      this.#takenOf.set(lane.agent, (this.#takenOf.get(lane.agent) ?? 0) + 1);
      if (lane.urgent) this.#urgent += 1;
    }
    const head = lane.tasks.first();
    if (head) lane.head = head;
    return head !== undefined;
  }
}
