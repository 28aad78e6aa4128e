/*
 * One round of assigning in one shard: take what fits the free credit, check each seal, place, decide, sign, commit, and
 * give back at once what fitted nowhere. Taking is atomic in the store, so two distributors never work on the same task;
 * between the take and the commit only a cancel or a pause can come, which the commit then loses to by version.
 */
import { AgentSystemError } from '../errors.ts';
import type { Ports } from '../fleet/ports.ts';
import { verifyTask } from '../fleet/verify-task.ts';
import { demandOfLane, isUrgentLane, parseLane, requirementsOfLane } from '../scheduling/lane.ts';
import { placeTasks, type TaskKind } from '../scheduling/placement.ts';
import { planTake } from '../scheduling/plan.ts';
import { requirementsText } from '../scheduling/requirements.ts';
import { patiently } from '../store/patience.ts';
import { type LanePlace, type TakenTask, type TakeReply, UNITS_MAX, UNKNOWN_MAX } from '../store/store.ts';
import { decodeTask } from '../task/codec.ts';
import type { TaskRecord } from '../task/task.ts';
import { AssigningBatch, type Candidate } from './assigning-batch.ts';
import type { Fleet, Member } from './fleet.ts';
import { KnownDemands } from './known-demands.ts';

const LANES_PER_TAKE = 1_000;
/** An agent of whose tasks none could be verified is left to others for so long. */
const UNKNOWN_KEY_REST_MS = 500;

export interface AssignerOptions extends Ports {
  id: string;
  shard: number;
  fleet: Fleet;
  /** Tasks in one take at most. */
  batchSizeMax: number;
}

export class Assigner {
  readonly #options: AssignerOptions;
  /** Where the next take goes on, when the last one ended at its bound of lanes. */
  #after: LanePlace | undefined;
  /** By agent: local time until which its tasks are left to distributors that may know their key. */
  readonly #leftAlone = new Map<string, number>();
  readonly #demands = new KnownDemands();

  constructor(options: AssignerOptions) {
    this.#options = options;
  }

