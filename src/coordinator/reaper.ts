/*
 * Ends attempts whose worker is gone, and finds those that got lost on the way to or from a worker that lives.
 *
 * Evidence is the lease: the last heartbeat this coordinator verified. Two things could make it lie, and both are waited
 * out. A report that already lies in the stream may still end the attempt in order: nothing is judged before the cursor
 * has passed everything that was there when the evidence was read. And silence may be our own: after our start, a stall
 * of our loop, or an outage of the store, workers get a full INSTANCE_TTL to be heard again. Only a registered successor
 * (a newer incarnation that beats) is proof at once. A judgement names the attempt, so if the record has moved on, the
 * commit does nothing.
 */

import { HeartbeatWatch, type SeenBeat } from '../fleet/heartbeat-watch.ts';
import { isLaterIncarnation } from '../fleet/incarnation.ts';
import { cancelPost, Letters, tellSent } from '../fleet/mail.ts';
import { verifyTask } from '../fleet/verify-task.ts';
import { ATTEMPTS_PER_HEARTBEAT_MAX, type Cancel, type HeartbeatBody } from '../message/bodies.ts';
import { heldName, holderOf, parseHeld, parseHolder, UNITS_MAX } from '../store/store.ts';
import { shardOf } from '../task/id.ts';
import { isActive, type TaskRecord } from '../task/task.ts';
import type { Command } from '../task/transition.ts';
import { changeTasks } from './change-tasks.ts';
import { decodeReadable } from './decode-readable.ts';
import { dropEntries } from './drop-entries.ts';
import { commitOwned, type OwnerContext } from './owner-context.ts';
import type { ReportReader } from './report-reader.ts';

/** Long, because a tick that gives up begins again behind a later end: with a backlog nobody would ever be judged. */
const REPORTS_WAIT_MS = 10_000;
/** Heartbeats in which an attempt must be missing, or its worker not ready, before the owner acts. */
const STRIKES = 2;
/** Evidence that is read this long after the last tick means that our loop stood still. */
const STALL_MS = 2_000;

type Started = 'yes' | 'no' | 'unknown';

export class Reaper {
  readonly #context: OwnerContext;
  readonly #reports: ReportReader;
  readonly #watch: HeartbeatWatch;
  /** By holder: when we first saw it without any heartbeat. */
  readonly #silentSince = new Map<string, number>();
  /** By holder: attempts missing from heartbeats after their assignment, with the number of heartbeats. */
  readonly #missing = new Map<string, Map<string, number>>();
  /** By holder: attempts a worker lists that no record holds. */
  readonly #foreign = new Map<string, Map<string, number>>();
  readonly #notReady = new Map<string, number>();
  #quietUntil: number;
  #lastTick: number;

