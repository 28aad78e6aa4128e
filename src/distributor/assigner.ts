/*
 * One round of assigning in one shard: take what fits the free credit, check each seal, place, decide, sign, commit, and
 * give back at once what fitted nowhere. Taking is atomic in the store, so two distributors never work on the same task;
 * between the take and the commit only a cancel or a pause can come, which the commit then loses to by version.
 */
import type { Ports } from '../fleet/ports.ts';
import { verifyTask } from '../fleet/verify-task.ts';
import { isUrgentLane } from '../scheduling/lane.ts';
import { placeTasks } from '../scheduling/placement.ts';
import { planTake } from '../scheduling/plan.ts';
import { patiently } from '../store/patience.ts';
import { type LanePlace, type TakenTask, UNITS_MAX } from '../store/store.ts';
import { decodeTask } from '../task/codec.ts';
import { AssigningBatch, type Candidate } from './assigning-batch.ts';
import type { Fleet, Member } from './fleet.ts';

const LANES_PER_TAKE = 1_000;

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

  constructor(options: AssignerOptions) {
    this.#options = options;
  }

  /** Answers how many tasks were taken; a full batch means that there may be more. */
  async round(): Promise<{ taken: number; more: boolean }> {
    const { store, shard, clock, runtime, fleet, policy, batchSizeMax } = this.#options;
    const members = fleet.available(clock.now(), policy.instanceTtlMs);
    const plan = planTake(members);
    const max = Math.min(plan.max, batchSizeMax, UNITS_MAX);
    if (max === 0) return { taken: 0, more: false };
    const token = runtime.id(16);
    const request = { token, max, urgentMax: Math.min(plan.urgentMax, max), agents: plan.agents };
    const after = this.#after;
    const call = () => clock.learn(() => store.take(shard, { ...request, lanesMax: LANES_PER_TAKE, after }));
    const reply = await patiently(call, { runtime, tries: 2 });
    this.#after = reply.next;
    if (reply.tasks.length > 0) await this.#assign(token, reply.tasks, members, reply.now);
    return { taken: reply.tasks.length, more: reply.tasks.length === max || reply.next !== undefined };
  }

  async #assign(token: string, taken: TakenTask[], members: Member[], now: number): Promise<void> {
    const batch = new AssigningBatch(this.#options, token, now);
    const candidates = taken.flatMap((one) => this.#judge(one, batch) ?? []);
    const { assignments, unplaced } = placeTasks(candidates, members, now);
    for (const { task: candidate, worker } of assignments) batch.assign(candidate, worker);
    await batch.commit();
    if (unplaced.length > 0) await this.#giveBack(token, unplaced);
  }

  /**
   * Null: it is not assigned. What was tampered with is rejected. What cannot be judged (sealed under a key that is not
   * here yet, or unreadable) stays in the reservation and so comes again when that expires: given back at once it would
   * be taken again at once.
   */
  #judge({ task: stored, lane }: TakenTask, batch: AssigningBatch): Candidate | null {
    const { keys, observe } = this.#options;
    try {
      const task = decodeTask(stored);
      const verified = verifyTask(task, keys);
      if (verified.verdict === 'ok') return { task, agent: task.spec.agent, urgent: isUrgentLane(lane) };
      if (verified.verdict === 'wrong') batch.reject(task, verified.detail);
      else {
        const { detail } = verified;
        observe({ type: 'message.rejected', reason: 'key', detail, stream: 'records', entry: task.id });
      }
    } catch (error) {
      observe({ type: 'fault', where: `assignment of task ${stored.id}`, error });
    }
    return null;
  }

  async #giveBack(token: string, unplaced: Candidate[]): Promise<void> {
    const { store, shard, runtime } = this.#options;
    const ids = unplaced.map(({ task }) => task.id);
    await patiently(() => store.giveBack(shard, token, ids), { runtime, tries: 2 });
  }
}
