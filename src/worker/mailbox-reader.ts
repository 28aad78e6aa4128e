/**
 * Reads one shard's mailbox of this incarnation: envelopes in, verified assignments and cancels out. What fails a check
 * is put aside with its reason and skipped; nothing else happens to it.
 */
import { StoreUnavailableError } from '../errors.ts';
import type { Assignment, Cancel } from '../message/bodies.ts';
import { type Message, openEnvelope } from '../message/envelope.ts';
import { type Address, workerAddress } from '../message/principals.ts';
import { SeenMessages } from '../message/replay.ts';
import { patiently, retryPause } from '../store/patience.ts';
import { holderOf, type QuarantineEntry, type StreamEntry, type StreamName, streamPlace } from '../store/store.ts';
import type { ShardLink } from './shard-link.ts';

/** Entries per read. */
const READ_COUNT = 200;
/** A blocking read answers at least this often, which is also how the reader shows that it moves. */
const READ_WAIT_MS = 2_000;
/** Entries gathered before they are acted on; a longer backlog is acted on in parts. */
const BACKLOG_ENTRIES_MAX = 10_000;
/** Bad entries of one delivery that are kept; all of them are counted. */
const QUARANTINED_MAX = 100;
const QUARANTINE_TRIES = 3;

export interface Delivery {
  assignments: Assignment[];
  cancels: Cancel[];
  /** Why the worker is to take nothing more; absent = it is not. */
  drain?: string;
}

export interface MailboxOptions extends ShardLink {
  deliver: (shard: number, delivery: Delivery) => void;
}

export class MailboxReader {
  readonly #options: MailboxOptions;
  readonly #stream: StreamName;
  readonly #address: Address;
  readonly #seen = new SeenMessages();
  #cursor = '0-0';
  #movedAt: number;
  #failures = 0;
  #clockSet = false;

  constructor(options: MailboxOptions) {
    this.#options = options;
    this.#stream = `mail:${holderOf(options.worker, options.incarnation)}`;
    this.#address = workerAddress(options.worker, options.incarnation);
    this.#movedAt = options.runtime.now();
  }

  /** The last entry that was acted on; the store may forget everything up to it. */
  get cursor(): string {
    return this.#cursor;
  }

  /** Local time of the last answer of the store. */
  get movedAt(): number {
    return this.#movedAt;
  }

  /** Ends when `signal` aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { runtime } = this.#options;
    while (!signal.aborted) {
      try {
        // Without the store's time the first messages could not be told from expired ones.
        if (!this.#clockSet) await this.#setClock();
        this.#act(await this.#backlog(signal));
        this.#reachable();
      } catch (error) {
        this.#unreachable(error);
        await retryPause(error, this.#failures, { runtime, signal });
      }
    }
  }

  async #setClock(): Promise<void> {
    const { store, clock } = this.#options;
    await clock.learn(async () => ({ now: await store.now() }));
    this.#clockSet = true;
  }

  /** Everything there is, or what comes first. An error on the way loses nothing: the cursor has not moved. */
  async #backlog(signal: AbortSignal): Promise<StreamEntry[]> {
    const { store, shard } = this.#options;
    const backlog: StreamEntry[] = [];
    let after = this.#cursor;
    // After a failure the first answer is to come at once: it is what makes the worker ready again.
    for (let waitMs = this.#failures > 0 ? 0 : READ_WAIT_MS; ; waitMs = 0) {
      const from = [{ stream: this.#stream, after }];
      const entries = (await store.readStreams(shard, { from, count: READ_COUNT, waitMs, signal }))[0]?.entries ?? [];
      for (const entry of entries) backlog.push(entry);
      if (entries.length < READ_COUNT || backlog.length >= BACKLOG_ENTRIES_MAX) return backlog;
      after = entries.at(-1)!.id;
    }
  }

  #act(entries: StreamEntry[]): void {
    const last = entries.at(-1);
    if (!last) return;
    const delivery: Delivery = { assignments: [], cancels: [] };
    const refused: QuarantineEntry[] = [];
    for (const entry of entries) this.#open(entry, delivery, refused);
    this.#cursor = last.id;
    if (refused.length > 0) this.#quarantine(refused.slice(0, QUARANTINED_MAX));
    if (delivery.assignments.length + delivery.cancels.length > 0 || delivery.drain !== undefined) {
      this.#options.deliver(this.#options.shard, delivery);
    }
  }

  #open(entry: StreamEntry, delivery: Delivery, refused: QuarantineEntry[]): void {
    const { shard, keys, deployment, clock, observe } = this.#options;
    const text = entry.fields.e ?? '';
    const now = clock.now();
    const entryTime = Number.parseInt(entry.id, 10);
    const to = this.#address;
    const stream = this.#stream;
    const place = streamPlace(shard, stream);
    const opened = openEnvelope(text, { to, stream: place, streamKind: 'mailbox', deployment, now, entryTime }, keys);
    if (opened.ok) return this.#sort(opened.message, entry, now, delivery);
    const { reason, detail } = opened;
    observe({ type: 'message.rejected', reason, detail, stream, entry: entry.id });
    refused.push({ stream, entry: entry.id, reason, text });
  }

  #sort(message: Message, entry: StreamEntry, now: number, delivery: Delivery): void {
    const won = wonUnits(entry);
    if (message.type === 'task.assign') {
      for (const assignment of message.body.assignments) {
        if (won.has(assignment.task)) delivery.assignments.push(assignment);
      }
      this.#received(message, message.body.assignments.length, entry, now);
    }
    if (message.type === 'task.cancel' && this.#seen.admit(message, now)) {
      // That the record holds another attempt is true whatever else was committed beside it.
      const holds = (cancel: Cancel) => won.size === 0 || cancel.code === 'superseded' || won.has(cancel.task);
      delivery.cancels.push(...message.body.cancels.filter(holds));
      this.#received(message, message.body.cancels.length, entry, now);
    }
    if (message.type === 'worker.drain' && this.#seen.admit(message, now)) {
      delivery.drain = message.body.reason;
      this.#received(message, 1, entry, now);
    }
  }

  #received({ type, issuedAt }: Message, count: number, entry: StreamEntry, now: number): void {
    const latencyMs = Math.max(0, now - issuedAt);
    this.#options.observe({ type: 'message.received', message: type, count, latencyMs, envelope: entry.fields.e });
  }

  /** Not waited for: putting aside what is worthless must not hold up the work. */
  #quarantine(entries: QuarantineEntry[]): void {
    const { store, shard, runtime, observe } = this.#options;
    patiently(() => store.quarantine(shard, entries), { runtime, tries: QUARANTINE_TRIES }).catch((error) =>
      observe({ type: 'fault', where: `quarantine of ${this.#stream}`, error }),
    );
  }

  #reachable(): void {
    this.#movedAt = this.#options.runtime.now();
    if (this.#failures > 0) this.#options.observe({ type: 'store.back', where: this.#stream, message: 'read again' });
    this.#failures = 0;
  }

  #unreachable(error: unknown): void {
    const { observe } = this.#options;
    this.#failures += 1;
    if (!(error instanceof StoreUnavailableError)) return observe({ type: 'fault', where: this.#stream, error });
    if (this.#failures === 1) observe({ type: 'store.away', where: this.#stream, message: error.message });
  }
}

/** Written beside the envelope by the commit, unsigned: the tasks of it whose unit was accepted. */
function wonUnits(entry: StreamEntry): Set<string> {
  const won = entry.fields.w ?? '';
  return new Set(won === '' ? [] : won.split(' '));
}
