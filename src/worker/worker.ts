/**
 * The worker: a process with slots that runs attempts. It writes no task state. It reads its mailbox, runs what
 * verified assignments name, and says in signed reports and heartbeats what it does; what becomes of a task is decided
 * by its shard's owner. This class only wires the parts together, one duty each, and knows when to begin and to end.
 */
import { type AbortCode, terminal } from '../agent/errors.ts';
import type { AgentRegistry } from '../agent/registry.ts';
import type { Outcome } from '../agent/run-method.ts';
import type { Cancel } from '../message/bodies.ts';
import type { KeyRing } from '../message/keys.ts';
import { workerPrincipal } from '../message/principals.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { type Store, streamPlace } from '../store/store.ts';
import { StoreClock } from '../store/store-clock.ts';
import { isRef } from '../task/payload.ts';
import { AttemptBook } from './attempt-book.ts';
import { AttemptRunner } from './attempt-runner.ts';
import { CreditMeter } from './credit-meter.ts';
import { Deadlines } from './deadlines.ts';
import { type FinalReport, failed, finalReport, interrupted, returned, timedOut } from './final-report.ts';
import { Gate } from './gate.ts';
import type { Heart, HeartFacts, HeartNews, HeartSettings } from './heart.ts';
import { HeartPoster } from './heart-poster.ts';
import type { HeldAttempt } from './held-attempt.ts';
import { type LoadedInput, loadInput } from './input-loader.ts';
import { Intake } from './intake.ts';
import { MailboxReader } from './mailbox-reader.ts';
import { Reporter } from './reporter.ts';
import { Resources } from './resources.ts';
import type { ShardLink } from './shard-link.ts';
import { Slots } from './slots.ts';
import type { ObserveWorker } from './worker-events.ts';

/** Undecided reports beyond which the worker asks for no more work: then the owners are away, and memory is not endless. */
const KEPT_REPORTS_MAX = 5_000;
const KEPT_BYTES_MAX = 64 * 1024 * 1024;
/**
 * It asks again once they are down to this share. At the bound itself it would turn with every commit of the owners, who
 * are behind already, and each turn is a heartbeat that lists all of them.
 */
const KEPT_SHARE_AGAIN = 0.5;
/** Then the heart soon asks which have been decided; while none has, ever more rarely, down to its regular pace. */
const ASK_FIRST_MS = 100;
/** Of the time for a drain, kept for ending handlers, for the last reports and their release, at most. */
const DRAIN_TAIL_MS_MAX = 2_000;
/** How long a handler may take to end once it was told of the shutdown. */
const SHUTDOWN_MOMENT_MS = 500;
const LAST_BEAT_MS = 500;
const PULSE_MS_MAX = 1_000;
/** News that took longer to come says too little about the store's clock. */
const FRESH_NEWS_MS = 1_000;

type Beat = HeartNews & { type: 'beat' };

export interface WorkerSettings {
  id: string;
  /** As registered: the store's time and a random tail. */
  incarnation: string;
  deployment: string;
  shards: number;
  slots: number;
  resources?: Record<string, number>;
  labels?: Record<string, string>;
  /** The distributor it wants to belong to. */
  distributorId?: string;
  /** Default 5,000 ms. */
  heartbeatIntervalMs?: number;
  /** Default 15,000 ms. */
  instanceTtlMs?: number;
  /** Default 10,000 ms. */
  readyProgressWithinMs?: number;
  /** An attempt is vouched for so long beyond its deadline. Default 5,000 ms. */
  timeoutGraceMs?: number;
  /** Run timeout of an attempt that names none. Default 1 h. */
  runTimeoutMs?: number;
  /** Default 512. */
  creditMax?: number;
  /** Default 1 MiB. */
  maxPayloadBytes?: number;
}

export interface WorkerOptions extends WorkerSettings {
  store: Store;
  keys: KeyRing;
  runtime: Runtime;
  agents: AgentRegistry;
  /** Not yet listened to; made with `heartSettings` of the same settings. */
  heart: Heart;
  observe?: ObserveWorker;
  /** Default: what handlers say is passed on as it is. */
  redact?: (text: string) => string;
  /** Another incarnation is registered: everything here was aborted, the process should exit with 1. */
  onReplaced: () => void;
  /** It was told to drain, and nothing that it had is left. */
  onDrained?: () => void;
  /** The heart is gone: nothing renews the leases any more, the process should exit with 1. */
  onFatal: (error: Error) => void;
}

