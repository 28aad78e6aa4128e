import { createHash } from 'node:crypto';
import type {
  Beat,
  Commit,
  CommitReply,
  KeptResult,
  LockPort,
  ReadStreams,
  Report,
  Store,
  StreamBatch,
  StreamName,
  TakeReply,
} from '../../src/store/store.ts';
import type { Ledger } from './ledger.ts';
import type { Weather } from './weather.ts';

/** Entries of one stream looked through for the last one that was not deleted. */
const STREAM_ENTRIES_MAX = 10_000;

/**
 * The store where all calls arrive. It harms envelopes on their way in, hides entries that someone deleted, tells the
 * ledger what was accepted, and hashes every call: two runs with the same hash did the same.
 */
export class SimServer {
  readonly #store: Store;
  readonly #weather: Weather;
  readonly #ledger: Ledger;
  readonly #now: () => number;
  readonly #hash = createHash('sha256');
  readonly #deleted = new Map<string, Set<string>>();
  /** By attempt: the large result that its worker put aside last. */
  readonly #results = new Map<string, string>();
  /** Report envelopes as they were appended, for whoever wants to put them in again. */
  readonly seenReports: string[] = [];
  /** Tasks in the order in which they were taken first, with their scores, while someone wants to know. */
  takes: { id: string; score: number }[] | null = null;
  calls = 0;
  harmed = 0;

  constructor(store: Store, weather: Weather, ledger: Ledger, now: () => number) {
    this.#store = store;
    this.#weather = weather;
    this.#ledger = ledger;
    this.#now = now;
  }

  /** Everything that was asked for, in order. */
  get trace(): string {
    return this.#hash.copy().digest('hex');
  }

  apply(process: string, method: string, args: unknown[]): Promise<unknown> {
    this.calls += 1;
    this.#hash.update(`${this.#now()} ${process} ${method} ${JSON.stringify(args)}\n`);
    const [shard] = args as [number];
    switch (method) {
      case 'commit':
        return this.#commit(process, shard, args[1] as Commit);
      case 'report':
        return this.#report(shard, args[1] as Report);
      case 'beat':
        return this.#store.beat(shard, this.#harmedBeat(args[1] as Beat));
      case 'putResult':
        return this.#putResult(shard, args.slice(1) as [KeptResult, string, number]);
      case 'take':
        return this.#noted(this.#call(method, args) as Promise<TakeReply>);
      case 'readStreams':
        return this.#readStreams(shard, args[1] as ReadStreams);
      case 'lastEntry':
        return this.#lastEntry(shard, args[1] as StreamName);
      case 'claimEpoch':
        return this.#claim(process, shard, args);
      default:
        if (method.startsWith('lock.')) return this.#lock(method.slice(5) as keyof LockPort, shard, args.slice(1));
        return this.#call(method, args);
    }
  }

  #call(method: string, args: unknown[]): Promise<unknown> {
    return (this.#store as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>)[method]!(...args);
  }

