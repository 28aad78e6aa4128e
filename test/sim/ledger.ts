/*
 * Knows what may never happen, and writes down when it does. It watches from outside: the commits that the store
 * accepts, the attempts that workers say they start and end, and what clients are told. Each rule has a name, which a
 * failure cites.
 */
import { capsOf, limitOf } from '../../src/scheduling/caps.ts';
import { type Commit, type CommitReply, holderOf, type Unit } from '../../src/store/store.ts';
import {
  isActive,
  isTerminal,
  type TaskRecord,
  type TaskSpec,
  type TaskState,
  type TaskTrail,
} from '../../src/task/task.ts';

export type Rule =
  | 'version-grows-by-one'
  | 'only-known-transitions'
  | 'the-end-is-final'
  | 'nothing-is-removed'
  | 'fence-counts-assignments'
  | 'history-is-kept'
  | 'report-sequence-grows'
  | 'only-the-held-attempt-changes-a-record'
  | 'only-signed-messages-count'
  | 'only-the-owner-writes-as-owner'
  | 'only-assigned-attempts-run'
  | 'an-attempt-runs-once'
  | 'at-most-once-runs-once'
  | 'a-forged-task-never-runs'
  | 'slots-bound-running-attempts'
  | 'caps-are-kept'
  | 'requirements-are-met'
  | 'resources-bound-running-attempts'
  | 'limits-are-kept'
  | 'used-attempts-are-accounted'
  | 'hand-backs-are-few'
  | 'runs-are-accounted'
  | 'an-accepted-submit-is-kept'
  | 'a-key-names-one-task'
  | 'clients-are-told-the-truth'
  | 'clients-get-their-answer'
  | 'everything-ends'
  | 'indexes-follow-records'
  | 'nothing-is-left-behind'
  | 'best-first'
  | 'roles-meet-no-fault'
  | 'roles-stop-when-told';

export interface Known {
  id: string;
  version: number;
  state: TaskState;
  spec: TaskSpec;
  sealed: TaskRecord['sealed'];
  trail: TaskTrail;
  result: string | undefined;
}

interface Attempt {
  id: string;
  task: string;
  holder: string;
  /** In an envelope that reached the mailbox unchanged. */
  posted: boolean;
  /** Report kinds and sequences that reached the stream unchanged. */
  reported: Set<string>;
  startedBy: string | null;
  ended: string | null;
}

const NEXT: Record<TaskState, readonly TaskState[]> = {
  scheduled: ['queued', 'cancelled', 'failed'],
  queued: ['assigned', 'cancelled', 'failed'],
  // Several reports fold into one write, so a state may be passed over.
  assigned: ['assigned', 'running', 'completed', 'failed', 'cancelled', 'queued', 'scheduled'],
  running: ['running', 'completed', 'failed', 'cancelled', 'queued', 'scheduled'],
  waiting: [],
  completed: [],
  failed: [],
  cancelled: [],
};

/** What a handler of the simulation puts into results, notes and errors: which run it was. */
const RUN = /run#(\d+)/;

/** What a worker of the simulation has. */
export interface SimOffer {
  labels: Record<string, string>;
  resources: Record<string, number>;
}

/** In calm weather, from the end of a limit until the task has ended: the grace, an election, and reports to be read. */
const LIMIT_SLACK_MS = 15_000;

/** Of one task for want of room, in one simulated minute. */
const HAND_BACKS_MAX = 8;

export class Ledger {
  readonly violations: { rule: Rule; what: string }[] = [];
  readonly tasks = new Map<string, Known>();
  readonly holders = new Set<string>();
  readonly #attempts = new Map<string, Attempt>();
  /** Which attempt each run of a handler belongs to. */
  readonly #runs: string[] = [];
  readonly #runsOf = new Map<string, string[]>();
  readonly #handBacks = new Map<string, number>();
  readonly #owners = new Map<number, string>();
  readonly forged = new Set<string>();
  /** By the names of limits. */
  capLimits: ReadonlyMap<string, number> = new Map();
  /** How often what was seen: says what a run went through. */
  readonly seen: Record<string, number> = {};
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  violate(rule: Rule, what: string): void {
    if (this.violations.length < 50) this.violations.push({ rule, what: `at ${this.#now()}: ${what}` });
  }

