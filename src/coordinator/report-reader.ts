/*
 * Reads the shard's reports in order and applies each once. Authoritative is the cursor, which moves in the same commit
 * as the effects: whoever owns the shard next goes on exactly there. A unit that lost (someone cancelled meanwhile) stops
 * the cursor before its entry; the rest is read and decided again, and what had won already is refused then by attempt
 * and sequence. An entry that fails a check, or whose commit the store refuses even alone, goes to the quarantine, and
 * the cursor passes it: one bad entry must not hold up a shard.
 */
import { StoreUnavailableError } from '../errors.ts';
import { openEnvelope } from '../message/envelope.ts';
import { workerIdOf } from '../message/principals.ts';
import { pause } from '../runtime/runtime.ts';
import { durabilityFor } from '../store/durability.ts';
import { compareEntries } from '../store/entry-id.ts';
import { patiently, retryPause } from '../store/patience.ts';
import {
  type CommitReply,
  heldName,
  type QuarantineEntry,
  type Release,
  type StreamEntry,
  streamPlace,
  UNITS_MAX,
} from '../store/store.ts';
import { attemptOf, isTerminal, type TaskRecord } from '../task/task.ts';
import { admitSubmits, type SubmitEntry } from './admit-submits.ts';
import { type DecidedReports, decideReports, type ReportEntry } from './decide-reports.ts';
import { decodeReadable } from './decode-readable.ts';
import { commitOwned, type OwnerContext, OwnershipLost } from './owner-context.ts';

const ENTRIES_PER_READ = 200;
const WAIT_MS = 1_000;
/** A commit that keeps losing units is decided again this often at once; then the loop turns and begins afresh. */
const ROUNDS_MAX = 10;
const TRIM_EVERY_MS = 1_000;
/** Characters of results in one commit, beyond the first entry: one that takes longer than a command may is repeated for ever. */
const RESULTS_LENGTH_MAX = 16 * 1024 * 1024;

/** An entry on its way through: verified reports, a verified submit, or on its way to the quarantine. */
type Opened = { entry: ReportEntry } | { submit: SubmitEntry } | { id: string; quarantine: QuarantineEntry };

export class ReportReader {
  readonly #context: OwnerContext;
  readonly #passedWaiters = new Set<() => void>();
  #cursor = '0-0';
  #trimmedAt = 0;
  #reading = false;
  /** Local time at which the loop last moved. */
  movedAt = 0;

  constructor(context: OwnerContext) {
    this.#context = context;
  }

  get cursor(): string {
    return this.#cursor;
  }