  #lock(method: keyof LockPort, shard: number, args: unknown[]): Promise<unknown> {
    const lock = this.#store.lock(shard) as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
    return lock[method]!(...args);
  }

  async #claim(process: string, shard: number, args: unknown[]): Promise<unknown> {
    const epoch = await this.#call('claimEpoch', args);
    if (epoch !== null) this.#ledger.claimed(shard, process);
    return epoch;
  }

  async #commit(process: string, shard: number, commit: Commit): Promise<CommitReply> {
    const post = (commit.post ?? []).map((post) => ({
      ...post,
      envelope: this.#harmed(post.envelope) ?? post.envelope,
    }));
    const reply = await this.#store.commit(shard, { ...commit, post });
    for (const [i, entry] of reply.posted.entries()) {
      const { holder, envelope } = post[i]!;
      if (entry === null) continue;
      if (envelope === commit.post![i]!.envelope) this.#posted(envelope);
      this.#mayDelete(shard, `mail:${holder}`, entry);
    }
    this.#ledger.committed(process, shard, this.#withWholeResults(commit), reply);
    return reply;
  }

  /** It may be gone at once, as if its time had been over. */
  async #putResult(shard: number, [kept, text, ttlMs]: [KeptResult, string, number]): Promise<void> {
    this.#results.set(kept.attemptId, text);
    await this.#store.putResult(shard, kept, text, ttlMs);
    if (!this.#weather.deletes()) return;
    this.harmed += 1;
    await this.#store.dropResults(shard, [kept]);
  }

  #withWholeResults(commit: Commit): Commit {
    if (!commit.units.some(({ adopt }) => adopt)) return commit;
    const units = commit.units.map((unit) => {
      return unit.adopt ? { ...unit, result: this.#results.get(unit.adopt.attemptId) ?? unit.result } : unit;
    });
    return { ...commit, units };
  }

  #posted(envelope: string): void {
    const body = bodyOf(envelope) as { assignments?: { attemptId: string }[] };
    for (const { attemptId } of body.assignments ?? []) this.#ledger.posted(attemptId);
  }

  async #report(shard: number, report: Report): Promise<unknown> {
    const harmed = this.#harmed(report.envelope);
    const reply = await this.#store.report(shard, harmed === null ? report : { ...report, envelope: harmed });
    this.#mayDelete(shard, 'reports', reply.entry);
    if (harmed !== null) return reply;
    const body = bodyOf(report.envelope) as { reports?: { attemptId: string; kind: string }[] };
    for (const { attemptId, kind } of body.reports ?? []) this.#ledger.reported(attemptId, kind);
    this.seenReports.push(report.envelope);
    return reply;
  }

  #harmedBeat(beat: Beat): Beat {
    const toCoordinators = this.#harmed(beat.toCoordinators) ?? beat.toCoordinators;
    const toDistributors = this.#harmed(beat.toDistributors) ?? beat.toDistributors;
    return { ...beat, toCoordinators, toDistributors };
  }

  #harmed(envelope: string): string | null {
    const harmed = this.#weather.tamper(envelope);
    if (harmed !== null) this.harmed += 1;
    return harmed;
  }

  async #noted(reply: Promise<TakeReply>): Promise<TakeReply> {
    const taken = await reply;
    for (const { task, score } of taken.tasks) {
      if (this.takes?.every(({ id }) => id !== task.id)) this.takes.push({ id: task.id, score });
    }
    return taken;
  }

  // Deleted entries

  #mayDelete(shard: number, stream: StreamName, entry: string): void {
    if (!this.#weather.deletes()) return;
    this.harmed += 1;
    const name = `${shard}/${stream}`;
    const entries = this.#deleted.get(name) ?? new Set();
    this.#deleted.set(name, entries.add(entry));
  }

  /** A reader for whom nothing is left waits on, behind what was deleted. */
  async #readStreams(shard: number, request: ReadStreams): Promise<StreamBatch[]> {
    let { from } = request;
    const until = this.#now() + request.waitMs;
    for (;;) {
      const waitMs = Math.max(0, until - this.#now());
      const batches = await this.#store.readStreams(shard, { ...request, from, waitMs });
      const left = batches.flatMap((batch) => this.#undeleted(shard, batch));
      if (left.length > 0 || batches.length === 0) return left;
      const ends = new Map(batches.map(({ stream, entries }) => [stream, entries.at(-1)!.id]));
      from = from.map(({ stream, after }) => ({ stream, after: ends.get(stream) ?? after }));
    }
  }

  #undeleted(shard: number, { stream, entries }: StreamBatch): StreamBatch[] {
    const deleted = this.#deleted.get(`${shard}/${stream}`);
    const left = deleted ? entries.filter(({ id }) => !deleted.has(id)) : entries;
    return left.length > 0 ? [{ stream, entries: left }] : [];
  }

  async #lastEntry(shard: number, stream: StreamName): Promise<{ now: number; id: string }> {
    const last = await this.#store.lastEntry(shard, stream);
    if (!this.#deleted.get(`${shard}/${stream}`)?.has(last.id)) return last;
    const from = [{ stream, after: '0' }];
    const [batch] = await this.#readStreams(shard, { from, count: STREAM_ENTRIES_MAX, waitMs: 0 });
    return { now: last.now, id: batch?.entries.at(-1)?.id ?? '0-0' };
  }
}

/** Reads the payload without asking who signed it: the simulation knows which envelopes it left alone. */
function bodyOf(envelope: string): unknown {
  const payload = envelope.split('.')[1] ?? '';
  return (JSON.parse(Buffer.from(payload, 'base64url').toString()) as { body: unknown }).body;
}