  saw(what: string): void {
    this.seen[what] = (this.seen[what] ?? 0) + 1;
  }

  // The store

  claimed(shard: number, process: string): void {
    this.#owners.set(shard, process);
  }

  committed(process: string, shard: number, commit: Commit, reply: CommitReply): void {
    if (reply.fenced) return;
    if (commit.epoch !== undefined && this.#owners.get(shard) !== process) {
      this.violate(
        'only-the-owner-writes-as-owner',
        `${process} committed to shard ${shard} of ${this.#owners.get(shard)}`,
      );
    }
    commit.units.forEach((unit, i) => {
      const outcome = reply.units[i];
      if (outcome?.ok && !outcome.already && !unit.repair) this.#written(unit);
    });
  }

  #written(unit: Unit): void {
    const before = this.tasks.get(unit.id);
    if (unit.remove) return this.violate('nothing-is-removed', `task ${unit.id} was removed`);
    if (unit.expect !== (before?.version ?? 0)) {
      this.violate('version-grows-by-one', `task ${unit.id} went from ${before?.version} to ${unit.expect + 1}`);
    }
    const after = known(unit, before);
    this.tasks.set(unit.id, after);
    if (before) this.#compare(before, after);
    const { attempt } = after.trail;
    if (attempt && attempt.id !== before?.trail.attempt?.id) {
      this.#assigned(after);
      this.#checkCaps(after);
    }
  }

  #checkCaps({ id, spec }: Known): void {
    for (const cap of capsOf(spec, true)) {
      const limit = limitOf(cap, this.capLimits);
      if (limit === undefined) continue;
      let used = 0;
      for (const task of this.tasks.values()) {
        if (isActive(task.state) && capsOf(task.spec, true).includes(cap)) used += 1;
      }
      if (used === limit) this.saw(`full cap ${cap[0]}`);
      if (used > limit) this.violate('caps-are-kept', `task ${id} is the ${used}th in ${cap}, limit ${limit}`);
    }
  }

  #compare(before: Known, after: Known): void {
    const step = `task ${before.id}: ${before.state} v${before.version} → ${after.state}`;
    const why = after.trail.history.at(-1)?.[3]?.why;
    if (why !== undefined) this.saw(`${after.state}: ${why}`);
    if (why === 'credit' && after.state === 'queued') this.#handedBack(after);
    if (after.trail.attempt?.resent && !before.trail.attempt?.resent) this.saw('resent');
    if (isTerminal(before.state)) this.violate('the-end-is-final', step);
    else if (!NEXT[before.state].includes(after.state)) this.violate('only-known-transitions', step);
    const assigned = before.state === 'queued' && after.state === 'assigned' ? 1 : 0;
    if (after.trail.fence !== before.trail.fence + assigned) {
      this.violate('fence-counts-assignments', `${step}, fence ${before.trail.fence} → ${after.trail.fence}`);
    }
    this.#compareTrails(before, after, step);
    this.#compareAttempts(before, after, step);
  }

  #compareTrails(before: Known, after: Known, step: string): void {
    const kept = before.trail.history.every((entry, i) => {
      return JSON.stringify(entry) === JSON.stringify(after.trail.history[i]);
    });
    if (!kept && after.trail.dropped === undefined) this.violate('history-is-kept', step);
    const [was, is] = [before.trail.attempt, after.trail.attempt];
    if (was && is && was.id === is.id && is.seq < was.seq) this.violate('report-sequence-grows', step);
    if (after.trail.used > before.trail.used && isActive(before.state)) this.#usedUp(before, after, step);
  }

  #usedUp(before: Known, after: Known, step: string): void {
    const attempt = this.#attempts.get(before.trail.attempt?.id ?? '');
    // The owner ends an attempt whose time is over, whatever its worker says.
    const timedOut = ['timeout', 'outcome_unknown'].includes(after.trail.error?.code ?? '');
    if (!timedOut && attempt?.ended !== 'failed') {
      this.violate(
        'used-attempts-are-accounted',
        `${step}: attempt ${attempt?.id} ended as ${attempt?.ended}, ${JSON.stringify(after.trail)}`,
      );
    }
  }

  /** A worker that gets more than it has room for is a wrong count, which the next heartbeat corrects. */
  #handedBack({ id }: Known): void {
    const times = (this.#handBacks.get(id) ?? 0) + 1;
    this.#handBacks.set(id, times);
    if (times === HAND_BACKS_MAX) this.violate('hand-backs-are-few', `task ${id} came back ${times} times`);
  }

  /** What came out of a run may only stand in the record if the record held that run's attempt. */
  #compareAttempts(before: Known, after: Known, step: string): void {
    const held = before.trail.attempt?.id;
    const texts = [
      after.result !== before.result ? after.result : undefined,
      after.trail.note !== before.trail.note ? after.trail.note : undefined,
      after.trail.error?.message !== before.trail.error?.message ? after.trail.error?.message : undefined,
    ];
    for (const text of texts) {
      const run = text === undefined ? null : RUN.exec(text);
      const attempt = run && this.#runs[Number(run[1])];
      if (run && attempt !== held) {
        this.violate('only-the-held-attempt-changes-a-record', `${step}: held ${held}, came from ${attempt} (${text})`);
      }
    }
    if (after.state !== 'completed') return;
    const reported = [...(this.#attempts.get(held ?? '')?.reported ?? [])];
    if (!reported.some((kind) => kind === 'completed')) {
      this.violate('only-signed-messages-count', `${step}: no unchanged report completes attempt ${held}`);
    }
  }

  #assigned(task: Known): void {
    const { id, worker, incarnation } = task.trail.attempt!;
    const holder = holderOf(worker, incarnation);
    this.holders.add(holder);
    if (this.#attempts.has(id)) return this.violate('an-attempt-runs-once', `attempt ${id} was assigned twice`);
    const posted = this.#postedEarly.delete(id);
    this.#attempts.set(id, { id, task: task.id, holder, posted, reported: new Set(), startedBy: null, ended: null });
  }

  /** Envelopes are looked at before the units of their commit are known to have won. */
  readonly #postedEarly = new Set<string>();

  posted(attemptId: string): void {
    const attempt = this.#attempts.get(attemptId);
    if (attempt) attempt.posted = true;
    else this.#postedEarly.add(attemptId);
  }

  reported(attemptId: string, kind: string): void {
    this.#attempts.get(attemptId)?.reported.add(kind);
  }

  // Workers

  started(attemptId: string, task: string, holder: string, offer: SimOffer & { worker: string }): void {
    const attempt = this.#attempts.get(attemptId);
    const what = `attempt ${attemptId} of task ${task} at ${holder}`;
    if (this.forged.has(task)) this.violate('a-forged-task-never-runs', what);
    if (!attempt || attempt.task !== task || attempt.holder !== holder) {
      return this.violate('only-assigned-attempts-run', `${what}: assigned was ${JSON.stringify(attempt)}`);
    }
    if (!attempt.posted) this.violate('only-signed-messages-count', `${what}: no unchanged envelope carried it`);
    if (attempt.startedBy !== null) this.violate('an-attempt-runs-once', what);
    attempt.startedBy = holder;
    this.#checkRequirements(attempt, offer, what);
    const runs = this.#runsOf.get(task) ?? [];
    this.#runsOf.set(task, [...runs, attemptId]);
    if (this.tasks.get(task)?.spec.delivery !== 'at-most-once') return;
    const open = runs.filter((other) => this.#attempts.get(other)?.ended !== 'failed');
    if (open.length > 0) this.violate('at-most-once-runs-once', `${what}: after ${open.join(', ')}`);
  }

  #checkRequirements(attempt: Attempt, offer: SimOffer & { worker: string }, what: string): void {
    const require = this.tasks.get(attempt.task)?.spec.require;
    if (!require) return;
    this.saw('started with requirements');
    const { worker = offer.worker, labels = {}, resources = {} } = require;
    const isMet = worker === offer.worker && Object.entries(labels).every(([name, is]) => offer.labels[name] === is);
    if (!isMet) this.violate('requirements-are-met', `${what} (${JSON.stringify(offer)}): ${JSON.stringify(require)}`);
    for (const name of Object.keys(resources)) {
      const used = this.#inUse(attempt.holder, name);
      if (used > (offer.resources[name] ?? 0)) {
        this.violate('resources-bound-running-attempts', `${what}: ${used} ${name} of ${JSON.stringify(offer)}`);
      }
    }
  }

  #inUse(holder: string, resource: string): number {
    let used = 0;
    for (const { startedBy, ended, task } of this.#attempts.values()) {
      if (startedBy !== holder || ended !== null) continue;
      used += this.tasks.get(task)?.spec.require?.resources?.[resource] ?? 0;
    }
    return used;
  }

  /** Tasks whose limits have passed and that go on, in weather in which nothing holds up their owner. */
  lookForOverstayers(calmSince: number): void {
    const now = this.#now();
    for (const { id, state, spec, trail } of this.tasks.values()) {
      if (isTerminal(state)) continue;
      const total = spec.createdAt + (spec.totalTimeoutMs ?? Number.POSITIVE_INFINITY);
      const queued = state === 'queued' ? trail.queuedAt! + (spec.queueTimeoutMs ?? Number.POSITIVE_INFINITY) : total;
      const end = Math.min(total, queued);
      if (now > Math.max(end, calmSince) + LIMIT_SLACK_MS) {
        this.violate('limits-are-kept', `task ${id} is ${state} ${now - end} ms after its end`);
      }
    }
  }

  /** A handler is entered; answers the mark that everything it gives out carries. */
  run(attemptId: string): string {
    this.#runs.push(attemptId);
    return `run#${this.#runs.length - 1}`;
  }

  ended(attemptId: string, outcome: string): void {
    const attempt = this.#attempts.get(attemptId);
    if (attempt) attempt.ended = outcome;
  }

  // The end

  /** Attempts that ran against what the record says of them. */
  account(): void {
    for (const [task, runs] of this.#runsOf) {
      const { trail } = this.tasks.get(task)!;
      if (runs.length > trail.fence) {
        this.violate('runs-are-accounted', `task ${task} ran ${runs.length} times on ${trail.fence} assignments`);
      }
    }
  }

  runsOf(task: string): number {
    return this.#runsOf.get(task)?.length ?? 0;
  }

  get runs(): number {
    return this.#runs.length;
  }
}

function known(unit: Unit, before: Known | undefined): Known {
  const [seal = '', ...text] = unit.spec?.split(' ') ?? [];
  const sealed = before?.sealed ?? { seal, text: text.join(' ') };
  if (unit.adopt && unit.result?.startsWith('@')) throw new Error(`nobody put aside what task ${unit.id} adopted`);
  const result = unit.result === undefined ? before?.result : (unit.result ?? undefined);
  return {
    id: unit.id,
    version: unit.expect + 1,
    state: unit.state,
    spec: before?.spec ?? (JSON.parse(sealed.text) as TaskSpec),
    sealed,
    trail: unit.trail === undefined ? before!.trail : (JSON.parse(unit.trail) as TaskTrail),
    result,
  };
}