  constructor(context: OwnerContext, reports: ReportReader) {
    this.#context = context;
    this.#reports = reports;
    const { store, keys, clock, observe, shard, policy, runtime } = context;
    const { deployment, instanceTtlMs } = policy;
    this.#watch = new HeartbeatWatch({
      store,
      keys,
      clock,
      observe,
      shard,
      reader: 'coordinators',
      deployment,
      instanceTtlMs,
    });
    this.#lastTick = runtime.now();
    this.#quietUntil = runtime.now() + instanceTtlMs;
  }

  /** Silence proves nothing for another INSTANCE_TTL. */
  beQuiet(): void {
    const { runtime, policy } = this.#context;
    this.#quietUntil = runtime.now() + policy.instanceTtlMs;
  }

  async tick(): Promise<void> {
    try {
      await this.#judge();
    } finally {
      this.#lastTick = this.#context.runtime.now();
    }
  }

  async #judge(): Promise<void> {
    const { store, shard } = this.#context;
    const { now, fresh } = await this.#watch.look();
    this.#noticeStall();
    const holders = await store.holders(shard);
    const suspects = holders.filter((holder) => this.#isGone(holder, now));
    if (suspects.length === 0 && fresh.length === 0) return;
    const tail = await store.lastEntry(shard, 'reports');
    if (!(await this.#reports.passed(tail.id, REPORTS_WAIT_MS))) return;
    const again = await this.#watch.look();
    for (const holder of suspects) if (this.#isGone(holder, again.now)) await this.#bury(holder);
    const heard = new Map([...fresh, ...again.fresh].map((seen) => [seen.heartbeat.worker, seen]));
    for (const seen of heard.values()) await this.#compare(seen);
  }

  /** More time has passed since the last tick than the pause and one look account for: we stood still, perhaps all of us. */
  #noticeStall(): void {
    const { runtime } = this.#context;
    if (runtime.now() - this.#lastTick > STALL_MS) this.beQuiet();
  }

  #isGone(holder: string, now: number): boolean {
    const { policy, runtime } = this.#context;
    const { worker, incarnation } = parseHolder(holder);
    const seen = this.#watch.get(worker);
    if (seen?.heartbeat.incarnation === incarnation) {
      this.#silentSince.delete(holder);
      return now - seen.at > policy.instanceTtlMs && runtime.now() >= this.#quietUntil;
    }
    if (seen && isLaterIncarnation(seen.heartbeat.incarnation, incarnation)) return true;
    const since = this.#silentSince.get(holder) ?? now;
    this.#silentSince.set(holder, since);
    return now - since > policy.instanceTtlMs && runtime.now() >= this.#quietUntil;
  }

  async #bury(holder: string): Promise<void> {
    const { store, shard, observe, policy } = this.#context;
    const { worker, incarnation } = parseHolder(holder);
    const last = this.#watch.get(worker);
    const successor = last !== undefined && last.heartbeat.incarnation !== incarnation;
    const heard = successor ? last.predecessor : (last?.heartbeat ?? null);
    const listed = heard?.incarnation === incarnation ? heard : null;
    const { entries } = await store.range(shard, `held:${holder}`, Number.MAX_SAFE_INTEGER, UNITS_MAX);
    if (entries.length > 0) {
      observe({ type: 'lease.expired', worker, incarnation, attempts: entries.length });
      const why = successor ? 'replaced' : 'worker_lost';
      await this.#endHeld(holder, entries, (task, attemptId) => {
        const started = startedBy(listed, task, attemptId);
        return { type: 'lose', attemptId, started, crashesMax: policy.workerLostMax, why };
      });
    }
    // With a full slice there is more: the next tick goes on, and only then the holder is retired.
    if (entries.length === UNITS_MAX) return;
    if (await store.retire(shard, worker, incarnation)) this.#forget(holder);
  }

  #forget(holder: string): void {
    for (const map of [this.#silentSince, this.#missing, this.#foreign, this.#notReady]) map.delete(holder);
  }

  /** Gives a command to the task behind each entry of a `held:` index, and drops the entries that nothing stands behind. */
  async #endHeld(
    holder: string,
    entries: [string, number][],
    commandFor: (task: TaskRecord, attemptId: string) => Command | null,
  ): Promise<void> {
    const attempts = new Map(entries.map(([member]) => [parseHeld(member).id, member]));
    const { left } = await changeTasks(this.#context, [...attempts.keys()], (task) => {
      const { attemptId } = parseHeld(attempts.get(task.id)!);
      if (!isActive(task.state) || task.trail.attempt?.id !== attemptId) return null;
      return commandFor(task, attemptId);
    });
    const stale = left.map((one) => ({ ...one, member: attempts.get(one.id)! }));
    const holds = (record: TaskRecord, member: string) => record.trail.attempt?.id === parseHeld(member).attemptId;
    await dropEntries(
      this.#context,
      `held:${holder}`,
      stale.filter(({ record, member }) => record === null || !holds(record, member)),
      () => false,
    );
  }

  /** What the worker says it has against what the records say it has. */
  async #compare(seen: SeenBeat): Promise<void> {
    const { heartbeat } = seen;
    const holder = holderOf(heartbeat.worker, heartbeat.incarnation);
    await this.#findMissing(holder, seen);
    await this.#answerForeign(holder, seen);
    await this.#takeBackUnstarted(holder, seen);
  }

  async #findMissing(holder: string, seen: SeenBeat): Promise<void> {
    const { store, shard, policy } = this.#context;
    const { heartbeat } = seen;
    const listed = new Set([...heartbeat.unstarted, ...heartbeat.started, ...heartbeat.done]);
    const { entries } = await store.range(shard, `held:${holder}`, seen.at, ATTEMPTS_PER_HEARTBEAT_MAX);
    const absent = entries.filter(([member]) => !listed.has(member)).map(([member]) => member);
    const due = strike(this.#missing, holder, absent);
    if (due.length === 0) return;
    await this.#endHeld(
      holder,
      due.map((member) => [member, 0]),
      (task, attemptId) => {
        const neverSeen = task.state === 'assigned' && !task.trail.attempt?.resent;
        if (neverSeen) return this.#resend(task, attemptId);
        const crashesMax = policy.workerLostMax;
        return { type: 'lose', attemptId, started: 'unknown', crashesMax, why: 'missing', tell: true };
      },
    );
  }

  /** An assignment is signed anew here, so what it carries is checked anew: the record may have been written over. */
  #resend(task: TaskRecord, attemptId: string): Command | null {
    const { store, shard, keys, observe } = this.#context;
    const verified = verifyTask(task, keys);
    if (verified.verdict === 'ok') return { type: 'resend', attemptId };
    const { verdict, detail } = verified;
    const reason = verdict === 'wrong' ? 'seal' : 'key';
    observe({ type: 'message.rejected', reason, detail, stream: 'records', entry: task.id });
    if (verdict === 'unknown_key') return null;
    const { seal, text } = task.sealed;
    // The quarantine is for people; the task is rejected whether or not this write arrives.
    const entry = { stream: 'records', entry: task.id, reason, text: `${seal} ${text}` };
    store.quarantine(shard, [entry]).catch(() => undefined);
    return { type: 'reject', message: detail };
  }

  /** An attempt that the worker runs and its record does not hold is told to stop, each time it is listed. */
  async #answerForeign(holder: string, { heartbeat }: SeenBeat): Promise<void> {
    const { store, shard } = this.#context;
    const mine = [...heartbeat.started, ...heartbeat.unstarted].filter((held) => shardOf(held) === shard);
    const present = await store.contains(shard, `held:${holder}`, mine);
    const foreign = mine.filter((_, i) => !present[i]);
    const due = await this.#superseded(strike(this.#foreign, holder, foreign, 'keep').slice(0, UNITS_MAX));
    if (due.length === 0) return;
    const letters = new Letters<Cancel>();
    for (const held of due) {
      const { id, attemptId } = parseHeld(held);
      const reason = 'this attempt was superseded: its task ended, or went to another worker';
      letters.add(holder, { task: id, attemptId, code: 'superseded', reason });
    }
    await this.#post(letters);
  }

  /** Those that their records do not hold: the index that they are missing from may itself be what is missing. */
  async #superseded(suspects: string[]): Promise<string[]> {
    if (suspects.length === 0) return [];
    const { store, shard } = this.#context;
    const ids = suspects.map((held) => parseHeld(held).id);
    const { tasks } = await store.read(shard, ids);
    const records = tasks.map((stored) => stored && decodeReadable(this.#context, stored));
    return suspects.filter((held, i) => records[i]?.trail.attempt?.id !== parseHeld(held).attemptId);
  }

  /** A worker that stays alive but cannot take part gives back what it has not begun. */
  async #takeBackUnstarted(holder: string, { heartbeat }: SeenBeat): Promise<void> {
    const { shard, policy } = this.#context;
    const strikes = heartbeat.ready || heartbeat.draining ? 0 : (this.#notReady.get(holder) ?? 0) + 1;
    if (strikes > 0) this.#notReady.set(holder, strikes);
    else this.#notReady.delete(holder);
    const unstarted = heartbeat.unstarted.filter((held) => shardOf(held) === shard);
    if (strikes < STRIKES || unstarted.length === 0) return;
    await this.#endHeld(
      holder,
      unstarted.map((member) => [member, 0]),
      (task, attemptId) => {
        // It may have begun since that heartbeat; what may run only once is left to the worker that lives.
        if (task.state !== 'assigned' || task.spec.delivery === 'at-most-once') return null;
        const crashesMax = policy.workerLostMax;
        return { type: 'lose', attemptId, started: 'no', crashesMax, why: 'taken_back', tell: true };
      },
    );
  }

  async #post(letters: Letters<Cancel>): Promise<void> {
    const sender = { ...this.#context, principal: 'coordinators' as const };
    const post = letters.all().map((letter) => cancelPost(sender, letter));
    tellSent(this.#context.observe, post, await commitOwned(this.#context, { units: [], post }));
  }
}

/** What a worker's last heartbeat says about an attempt that is now lost with it. */
function startedBy(last: HeartbeatBody | null, { id, spec }: TaskRecord, attemptId: string): Started {
  const held = heldName(id, attemptId);
  if (last?.started.includes(held)) return 'yes';
  // It may have begun after that heartbeat: good enough to tell whom a crash is counted against, no proof that it never ran.
  const isUnstarted = spec.delivery !== 'at-most-once' && last?.unstarted.includes(held);
  return isUnstarted ? 'no' : 'unknown';
}

/**
 * Counts in how many heartbeats in a row each name was found; answers those that reached STRIKES.
 * They start anew then, unless `keep`: what is answered each time stays due.
 */
function strike(counts: Map<string, Map<string, number>>, holder: string, found: string[], keep?: 'keep'): string[] {
  const before = counts.get(holder);
  const now = new Map<string, number>();
  const due: string[] = [];
  for (const name of found) {
    const count = (before?.get(name) ?? 0) + 1;
    if (count >= STRIKES) due.push(name);
    if (count < STRIKES || keep) now.set(name, count);
  }
  if (now.size > 0) counts.set(holder, now);
  else counts.delete(holder);
  return due;
}
