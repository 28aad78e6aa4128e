/**
 * Brings the reports of one shard's attempts into its stream. Whatever ended in the same turn of the loop goes in one
 * signed envelope; while an append is under way more gathers, so batches grow with the load and no timer holds one up.
 *
 * A terminal report is kept until its shard's owner has decided it, which comes back as the attempt's name in the
 * answer to any append or heartbeat. Until then it is sent again, newly signed but with the same sequence: a report that
 * was lost takes effect then, and one that was not is refused and released.
 */
import type { Report } from '../message/bodies.ts';
import { signEnvelope } from '../message/envelope.ts';
import { workerPrincipal } from '../message/principals.ts';
import { digestOf } from '../message/seal.ts';
import { retryPause } from '../store/patience.ts';
import { streamPlace } from '../store/store.ts';
import { isLarge, refText } from '../task/payload.ts';
import type { Credit } from './credit-meter.ts';
import { type FinalReport, ofAttempt } from './final-report.ts';
import type { HeldAttempt } from './held-attempt.ts';
import { ResultKeeper } from './result-keeper.ts';
import type { ShardLink } from './shard-link.ts';

export const REPORTS_PER_ENVELOPE_MAX = 500;
export const ENVELOPE_BYTES_MAX = 512 * 1024;
/** Progress of one attempt is sent at most so often; the latest wins. */
export const PROGRESS_EVERY_MS = 200;
/** While no owner decides anything, repetitions must not fill the stream: the pause doubles up to so many times the first. */
const RESEND_FACTOR_MAX = 12;
/** What a report weighs beside its texts. */
const REPORT_BYTES = 200;
const MESSAGE_ID_LENGTH = 20;

export interface ReporterOptions extends ShardLink {
  /** A report not released for so long after it was first sent is sent again. */
  resendAfterMs: number;
  credit: () => Credit;
  /** Names that the store gave back: those attempts are decided. */
  onReleased: (names: string[]) => void;
  /** A hint in the store says that something was handed back. A heartbeat from before it would not end what it began. */
  onHandedBack: () => void;
}

interface Kept {
  attempt: HeldAttempt;
  report: FinalReport;
  /** What it takes here, its result included wherever that goes. */
  bytes: number;
  /** What it takes in an envelope. */
  envelopeBytes: number;
  /** Its result goes to the store apart, and before it. */
  large: boolean;
  /** Local time of the last append. */
  sentAt: number;
  sends: number;
  /** In the queue or on the way there, or in an append under way. */
  queued: boolean;
}

interface Batch {
  reports: Report[];
  kept: Kept[];
}

export class Reporter {
  readonly #options: ReporterOptions;
  readonly #stop = new AbortController();
  /** Terminal reports by attempt. */
  readonly #kept = new Map<string, Kept>();
  readonly #results: ResultKeeper;
  #queue: Kept[] = [];
  #started: HeldAttempt[] = [];
  readonly #progress = new Map<HeldAttempt, { progress: number; note: string | undefined }>();
  #keptBytes = 0;
  #called = false;
  #sending = false;
  #cancelProgress: (() => void) | undefined;

  constructor(options: ReporterOptions) {
    this.#options = options;
    this.#results = new ResultKeeper(options, this.#stop.signal);
  }

  /** Terminal reports that are not yet decided. */
  get kept(): number {
    return this.#kept.size;
  }

  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** Told with the next batch, unless the attempt has ended by then. */
  started(attempt: HeldAttempt): void {
    this.#started.push(attempt);
    this.#call();
  }

  progress(attempt: HeldAttempt, progress: number, note: string | undefined): void {
    this.#progress.set(attempt, { progress, note });
    this.#callForProgress();
  }

  ended(attempt: HeldAttempt, report: FinalReport): void {
    const kept = this.#keep(attempt, report);
    this.#progress.delete(attempt);
    this.#kept.set(attempt.held, kept);
    this.#keptBytes += kept.bytes;
    this.#enqueue(kept);
  }

  /** The attempt, if its report was kept here. */
  release(held: string): HeldAttempt | undefined {
    const kept = this.#kept.get(held);
    if (!kept) return undefined;
    this.#kept.delete(held);
    this.#results.forget(held);
    this.#keptBytes -= kept.bytes;
    return kept.attempt;
  }