  async run(): Promise<void> {
    const { signal, runtime, observe } = this.#context;
    let failures = 0;
    while (!signal.aborted) {
      try {
        if (!this.#reading) await this.#begin();
        await this.#turn();
        failures = 0;
      } catch (error) {
        if (signal.aborted || error instanceof OwnershipLost) return;
        if (error instanceof StoreUnavailableError) this.#context.onAway();
        else observe({ type: 'fault', where: `report reader of shard ${this.#context.shard}`, error });
        this.#reading = false;
        await retryPause(error, ++failures, { runtime, signal });
      }
    }
  }

  /** True once every entry up to `id` has been applied; false when that took longer than `waitMs`. */
  async passed(id: string, waitMs: number): Promise<boolean> {
    const { runtime, signal } = this.#context;
    const until = runtime.now() + waitMs;
    while (compareEntries(this.#cursor, id) < 0) {
      const left = until - runtime.now();
      if (left <= 0 || signal.aborted) return false;
      const moved = new AbortController();
      const wake = () => moved.abort();
      this.#passedWaiters.add(wake);
      await pause(runtime, left, AbortSignal.any([moved.signal, signal]));
      this.#passedWaiters.delete(wake);
    }
    return true;
  }

  async #begin(): Promise<void> {
    const { store, shard } = this.#context;
    this.#moveTo(await store.reportCursor(shard));
    this.#reading = true;
    this.movedAt = this.#context.runtime.now();
  }

  async #turn(): Promise<void> {
    const { store, shard, runtime, signal } = this.#context;
    const from = [{ stream: 'reports' as const, after: this.#cursor }];
    const [batch] = await store.readStreams(shard, { from, count: ENTRIES_PER_READ, waitMs: WAIT_MS, signal });
    this.movedAt = runtime.now();
    if (batch && batch.entries.length > 0) await this.#apply(batch.entries);
    if (runtime.now() - this.#trimmedAt < TRIM_EVERY_MS) return;
    this.#trimmedAt = runtime.now();
    await store.trim(shard, 'reports', this.#cursor);
  }

  async #apply(entries: StreamEntry[]): Promise<void> {
    const now = this.#context.clock.now();
    const opened = entries.map((entry) => this.#open(entry, now));
    for (let from = 0; from < opened.length; ) {
      const size = batchSize(opened, from);
      await this.#applyBatch(opened.slice(from, from + size));
      from += size;
    }
  }

  #open(entry: StreamEntry, now: number): Opened {
    const { shard, keys, policy, observe } = this.#context;
    const text = entry.fields.e ?? '';
    const entryTime = Number(entry.id.split('-')[0]);
    const stream = streamPlace(shard, 'reports');
    const expected = { to: 'coordinators' as const, stream, streamKind: 'reports' as const };
    const opened = openEnvelope(text, { ...expected, deployment: policy.deployment, now, entryTime }, keys);
    if (opened.ok && opened.message.type === 'task.submit') {
      const { type, issuedAt, body } = opened.message;
      const latencyMs = Math.max(0, now - issuedAt);
      observe({ type: 'message.received', message: type, count: 1, latencyMs, envelope: text });
      return { submit: { id: entry.id, submit: body, text } };
    }
    if (!opened.ok || opened.message.type !== 'task.report') {
      const [reason, detail] = opened.ok ? ['type', opened.message.type] : [opened.reason, opened.detail];
      observe({ type: 'message.rejected', reason, detail, stream: 'reports', entry: entry.id });
      return { id: entry.id, quarantine: { stream: 'reports', entry: entry.id, reason, text } };
    }
    const { from, body, issuedAt } = opened.message;
    const { reports, incarnation } = body;
    if (new Set(reports.map((report) => report.task)).size > UNITS_MAX) {
      return { id: entry.id, quarantine: { stream: 'reports', entry: entry.id, reason: 'body', text } };
    }
    const latencyMs = Math.max(0, now - issuedAt);
    observe({ type: 'message.received', message: 'task.report', count: reports.length, latencyMs, envelope: text });
    return { entry: { id: entry.id, worker: workerIdOf(from) ?? '', incarnation, reports } };
  }

  async #applyBatch(opened: Opened[]): Promise<void> {
    let rest = opened;
    const lacking = new Set<string>();
    for (let round = 0; rest.length > 0 && round < ROUNDS_MAX; round++) {
      try {
        await this.#round(rest, lacking);
      } catch (error) {
        if (error instanceof OwnershipLost || error instanceof StoreUnavailableError) throw error;
        await this.#alone(rest, error, lacking);
      }
      rest = rest.filter((one) => compareEntries(idOf(one), this.#cursor) > 0);
    }
    if (rest.length > 0) throw new Error(`${rest.length} report entries still in conflict after ${ROUNDS_MAX} rounds`);
  }

  /**
   * Decides and commits `opened` from the cursor on; what lost stays behind the cursor for the next round.
   * @param lacking gets the attempts whose large result was not there: their report is refused then, and not released, so
   * the worker brings it again; one that is gone is found by the reaper
   */
  async #round(opened: Opened[], lacking: Set<string>): Promise<void> {
    const { runtime, policy, observe } = this.#context;
    const batch = opened.flatMap((one) => ('entry' in one ? [one.entry] : []));
    const submits = opened.flatMap((one) => ('submit' in one ? [one.submit] : []));
    const { records, present, now } = await this.#read(batch, submits);
    const decided = decideReports(batch, records, { now, policy, jitter: runtime.random, lacking });
    const admitted = await admitSubmits(this.#context, submits, present, decided.units.length);
    const units = new Map([...decided.entries, ...admitted.entries].map((entry) => [entry.id, entry.units]));
    const ended = decided.changed.map(({ after }) => after).filter(({ state }) => isTerminal(state));
    const level = durabilityFor([...ended, ...admitted.tasks.map(({ task }) => task)]);
    const reply = await commitOwned(this.#context, {
      ...level,
      units: [...decided.units, ...admitted.units],
      cursor: {
        from: this.#cursor,
        entries: opened.map((one) => ({ id: idOf(one), units: units.get(idOf(one)) ?? [] })),
      },
      // A worker forgets what is released: a result that is to outlive the store has to have done so first.
      release: level.durability ? [] : decided.release,
      quarantine: [...opened.flatMap((one) => ('quarantine' in one ? [one.quarantine] : [])), ...admitted.quarantine],
    });
    if (reply.fenced === 'cursor') return this.#begin();
    if (level.durability) await this.#releaseWon(decided.release, reply);
    this.#moveTo(reply.cursor ?? this.#cursor);
    this.#tell(decided, reply, lacking);
    admitted.tasks.forEach(({ task, events }, i) => {
      if (reply.units[decided.units.length + i]?.ok) this.#context.onCommitted(task, events);
    });
    for (const { report, reason } of decided.refused) {
      observe({ type: 'state.refused', id: report.task, command: report.kind, reason });
    }
  }

  async #read(
    batch: ReportEntry[],
    submits: SubmitEntry[],
  ): Promise<{ records: Map<string, TaskRecord>; present: Set<string>; now: number }> {
    const { store, clock, shard, runtime, signal } = this.#context;
    const named = [...batch.flatMap(({ reports }) => reports.map(({ task }) => task)), ...submits.map(taskOf)];
    const ids = [...new Set(named)];
    if (ids.length === 0) return { records: new Map(), present: new Set(), now: clock.now() };
    const read = () => clock.learn(() => store.read(shard, ids));
    const { tasks, now } = await patiently(read, { runtime, tries: 20, signal, onAway: this.#context.onAway });
    const records = new Map<string, TaskRecord>();
    const present = new Set<string>();
    for (const task of tasks) {
      if (task) present.add(task.id);
      // One that was written over counts as gone: it must not take the reports beside it along.
      const record = task && decodeReadable(this.#context, task);
      if (record) records.set(record.id, record);
    }
    return { records, present, now };
  }

  /** The commit failed as a whole: each entry is tried alone, and what fails then goes to the quarantine. */
  async #alone(opened: Opened[], error: unknown, lacking: Set<string>): Promise<void> {
    const { observe, shard } = this.#context;
    observe({ type: 'fault', where: `commit of ${opened.length} report entries of shard ${shard}`, error });
    const [first] = opened;
    if (!first) return;
    if (opened.length === 1) return this.#quarantine(first, error);
    for (const one of opened) {
      try {
        await this.#round([one], lacking);
      } catch (failure) {
        if (failure instanceof OwnershipLost || failure instanceof StoreUnavailableError) throw failure;
        await this.#quarantine(one, failure);
      }
      // What is left of it behind the cursor was in conflict: the next round takes it up again, in order.
      if (compareEntries(idOf(one), this.#cursor) > 0) return;
    }
  }

  async #releaseWon(release: Release[], reply: CommitReply): Promise<void> {
    const won = release.map(({ holder, attempts }): Release => {
      const left = attempts.filter(({ unit }) => unit === undefined || reply.units[unit]?.ok);
      return { holder, attempts: left.map(({ held }) => ({ held })) };
    });
    await commitOwned(this.#context, { units: [], release: won.filter(({ attempts }) => attempts.length > 0) });
  }

  async #quarantine(one: Opened, error: unknown): Promise<void> {
    const text = textOf(one).slice(0, 4_096);
    const reason = `commit: ${error instanceof Error ? error.message : String(error)}`.slice(0, 200);
    const reply = await commitOwned(this.#context, {
      units: [],
      cursor: { from: this.#cursor, entries: [{ id: idOf(one), units: [] }] },
      quarantine: [{ stream: 'reports', entry: idOf(one), reason, text }],
    });
    this.#moveTo(reply.cursor ?? this.#cursor);
  }

  #tell(decided: DecidedReports, reply: CommitReply, lacking: Set<string>): void {
    const { onCommitted, observe } = this.#context;
    decided.changed.forEach(({ before, after, events }, i) => {
      const outcome = reply.units[i];
      if (outcome?.ok) onCommitted(after, events);
      else if (outcome?.reason === 'missing') lacking.add(heldName(before.id, attemptOf(before).id));
      else observe({ type: 'state.conflict', id: before.id, where: 'report' });
    });
  }

  #moveTo(cursor: string): void {
    this.#cursor = cursor;
    for (const wake of [...this.#passedWaiters]) wake();
  }
}

function idOf(one: Opened): string {
  if ('entry' in one) return one.entry.id;
  return 'submit' in one ? one.submit.id : one.id;
}

function textOf(one: Opened): string {
  if ('entry' in one) return JSON.stringify(one.entry);
  return 'submit' in one ? one.submit.text : one.quarantine.text;
}

function taskOf({ submit }: SubmitEntry): string {
  return submit.task;
}

/** As many entries as fit one commit: reports are counted, of which each makes at most one unit, and results measured. */
function batchSize(opened: Opened[], from: number): number {
  let reports = 0;
  let length = 0;
  let size = 0;
  for (let i = from; i < opened.length; i++) {
    const one = opened[i]!;
    reports += 'entry' in one ? one.entry.reports.length : 1;
    length += 'entry' in one ? resultsLength(one.entry) : 'submit' in one ? one.submit.text.length : 0;
    if (size > 0 && (reports > UNITS_MAX || length > RESULTS_LENGTH_MAX)) break;
    size += 1;
  }
  return size;
}

function resultsLength({ reports }: ReportEntry): number {
  return reports.reduce((sum, report) => sum + (report.kind === 'completed' ? report.result.length : 0), 0);
}