/** What a worker holds, as plain JSON; attempts are named `task~attempt`. */
export interface WorkerState {
  role: 'worker';
  id: string;
  incarnation: string;
  slots: number;
  draining: boolean;
  distributor: string | null;
  running: string[];
  waiting: string[];
}

export interface WorkerStats {
  slots: number;
  running: number;
  waiting: number;
  /** Ended, reported, not yet decided. */
  done: number;
  /** Running attempts by agent. */
  byAgent: Record<string, number>;
  draining: boolean;
  /** Takes work, reads its mailboxes, and its last heartbeat was accepted by every shard. */
  ready: boolean;
  distributor: string | null;
  /** Local time at which the slowest of its mailbox readers last moved. */
  lastProgressAt: number;
}

/** A worker's settings as its heart needs them. */
export function heartSettings(settings: WorkerSettings, agents: AgentRegistry): HeartSettings {
  const { id, incarnation, deployment, shards, slots, resources, labels, distributorId } = settings;
  const known = withDefaults(settings);
  return {
    worker: id,
    incarnation,
    deployment,
    shards,
    slots,
    agents: namesOf(agents),
    resources,
    labels,
    distributorId,
    heartbeatIntervalMs: known.heartbeatIntervalMs,
    instanceTtlMs: known.instanceTtlMs,
    readyProgressWithinMs: known.readyProgressWithinMs,
  };
}

function namesOf(agents: AgentRegistry): { name: string; version: string }[] {
  return agents.list().map(({ name, version }) => ({ name, version }));
}

function withDefaults<T extends WorkerSettings>(settings: T) {
  return {
    ...settings,
    heartbeatIntervalMs: settings.heartbeatIntervalMs ?? 5_000,
    instanceTtlMs: settings.instanceTtlMs ?? 15_000,
    readyProgressWithinMs: settings.readyProgressWithinMs ?? 10_000,
    timeoutGraceMs: settings.timeoutGraceMs ?? 5_000,
    runTimeoutMs: settings.runTimeoutMs ?? 3_600_000,
    creditMax: settings.creditMax ?? 512,
    maxPayloadBytes: settings.maxPayloadBytes ?? 1024 * 1024,
  };
}

/** What is known of one shard's lease, in local time. */
interface Lease {
  /** From before the last heartbeat that was accepted. */
  since: number;
  beaten: boolean;
  failedAt: number | undefined;
}

export class Worker {
  readonly #options: ReturnType<typeof withDefaults<WorkerOptions>>;
  readonly #observe: ObserveWorker;
  readonly #clock: StoreClock;
  readonly #book: AttemptBook;
  readonly #slots: Slots;
  readonly #credit: CreditMeter;
  readonly #runner: AttemptRunner;
  readonly #deadlines: Deadlines;
  readonly #intake: Intake;
  readonly #readers: MailboxReader[];
  readonly #reporters: Reporter[];
  readonly #poster: HeartPoster;
  readonly #gate: Gate;
  readonly #leases: Lease[];
  readonly #readingEnds = new AbortController();
  #cancelPulse: (() => void) | undefined;
  #cancelAsking: (() => void) | undefined;
  #askAfterMs = ASK_FIRST_MS;
  #distributor: string | null = null;
  #usable = true;
  #saidReady = false;
  #keepsTooMuch = false;
  #draining = false;
  /** By order, with the process going on. */
  #drainAsked = false;
  /** Set once they are no longer those that the heart was made with. */
  #agents: HeartFacts['agents'];
  /** Replaced, or without a heart: nothing it says counts any more. */
  #dead = false;
  #stopped: Promise<void> | undefined;