  /** Answers how many tasks were taken; a full batch means that there may be more. */
  async round(): Promise<{ taken: number; more: boolean }> {
    const { store, shard, clock, runtime, fleet, batchSizeMax } = this.#options;
    const members = fleet.available(clock.now());
    const plan = planTake(members, this.#demands.entries(runtime.now()));
    const max = Math.min(plan.max, batchSizeMax, UNITS_MAX);
    if (max === 0) return { taken: 0, more: false };
    const token = runtime.id(16);
    const agents = this.#withoutLeftAlone(plan.agents);
    const request = { token, max, urgentMax: Math.min(plan.urgentMax, max), agents, requires: plan.requires };
    const after = this.#after;
    const call = () => clock.learn(() => store.take(shard, { ...request, lanesMax: LANES_PER_TAKE, after }));
    const reply = await patiently(call, { runtime, tries: 2 });
    const passedOver = this.#learn(reply, members);
    // What was passed over because nobody knew it here stands before the place to go on from.
    this.#after = passedOver ? after : reply.next;
    if (reply.tasks.length > 0) await this.#assign(token, reply.tasks, members, reply.now);
    const more = reply.tasks.length === max || reply.next !== undefined || passedOver;
    return { taken: reply.tasks.length, more };
  }

  /** Remembers what lanes require; answers whether some of it was new here and has room. */
  #learn({ tasks, unknown = [] }: TakeReply, members: Member[]): boolean {
    const now = this.#options.runtime.now();
    for (const { lane } of tasks) {
      const demand = demandOfLane(lane);
      if (demand !== undefined) this.#demands.meet(demand, now);
    }
    if (unknown.length === 0) return false;
    const met = unknown.map((demand): [string, TaskKind] => [demand, this.#demands.meet(demand, now)]);
    const { requires } = planTake(members, met);
    // A full list may hide others behind it.
    return unknown.length === UNKNOWN_MAX || Object.values(requires).some((room) => room > 0);
  }

  async #assign(token: string, taken: TakenTask[], members: Member[], now: number): Promise<void> {
    const batch = new AssigningBatch(this.#options, token, now);
    const strangers: string[] = [];
    const candidates = taken.flatMap((one) => this.#judge(one, batch, strangers) ?? []);
    const { assignments, unplaced } = placeTasks(candidates, members, now);
    for (const { task: candidate, worker } of assignments) this.#place(candidate, worker, batch);
    await batch.commit();
    const back = unplaced.map(({ task }) => task.id);
    if (strangers.length === taken.length) back.push(...this.#leaveAlone(taken));
    if (back.length > 0) await this.#giveBack(token, back);
  }

  /** A record that cannot be assigned, because someone wrote over it, must not hold up those that were taken with it. */
  #place(candidate: Candidate, worker: Member, batch: AssigningBatch): void {
    try {
      batch.assign(candidate, worker);
    } catch (error) {
      this.#options.observe({ type: 'fault', where: `assignment of task ${candidate.task.id}`, error });
    }
  }

  /** Nothing of this take was sealed under a key of ours: whoever knows it must not have to wait for us. */
  #leaveAlone(taken: TakenTask[]): string[] {
    const until = this.#options.runtime.now() + UNKNOWN_KEY_REST_MS;
    for (const { lane } of taken) this.#leftAlone.set(parseLane(lane).agent, until);
    return taken.map(({ task }) => task.id);
  }

  #withoutLeftAlone(agents: Record<string, number>): Record<string, number> {
    const now = this.#options.runtime.now();
    for (const [agent, until] of this.#leftAlone) if (until <= now) this.#leftAlone.delete(agent);
    if (this.#leftAlone.size === 0) return agents;
    return Object.fromEntries(Object.entries(agents).filter(([agent]) => !this.#leftAlone.has(agent)));
  }

  /**
   * Null: it is not assigned. What was tampered with is rejected. What cannot be judged (sealed under a key that is not
   * here yet, or unreadable) stays in the reservation and so comes again when that expires: given back at once it would
   * be taken again at once. Those of an unknown key are also named in `strangers`.
   */
  #judge({ task: stored, lane }: TakenTask, batch: AssigningBatch, strangers: string[]): Candidate | null {
    const { keys, observe } = this.#options;
    try {
      const task = decodeTask(stored);
      const verified = verifyTask(task, keys);
      if (verified.verdict === 'ok') return candidateOf(task, lane);
      if (verified.verdict === 'wrong') batch.reject(task, verified.detail);
      else {
        const { detail } = verified;
        strangers.push(task.id);
        observe({ type: 'message.rejected', reason: 'key', detail, stream: 'records', entry: task.id });
      }
    } catch (error) {
      observe({ type: 'fault', where: `assignment of task ${stored.id}`, error });
    }
    return null;
  }

  async #giveBack(token: string, ids: string[]): Promise<void> {
    const { store, shard, runtime } = this.#options;
    await patiently(() => store.giveBack(shard, token, ids), { runtime, tries: 2 });
  }
}

/**
 * @throws LANE_WRONG when the task stands in a lane of other requirements than its sealed specification has: placed by
 * either it could be given back and taken again without end
 */
function candidateOf(task: TaskRecord, lane: string): Candidate {
  const { agent, require } = task.spec;
  const requirements = require && requirementsText(require);
  if (requirements !== requirementsOfLane(lane)) {
    const message = `task ${task.id} stands in lane ${lane} but requires ${requirements ?? 'nothing'}`;
    throw new AgentSystemError('LANE_WRONG', message, { details: { task: task.id, lane } });
  }
  const candidate: Candidate = { task, agent, urgent: isUrgentLane(lane) };
  return requirements === undefined ? candidate : { ...candidate, requirements };
}
