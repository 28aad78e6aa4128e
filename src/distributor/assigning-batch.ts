import { addAssignment, assignPost, type Letter, Letters, tellSent } from '../fleet/mail.ts';
import { taskMoved } from '../fleet/task-moved.ts';
import type { Assignment } from '../message/bodies.ts';
import { unitOf } from '../store/commit.ts';
import { durabilityFor } from '../store/durability.ts';
import { patiently } from '../store/patience.ts';
import type { Commit, QuarantineEntry, Unit } from '../store/store.ts';
import type { TaskEvent } from '../task/events.ts';
import type { TaskRecord } from '../task/task.ts';
import { type Command, transition } from '../task/transition.ts';
import type { AssignerOptions } from './assigner.ts';
import type { Member } from './fleet.ts';

/** A reservation lasts 2 s: a commit that has not gone through by then would lose anyway. */
const TRIES = 5;
const ATTEMPT_ID_LENGTH = 16;

/** A task that was taken, opened and checked. */
export interface Candidate {
  task: TaskRecord;
  agent: string;
  urgent: boolean;
  /** Canonical text of what it requires of its worker. */
  requirements?: string;
}

interface Step {
  after: TaskRecord;
  events: TaskEvent[];
  /** Where it went; null for a rejection. */
  member: Member | null;
  urgent: boolean;
}

/** The units, letters and quarantine of one assigning commit. */
export class AssigningBatch {
  readonly #options: AssignerOptions;
  /** Null: the tasks stand in their lanes, not in a reservation. */
  readonly #token: string | null;
  readonly #now: number;
  readonly #units: Unit[] = [];
  readonly #steps: Step[] = [];
  readonly #letters = new Letters<Assignment>();
  readonly #quarantine: QuarantineEntry[] = [];

  constructor(options: AssignerOptions, token: string | null, now: number) {
    this.#options = options;
    this.#token = token;
    this.#now = now;
  }

  /** Answers the attempt's id. */
  assign({ task, urgent }: Candidate, member: Member): string {
    const { id, runtime } = this.#options;
    const attemptId = runtime.id(ATTEMPT_ID_LENGTH);
    const { worker, incarnation, ref } = member;
    const unit = this.#units.length;
    const after = this.#step(task, { type: 'assign', attemptId, worker, incarnation, distributor: id }, member, urgent);
    addAssignment(this.#letters, ref, after, unit);
    return attemptId;
  }

  reject(task: TaskRecord, message: string): void {
    const { observe } = this.#options;
    this.#step(task, { type: 'reject', message }, null);
    const entry = {
      stream: 'records',
      entry: task.id,
      reason: 'seal',
      text: `${task.sealed.seal} ${task.sealed.text}`,
    };
    this.#quarantine.push(entry);
    observe({ type: 'message.rejected', reason: 'seal', detail: message, stream: 'records', entry: task.id });
  }

  /** Answers for each unit, in the order they were added, whether it won. */
  async commit(): Promise<boolean[]> {
    if (this.#units.length === 0) return [];
    const { store, shard, clock, runtime } = this.#options;
    const letters = this.#letters.all();
    const sender = { ...this.#options, principal: 'distributors' as const };
    const entries = new Map<number, string | null>();
    try {
      this.#occupy();
      const later = letters.filter((letter) => this.#waits(letter));
      const atOnce = later.length > 0 ? letters.filter((letter) => !this.#waits(letter)) : letters;
      const post = atOnce.map((letter) => assignPost(sender, letter));
      const level = durabilityFor(later.map(({ units }) => this.#steps[units[0]!]!.after));
      const commit: Commit = { op: runtime.id(12), units: this.#units, post, quarantine: this.#quarantine, ...level };
      const call = () => clock.learn(() => store.commit(shard, commit));
      const reply = await patiently(call, { runtime, tries: TRIES });
      atOnce.forEach((letter, i) => {
        for (const unit of letter.units) entries.set(unit, reply.units[unit]?.ok ? (reply.posted[i] ?? null) : null);
      });
      const won = reply.units.map((outcome) => outcome.ok);
      tellSent(this.#options.observe, post, reply);
      this.#tell(won);
      await this.#postLater(
        later.filter(({ units }) => won[units[0]!]),
        entries,
      );
      return won;
    } finally {
      // Also when the outcome is unknown: what did reach the worker is in its next heartbeat.
      this.#settle(entries);
    }
  }

  /**
   * What may run only once and is to outlive its store is sent when the assignment has reached its level: a store that
   * forgets the assignment while its worker runs would have the task run again. It travels alone, so it is one unit's.
   */
  #waits({ units }: Letter<Assignment>): boolean {
    const { delivery, durability } = this.#steps[units[0]!]!.after.spec;
    return delivery === 'at-most-once' && durability !== undefined;
  }

  /** Each with an empty repair of its record: should that have changed meanwhile, the letter does not go out. */
  async #postLater(letters: Letter<Assignment>[], entries: Map<number, string | null>): Promise<void> {
    if (letters.length === 0) return;
    const { store, shard, clock, runtime, observe } = this.#options;
    const sender = { ...this.#options, principal: 'distributors' as const };
    const units = letters.map((letter): Unit => {
      const { id, version, state } = this.#steps[letter.units[0]!]!.after;
      return { id, expect: version, state, repair: true, indexes: [] };
    });
    const post = letters.map((letter, at) => assignPost(sender, { ...letter, units: [at] }));
    const commit: Commit = { op: runtime.id(12), units, post };
    const reply = await patiently(() => clock.learn(() => store.commit(shard, commit)), { runtime, tries: TRIES });
    for (const [at, letter] of letters.entries()) entries.set(letter.units[0]!, reply.posted[at] ?? null);
    tellSent(observe, post, reply);
  }

  #step(task: TaskRecord, command: Command, member: Member | null, urgent = false): TaskRecord {
    const decided = transition(task, command, this.#now);
    if (!decided.ok)
      throw new Error(`task ${task.id} was taken as queued but refused ${command.type}: ${decided.reason}`);
    const unit = unitOf(task, decided.next, this.#options.policy);
    if (this.#token !== null) {
      // It stands in the reservation now, not in its lane, and by that in its caps.
      unit.indexes = unit.indexes.filter((change) => !('lane' in change || change.index.startsWith('cap:')));
      unit.token = this.#token;
    }
    this.#units.push(unit);
    this.#steps.push({ after: decided.next, events: decided.events, member, urgent });
    return decided.next;
  }

  /** Not before: what is counted and never committed would fill its slot for as long as the worker lives. */
  #occupy(): void {
    const { fleet, shard } = this.#options;
    for (const { after, member, urgent } of this.#steps) {
      const attempt = after.trail.attempt;
      if (!member || !attempt) continue;
      const needs = after.spec.require?.resources;
      fleet.occupy(member.ref, after.id, attempt.id, { shard, urgent, needs, now: this.#now });
    }
  }

  #settle(entries: Map<number, string | null>): void {
    this.#steps.forEach(({ after, member }, unit) => {
      const attempt = after.trail.attempt;
      if (member && attempt) this.#options.fleet.settle(member.ref, after.id, attempt.id, entries.get(unit) ?? null);
    });
  }

  #tell(won: boolean[]): void {
    const { observe } = this.#options;
    this.#steps.forEach(({ after, events }, unit) => {
      if (!won[unit]) observe({ type: 'state.conflict', id: after.id, where: 'assign' });
      else
        for (const event of events) {
          observe(taskMoved(after, event, { worker: after.trail.worker, code: after.trail.error?.code }));
        }
    });
  }
}