  constructor(options: WorkerOptions) {
    this.#options = withDefaults(options);
    const { runtime, slots, shards, creditMax, maxPayloadBytes, agents } = this.#options;
    this.#observe = options.observe ?? (() => undefined);
    this.#clock = new StoreClock(runtime);
    this.#book = new AttemptBook(runtime);
    this.#slots = new Slots(slots, (attempts) => this.#start(attempts), new Resources(options.resources));
    this.#credit = new CreditMeter({ runtime, slots, max: creditMax });
    this.#gate = new Gate(runtime);
    this.#deadlines = new Deadlines(runtime, (now) => this.#endOverdue(now));
    const now = () => runtime.now();
    const storeNow = () => this.#clock.now();
    this.#runner = new AttemptRunner({
      runtime,
      storeNow,
      redact: options.redact ?? ((text) => text),
      resultBytesMax: maxPayloadBytes,
      observe: this.#observe,
      progress: (attempt, value, note) => this.#reporters[attempt.shard]!.progress(attempt, value, note),
      ended: (attempt, outcome) => this.#handlerEnded(attempt, outcome),
    });
    this.#intake = new Intake({
      agents,
      book: this.#book,
      slots: this.#slots,
      credit: this.#credit,
      now,
      storeNow,
      draining: () => this.#draining,
      accepted: (attempt) => this.#poster.change(attempt.shard, attempt.held, 'unstarted'),
      ended: (attempt, report) => this.#finish(attempt, report),
      abort: (attempt, code, message) => this.#abortOnOrder(attempt, code, message),
    });
    const each = Array.from({ length: shards }, (_, shard) => shard);
    this.#readers = each.map((shard) => this.#reader(shard));
    this.#reporters = each.map((shard) => this.#reporter(shard));
    this.#leases = each.map(() => ({ since: runtime.now(), beaten: false, failedAt: undefined }));
    this.#poster = new HeartPoster({
      heart: options.heart,
      runtime,
      mailbox: () => this.#readers.map((reader) => reader.cursor),
      facts: () => this.#facts(),
    });
  }

  /** Begins to read, to beat and to run. A store that is away is waited for. */
  start(): void {
    this.#options.heart.listen((news) => this.#hear(news));
    for (const reader of this.#readers) void reader.run(this.#readingEnds.signal);
    this.#pulse();
  }

  /**
   * Drains: takes nothing more, hands back what has not started, lets handlers end, then tells them to, and sees the
   * last reports decided. All of it within `drainMs`, whatever the store does.
   */
  stop({ drainMs }: { drainMs: number }): Promise<void> {
    this.#stopped ??= this.#drain(drainMs);
    return this.#stopped;
  }

  /**
   * Takes nothing more, hands back what has not started, and lets what runs come to its end, however long that takes. It
   * goes on beating, as draining; `onDrained` is called once nothing is left.
   */
  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#drainAsked = true;
    this.#poster.hurry();
    this.#handBackWaiting();
    this.#tellDrained();
  }

  /**
   * Falls silent as a process that was killed: nothing is handed back, nothing more is reported, what ran is cut off. Its
   * leases run out from the last heartbeat on. For showing what the others do then.
   */
  abandon(): void {
    this.#dead = true;
    this.#draining = true;
    this.#abortAll('lease_lost', 'the worker was abandoned');
    this.#endLoops();
    this.#stopped ??= this.#options.heart.stop(0);
  }

  /** Whoever watches the store's identity says with `false` that no work must be taken for now. */
  setUsable(usable: boolean): void {
    this.#usable = usable;
    this.#tellReadiness();
  }

  /** The registry holds others than before: those that run go on, and what starts from now on runs the new ones. */
  agentsChanged(): void {
    this.#agents = namesOf(this.#options.agents);
    this.#poster.hurry();
  }

  stats(): WorkerStats {
    const byAgent: Record<string, number> = {};
    for (const { agent } of this.#slots.running) byAgent[agent.name] = (byAgent[agent.name] ?? 0) + 1;
    return {
      slots: this.#slots.size,
      running: this.#slots.running.size,
      waiting: this.#slots.waiting,
      done: this.#kept(),
      byAgent,
      draining: this.#draining,
      ready: this.#ready() && this.#leases.every((lease) => lease.beaten && lease.failedAt === undefined),
      distributor: this.#distributor,
      lastProgressAt: Math.min(...this.#readers.map((reader) => reader.movedAt)),
    };
  }

  getStateSnapshot(): WorkerState {
    const { id, incarnation } = this.#options;
    const { slots, draining, distributor } = this.stats();
    const name = ({ held }: HeldAttempt) => held;
    const running = [...this.#slots.running].map(name);
    const waiting = this.#slots.unstartedAttempts().map(name);
    return { role: 'worker', id, incarnation, slots, draining, distributor, running, waiting };
  }

  /** Drains a worker that was draining. Attempts are not taken back: their leases ended with the worker that held them. */
  setState({ draining }: Pick<WorkerState, 'draining'>): void {
    if (draining) this.drain();
  }

  #reader(shard: number): MailboxReader {
    return new MailboxReader({
      ...this.#link(shard),
      deliver: (from, delivery) => {
        // First: what came with the order is handed back, too.
        if (delivery.drain !== undefined) this.drain();
        this.#intake.receive(from, delivery);
        this.#poster.now();
      },
    });
  }

  #reporter(shard: number): Reporter {
    return new Reporter({
      ...this.#link(shard),
      resendAfterMs: this.#options.heartbeatIntervalMs,
      credit: () => this.#credit.announce(),
      onReleased: (names) => this.#released(shard, names),
      // A worker that hands work back gets nothing more before its next heartbeat, so that one comes at once.
      onHandedBack: () => {
        if (!this.#draining) this.#poster.hurry();
      },
    });
  }

  #link(shard: number): ShardLink {
    const { id, incarnation, deployment, store, keys, runtime } = this.#options;
    const clock = this.#clock;
    return { shard, worker: id, incarnation, deployment, store, keys, runtime, clock, observe: this.#observe };
  }

  // Attempts

  #start(filled: HeldAttempt[]): void {
    const complete = filled.filter(({ assignment }) => !isRef(assignment.input));
    if (complete.length > 0) this.#begin(complete);
    if (complete.length === filled.length) return;
    for (const attempt of filled) if (isRef(attempt.assignment.input)) void this.#fetch(attempt);
  }

  /** It has a slot and has not started: until its input is here it is handed back like one that waits. */
  async #fetch(attempt: HeldAttempt): Promise<void> {
    attempt.stage = 'fetching';
    const { task, input: reference } = attempt.assignment;
    const isWanted = () => attempt.stage === 'fetching';
    const loaded = await loadInput(this.#options, { shard: attempt.shard, task, reference }, isWanted);
    if (!isWanted()) return;
    if (!loaded.ok) return this.#withoutInput(attempt, loaded);
    attempt.stage = 'running';
    this.#begin([attempt], loaded.text);
  }

  /** What is not the input that was submitted must not run: it is rejected like a specification with a wrong seal. */
  #withoutInput(attempt: HeldAttempt, loaded: LoadedInput & { ok: false }): void {
    const at = this.#clock.now();
    const { task, input } = attempt.assignment;
    if (loaded.why === 'unread') {
      this.#observe({ type: 'fault', where: `input of task ${task}`, error: loaded.error });
      return this.#finish(attempt, returned(attempt, 'input_unread', at));
    }
    const { detail } = loaded;
    this.#observe({ type: 'message.rejected', reason: 'payload', detail, stream: 'records', entry: task });
    const entry = { stream: 'records', entry: task, reason: 'payload', text: input };
    // The quarantine is for people; the task is rejected whether or not this write arrives.
    this.#options.store.quarantine(attempt.shard, [entry]).catch(() => undefined);
    this.#finish(attempt, failed(attempt, terminal('rejected', detail), at));
  }

  /** @param input of the only attempt, where it was fetched */
  #begin(filled: HeldAttempt[], input?: string): void {
    const { runtime, timeoutGraceMs } = this.#options;
    const now = runtime.now();
    const storeNow = this.#clock.now();
    const attempts = filled.filter((attempt) => this.#mayStillRun(attempt, storeNow));
    for (const attempt of attempts) {
      attempt.startedAt = now;
      attempt.startedAtStore = storeNow;
      this.#setDeadline(attempt, now, storeNow);
      this.#poster.change(attempt.shard, attempt.held, 'started', attempt.deadlineAt + timeoutGraceMs);
      this.#deadlines.watch(this.#limitOf(attempt));
    }
    // Before any handler runs: one that blocks the loop must already stand in the heart's list as started.
    this.#poster.now();
    for (const attempt of attempts) {
      this.#reporters[attempt.shard]!.started(attempt);
      this.#runner.run(attempt, input ?? attempt.assignment.input);
    }
  }

  /** False: the task's own time was over before a slot was free. */
  #mayStillRun(attempt: HeldAttempt, storeNow: number): boolean {
    if (storeNow < (attempt.assignment.deadline ?? Number.POSITIVE_INFINITY)) return true;
    attempt.endsWithTask = true;
    this.#finish(attempt, failed(attempt, timedOut(attempt), storeNow));
    return false;
  }

  /** The end of the run's time or of the task's, whichever is first. */
  #setDeadline(attempt: HeldAttempt, now: number, storeNow: number): void {
    const { timeoutMs, deadline = Number.POSITIVE_INFINITY } = attempt.assignment;
    const runMs = timeoutMs ?? attempt.agent.timeoutMs ?? this.#options.runTimeoutMs;
    attempt.endsWithTask = deadline - storeNow <= runMs;
    attempt.deadlineAt = now + Math.min(runMs, deadline - storeNow);
  }

  #handlerEnded(attempt: HeldAttempt, outcome: Outcome): void {
    // Already handed back, because it did not end in time at the shutdown.
    if (attempt.stage === 'ended') return;
    const now = this.#options.runtime.now();
    const ms = Math.max(0, now - attempt.startedAt);
    if (attempt.context?.aborted === undefined) this.#credit.ran(attempt.agent.name, ms);
    this.#finish(attempt, finalReport(attempt, outcome, now, this.#clock.now()), ms);
  }

  #finish(attempt: HeldAttempt, report: FinalReport, ms?: number): void {
    this.#slots.leave(attempt);
    attempt.stage = 'ended';
    attempt.context?.close();
    this.#poster.change(attempt.shard, attempt.held, 'done');
    if (!this.#dead) this.#reporters[attempt.shard]!.ended(attempt, report);
    this.#observeEnd(attempt, report, ms);
    this.#gate.changed();
    this.#askForReleases();
    this.#tellDrained();
  }

  #tellDrained(): void {
    if (!this.#drainAsked || this.#dead || this.#slots.occupied > 0 || this.#kept() > 0) return;
    this.#drainAsked = false;
    this.#options.onDrained?.();
  }

  #observeEnd(attempt: HeldAttempt, report: FinalReport, ms: number | undefined): void {
    const { task, attemptId } = attempt.assignment;
    const code = report.kind === 'failed' ? report.error.code : report.kind === 'returned' ? report.why : undefined;
    const agent = attempt.agent.name;
    this.#observe({ type: 'attempt.ended', task, attemptId, agent, outcome: report.kind, code, ms });
  }

  #released(shard: number, names: string[]): void {
    for (const name of names) {
      const attempt = this.#reporters[shard]!.release(name);
      if (!attempt) continue;
      this.#book.release(attempt);
      this.#poster.change(shard, name, 'gone');
    }
    this.#gate.changed();
    this.#tellDrained();
    this.#tellReadiness();
    this.#askAfterMs = ASK_FIRST_MS;
  }

  #abortOnOrder(attempt: HeldAttempt, code: Cancel['code'], message: string): void {
    if (code !== 'superseded') return this.#runner.abort(attempt, code, message);
    this.#observe({ type: 'lease.lost', why: 'superseded', attempts: 1 });
    this.#runner.abort(attempt, 'lease_lost', message);
  }

  /** Until when the attempt may go on: to its deadline, and if it is exclusive, no longer than its lease. */
  #limitOf(attempt: HeldAttempt): number {
    return attempt.agent.exclusive ? Math.min(attempt.deadlineAt, this.#leaseEnd(attempt.shard)) : attempt.deadlineAt;
  }

  /** Counted from before the last heartbeat was sent: the store may have begun the lease as early as that. */
  #leaseEnd(shard: number): number {
    return this.#leases[shard]!.since + this.#options.instanceTtlMs;
  }

  #endOverdue(now: number): number {
    let next = Number.POSITIVE_INFINITY;
    let expired = 0;
    for (const attempt of this.#slots.running) {
      if (attempt.stage === 'fetching' || attempt.context?.aborted !== undefined) continue;
      if (now < this.#limitOf(attempt)) next = Math.min(next, this.#limitOf(attempt));
      else if (now >= attempt.deadlineAt) this.#runner.abort(attempt, 'timeout', timedOut(attempt).message);
      else {
        expired += 1;
        this.#runner.abort(attempt, 'lease_lost', 'the store did not answer until the lease was over');
      }
    }
    if (expired > 0) this.#observe({ type: 'lease.lost', why: 'expired', attempts: expired });
    return next;
  }

  #abortAll(code: AbortCode, message: string): void {
    for (const attempt of this.#slots.running) this.#runner.abort(attempt, code, message);
  }

  // The heart

  #hear(news: HeartNews): void {
    switch (news.type) {
      case 'beat':
        return this.#beaten(news);
      case 'failed':
        return this.#beatFailed(news);
      case 'replaced':
        this.#die('another incarnation of this worker is registered');
        return this.#options.onReplaced();
      case 'stopped':
        this.#die('the heartbeat stopped');
        return this.#options.onFatal(new Error(`the heartbeat of worker ${this.#options.id} stopped: ${news.message}`));
    }
  }

  #beaten({ shard, sentAt, now, released, distributor, jtis }: Beat): void {
    const lease = this.#leases[shard]!;
    const { failedAt } = lease;
    lease.since = Math.max(lease.since, sentAt);
    lease.beaten = true;
    lease.failedAt = undefined;
    if (this.#options.runtime.now() - sentAt < FRESH_NEWS_MS) this.#clock.read(now, sentAt);
    if (released.length > 0) this.#released(shard, released);
    this.#tellBeat({ shard, sentAt, released, jtis });
    if (failedAt !== undefined) {
      this.#observe({ type: 'store.back', where: 'heartbeat', message: 'the heartbeat was taken' });
      this.#reporters[shard]!.resendSentBefore(failedAt);
    }
    if (distributor === this.#distributor) return;
    this.#distributor = distributor;
    this.#observe({ type: 'distributor.changed', distributor });
  }

  #tellBeat({ shard, sentAt, released, jtis }: Pick<Beat, 'shard' | 'sentAt' | 'released' | 'jtis'>): void {
    const { id, runtime } = this.#options;
    const from = workerPrincipal(id);
    const stream = streamPlace(shard, `lease:${id}`);
    for (const [i, to] of (['coordinators', 'distributors'] as const).entries()) {
      this.#observe({ type: 'message.sent', message: 'worker.heartbeat', count: 1, from, to, stream, jti: jtis[i] });
    }
    const tookMs = Math.max(0, runtime.now() - sentAt);
    this.#observe({ type: 'lease.renewed', shard, tookMs, released: released.length });
  }

  #beatFailed({ shard, at, message, tried = 1, waitMs = 0 }: HeartNews & { type: 'failed' }): void {
    const lease = this.#leases[shard]!;
    this.#observe({ type: 'store.retry', what: 'heartbeat', tried, waitMs, reason: message });
    if (lease.failedAt !== undefined) return;
    lease.failedAt = at;
    this.#observe({ type: 'store.away', where: 'heartbeat', message });
  }

  #die(why: string): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#draining = true;
    this.#observe({ type: 'lease.lost', why: 'replaced', attempts: this.#slots.occupied });
    const at = this.#clock.now();
    for (const attempt of this.#slots.unstartedAttempts()) this.#finish(attempt, returned(attempt, 'lease_lost', at));
    this.#abortAll('lease_lost', why);
    this.#endLoops();
  }

  // Readiness

  /** Shows the heart that the loop moves, and looks after what only time brings about. */
  #pulse(): void {
    const { runtime, heartbeatIntervalMs } = this.#options;
    for (const reporter of this.#reporters) {
      reporter.resendOverdue();
      reporter.renewResults();
    }
    this.#tellReadiness();
    this.#poster.now();
    this.#cancelPulse = runtime.after(Math.min(PULSE_MS_MAX, heartbeatIntervalMs / 4), () => this.#pulse());
  }

  #tellReadiness(): void {
    const ready = this.#ready();
    if (ready !== this.#saidReady) this.#poster.hurry();
    this.#saidReady = ready;
  }

  #ready(): boolean {
    const { runtime, readyProgressWithinMs } = this.#options;
    const stale = runtime.now() - readyProgressWithinMs;
    if (this.#draining || !this.#usable) return false;
    // A shard whose node is away gives nothing anyway: the others must not be left without workers for that.
    return this.#readers.some((reader) => reader.movedAt > stale) && !this.#hasTooManyReports();
  }

  #hasTooManyReports(): boolean {
    const share = this.#keepsTooMuch ? KEPT_SHARE_AGAIN : 1;
    const bytes = sum(this.#reporters.map((of) => of.keptBytes));
    this.#keepsTooMuch = this.#kept() >= share * KEPT_REPORTS_MAX || bytes >= share * KEPT_BYTES_MAX;
    return this.#keepsTooMuch;
  }

  /**
   * What was decided is told only in answers. A worker that asks for no more work soon has nothing left to append, so
   * without this it would learn that there is room again from its next regular heartbeat.
   */
  #askForReleases(): void {
    if (this.#cancelAsking || this.#dead || !this.#hasTooManyReports()) return;
    this.#tellReadiness();
    const { runtime, heartbeatIntervalMs } = this.#options;
    this.#cancelAsking = runtime.after(this.#askAfterMs, () => {
      this.#cancelAsking = undefined;
      if (this.#hasTooManyReports()) this.#poster.hurry();
      this.#askForReleases();
    });
    this.#askAfterMs = Math.min(2 * this.#askAfterMs, heartbeatIntervalMs);
  }

  #kept(): number {
    return sum(this.#reporters.map((reporter) => reporter.kept));
  }

  #facts(): HeartFacts {
    const { used } = this.#slots.resources;
    const facts = { ready: this.#ready(), draining: this.#draining, used, ...this.#credit.announce() };
    return this.#agents ? { ...facts, agents: this.#agents } : facts;
  }

  // The end

  async #drain(drainMs: number): Promise<void> {
    const { runtime, heart } = this.#options;
    const endAt = runtime.now() + drainMs;
    const tail = Math.min(DRAIN_TAIL_MS_MAX, drainMs * 0.3);
    this.#draining = true;
    if (!this.#dead) this.#poster.hurry();
    this.#handBackWaiting();
    await this.#gate.until(() => this.#slots.running.size === 0, drainMs - tail);
    this.#abortAll('shutdown', 'the worker is shutting down');
    await this.#gate.until(() => this.#slots.running.size === 0, Math.min(SHUTDOWN_MOMENT_MS, tail / 2));
    this.#handBackRunning();
    const lastBeatMs = Math.min(LAST_BEAT_MS, tail / 4);
    await this.#gate.until(() => this.#dead || this.#kept() === 0, endAt - lastBeatMs - runtime.now());
    this.#endLoops();
    if (!this.#dead) this.#poster.now();
    await heart.stop(Math.max(0, Math.min(lastBeatMs, endAt - runtime.now())));
  }

  #handBackWaiting(): void {
    const at = this.#clock.now();
    for (const attempt of this.#slots.unstartedAttempts()) this.#finish(attempt, returned(attempt, 'drain', at));
  }

  #handBackRunning(): void {
    const at = this.#clock.now();
    for (const attempt of [...this.#slots.running]) this.#finish(attempt, interrupted(attempt, 'drain', at));
  }

  #endLoops(): void {
    this.#cancelPulse?.();
    this.#cancelAsking?.();
    this.#readingEnds.abort();
    this.#deadlines.stop();
    this.#poster.stop();
    for (const reporter of this.#reporters) reporter.stop();
  }
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