  /** Sends again what has been waiting for its decision too long: the first time soon, then ever more rarely. */
  resendOverdue(): void {
    const { runtime, resendAfterMs } = this.#options;
    const now = runtime.now();
    this.#resend(({ sentAt, sends }) => now - sentAt >= resendAfterMs * Math.min(2 ** (sends - 1), RESEND_FACTOR_MAX));
  }

  /** Sends again what was sent before this local time: contact was lost then, and it may have been lost too. */
  resendSentBefore(time: number): void {
    this.#resend(({ sentAt }) => sentAt < time);
  }

  /** The store forgets results that are not renewed. */
  renewResults(): void {
    void this.#results.renew();
  }

  stop(): void {
    this.#stop.abort();
    this.#cancelProgress?.();
  }

  #resend(due: (kept: Kept) => boolean): void {
    for (const kept of this.#kept.values()) if (!kept.queued && due(kept)) this.#enqueue(kept);
  }

  #keep(attempt: HeldAttempt, report: FinalReport): Kept {
    const bytes = bytesOf(report);
    const kept: Kept = {
      attempt,
      report,
      bytes,
      envelopeBytes: bytes,
      large: false,
      sentAt: 0,
      sends: 0,
      queued: false,
    };
    if (report.kind !== 'completed' || !isLarge(report.result)) return kept;
    const { result } = report;
    this.#results.add(attempt.held, attempt.assignment.attemptId, result);
    kept.report = { ...report, result: refText({ bytes: Buffer.byteLength(result), digest: digestOf(result) }) };
    kept.envelopeBytes = bytesOf(kept.report);
    kept.large = true;
    return kept;
  }

  #enqueue(kept: Kept): void {
    kept.queued = true;
    if (kept.large) void this.#enqueueBehindResult(kept);
    else this.#queueUp(kept);
  }

  async #enqueueBehindResult(kept: Kept): Promise<void> {
    try {
      if (await this.#results.bring(kept.attempt.held)) this.#queueUp(kept);
    } catch (error) {
      this.#putOff([kept], error);
    }
  }

  #queueUp(kept: Kept): void {
    this.#queue.push(kept);
    this.#call();
  }

  #call(): void {
    if (this.#called || this.#sending || this.#stop.signal.aborted) return;
    this.#called = true;
    this.#options.runtime.soon(() => {
      this.#called = false;
      void this.#send();
    });
  }

  #callForProgress(): void {
    if (this.#cancelProgress || this.#progress.size === 0) return;
    let dueAt = Number.POSITIVE_INFINITY;
    for (const attempt of this.#progress.keys()) dueAt = Math.min(dueAt, attempt.progressAt + PROGRESS_EVERY_MS);
    const { runtime } = this.#options;
    this.#cancelProgress = runtime.after(Math.max(0, dueAt - runtime.now()), () => {
      this.#cancelProgress = undefined;
      this.#call();
    });
  }

  async #send(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    try {
      for (let batch = this.#take(); batch && !this.#stop.signal.aborted; batch = this.#take()) {
        await this.#append(batch);
      }
    } catch (error) {
      this.#options.observe({ type: 'fault', where: `reports to shard ${this.#options.shard}`, error });
    } finally {
      this.#sending = false;
    }
    this.#callForProgress();
  }

  /** The next envelope's reports; a large one goes alone rather than never. */
  #take(): Batch | null {
    const batch: Batch = { reports: this.#takeRunning(), kept: [] };
    let bytes = batch.reports.length * REPORT_BYTES;
    let taken = 0;
    for (const kept of this.#queue) {
      const full = batch.reports.length >= REPORTS_PER_ENVELOPE_MAX || bytes + kept.envelopeBytes > ENVELOPE_BYTES_MAX;
      if (full && batch.reports.length > 0) break;
      taken += 1;
      if (!this.#kept.has(kept.attempt.held)) continue;
      bytes += kept.envelopeBytes;
      batch.reports.push(kept.report);
      batch.kept.push(kept);
    }
    this.#queue = this.#queue.slice(taken);
    return batch.reports.length > 0 ? batch : null;
  }

  #takeRunning(): Report[] {
    const at = this.#options.clock.now();
    const reports: Report[] = [];
    const started = this.#started.splice(0, REPORTS_PER_ENVELOPE_MAX);
    for (const attempt of started) {
      if (attempt.stage !== 'running') continue;
      reports.push({ kind: 'started', ...ofAttempt(attempt, at), at: attempt.startedAtStore });
    }
    const now = this.#options.runtime.now();
    for (const [attempt, { progress, note }] of this.#progress) {
      if (reports.length >= REPORTS_PER_ENVELOPE_MAX) break;
      if (now - attempt.progressAt < PROGRESS_EVERY_MS) continue;
      this.#progress.delete(attempt);
      attempt.progressAt = now;
      const report: Report = { kind: 'progress', ...ofAttempt(attempt, at), progress };
      if (note !== undefined) report.note = note;
      if (attempt.context?.used) report.usage = attempt.context.used;
      reports.push(report);
    }
    return reports;
  }

  /** Until the store has taken it: whether a rejected append took effect is unknown, and a second one is harmless. */
  async #append(batch: Batch): Promise<void> {
    const { shard, store, runtime, worker, incarnation, observe } = this.#options;
    const { signal } = this.#stop;
    let failedAt: number | undefined;
    for (let tried = 1; !signal.aborted; tried++) {
      const sentAt = runtime.now();
      try {
        const hint = this.#hint(batch);
        const envelope = this.#sign(batch);
        const reply = await store.report(shard, { worker, incarnation, envelope, hint });
        this.#sent(batch, envelope, reply, sentAt);
        if (failedAt !== undefined) {
          observe({ type: 'store.back', where: 'reports', message: 'the reports were taken' });
          this.resendSentBefore(failedAt);
        }
        return;
      } catch (error) {
        if ((error as { retryable?: unknown }).retryable !== true) return this.#putOff(batch.kept, error);
        if (failedAt === undefined) {
          observe({ type: 'store.away', where: 'reports', message: (error as Error).message });
          failedAt = sentAt;
        }
        await retryPause(error, tried, { runtime, signal });
      }
    }
  }

  #sent(batch: Batch, envelope: string, reply: { now: number; released: string[] }, sentAt: number): void {
    const { clock, observe, onReleased, onHandedBack } = this.#options;
    clock.read(reply.now, sentAt);
    const resent = this.#markSent(batch.kept, sentAt);
    observe({ type: 'message.sent', message: 'task.report', count: batch.reports.length, envelope });
    if (resent > 0) observe({ type: 'report.resent', count: resent });
    if (reply.released.length > 0) onReleased(reply.released);
    if (batch.kept.some(({ report }) => report.kind === 'returned')) onHandedBack();
  }

  /** Answers how many had been sent before. */
  #markSent(all: readonly Kept[], sentAt: number): number {
    let resent = 0;
    for (const kept of all) {
      if (kept.sends > 0) resent += 1;
      kept.sends += 1;
      kept.sentAt = sentAt;
      kept.queued = false;
    }
    return resent;
  }

  /** What cannot be sent as it is must not stop the others; it is tried again when it is overdue. */
  #putOff(all: readonly Kept[], error: unknown): void {
    this.#markSent(all, this.#options.runtime.now());
    this.#options.observe({ type: 'fault', where: `reports to shard ${this.#options.shard}`, error });
  }

  /** Unsigned, for the distributors: so many slots are free again. */
  #hint(batch: Batch): string | null {
    if (batch.kept.length === 0) return null;
    const { worker, incarnation, credit } = this.#options;
    const { extra, quick } = credit();
    return JSON.stringify({
      w: worker,
      i: incarnation,
      r: batch.kept.map((kept) => kept.attempt.held),
      x: extra,
      q: quick,
      // Handed back: nothing more before the next heartbeat.
      b: batch.reports.some((report) => report.kind === 'returned') || undefined,
    });
  }

  #sign({ reports }: Batch): string {
    const { shard, worker, incarnation, deployment, runtime, clock, keys } = this.#options;
    return signEnvelope(
      {
        jti: runtime.id(MESSAGE_ID_LENGTH),
        type: 'task.report',
        from: workerPrincipal(worker),
        to: 'coordinators',
        stream: streamPlace(shard, 'reports'),
        deployment,
        now: clock.now(),
        body: { incarnation, reports },
      },
      keys,
    );
  }
}

function bytesOf(report: FinalReport): number {
  if (report.kind === 'completed') return REPORT_BYTES + report.result.length;
  return REPORT_BYTES + (report.kind === 'failed' ? report.error.message.length : 0);
}
