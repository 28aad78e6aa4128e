/**
 * Keeps the large results of one shard in the store until their reports are decided. The text goes there before the report
 * that refers to it, under the worker's own name and with an end that is put off while the report is kept; the commit that
 * accepts the report takes it over. What is refused, or was left by a worker that is gone, ends by itself.
 */
import { pause } from '../runtime/runtime.ts';
import { backoffMs } from '../store/patience.ts';
import { holderOf, type KeptResult, RESULT_KEPT_MS } from '../store/store.ts';
import type { ShardLink } from './shard-link.ts';

/** On their way at once; the others wait, so that a burst of large results does not run into the time of a command. */
const FLIGHTS_MAX = 4;
const RENEW_AFTER_MS = RESULT_KEPT_MS / 4;

interface Entry extends KeptResult {
  text: string;
  /** Local time from before it was last seen in the store; absent = it may not be there. */
  keptAt?: number;
}

export class ResultKeeper {
  readonly #link: ShardLink;
  readonly #signal: AbortSignal;
  readonly #entries = new Map<string, Entry>();
  readonly #waiting: (() => void)[] = [];
  /** Decided, and perhaps still in the store. */
  #dropping: KeptResult[] = [];
  #flights = 0;
  #renewing = false;

  /** @param signal ends the waiting for a store that is away */
  constructor(link: ShardLink, signal: AbortSignal) {
    this.#link = link;
    this.#signal = signal;
  }

  add(held: string, attemptId: string, text: string): void {
    const { worker, incarnation } = this.#link;
    this.#entries.set(held, { holder: holderOf(worker, incarnation), attemptId, text });
  }

  /** The report was decided: the text is adopted, or of no use. */
  forget(held: string): void {
    const entry = this.#entries.get(held);
    if (!entry) return;
    this.#entries.delete(held);
    this.#drop(entry);
  }

  /**
   * Sees to it that the text is in the store. False: it was forgotten meanwhile, or the worker stops.
   * @throws when the store refuses it
   */
  async bring(held: string): Promise<boolean> {
    await this.#turn();
    try {
      for (let tried = 1; !this.#signal.aborted; tried++) {
        const entry = this.#entries.get(held);
        if (!entry) return false;
        if (await this.#tried(held, entry)) return true;
        await pause(this.#link.runtime, backoffMs(tried, this.#link.runtime.random()), this.#signal);
      }
      return false;
    } finally {
      this.#leave();
    }
  }

  /** Puts off the end of those that are due. Never rejects: what could not be renewed is brought again with its report. */
  async renew(): Promise<void> {
    const { store, shard, runtime, observe } = this.#link;
    const now = runtime.now();
    const due = [...this.#entries.values()].filter(({ keptAt = now }) => now - keptAt >= RENEW_AFTER_MS);
    if (due.length === 0 || this.#renewing) return;
    this.#renewing = true;
    try {
      const there = await store.renewResults(shard, due.map(nameOf), RESULT_KEPT_MS);
      for (const [i, entry] of due.entries()) mark(entry, there[i] === true, now);
    } catch (error) {
      if (!isRetryable(error)) observe({ type: 'fault', where: `results kept in shard ${shard}`, error });
    } finally {
      this.#renewing = false;
    }
  }

  /** False: the store is away. */
  async #tried(held: string, entry: Entry): Promise<boolean> {
    const { store, shard, runtime } = this.#link;
    const now = runtime.now();
    try {
      if (entry.keptAt !== undefined) {
        const [there] = await store.renewResults(shard, [nameOf(entry)], RESULT_KEPT_MS);
        mark(entry, there === true, now);
      }
      if (entry.keptAt === undefined) await store.putResult(shard, nameOf(entry), entry.text, RESULT_KEPT_MS);
      mark(entry, true, now);
      // Decided on the way, so this came behind its removal.
      if (this.#entries.get(held) !== entry) this.#drop(entry);
      return true;
    } catch (error) {
      if (isRetryable(error)) return false;
      throw error;
    }
  }

  /** What goes in one turn goes together. Not waited for: it would end by itself. */
  #drop(entry: Entry): void {
    const { store, shard, runtime } = this.#link;
    if (this.#dropping.push(nameOf(entry)) > 1) return;
    runtime.soon(() => {
      const going = this.#dropping;
      this.#dropping = [];
      store.dropResults(shard, going).catch(() => undefined);
    });
  }

  async #turn(): Promise<void> {
    if (this.#flights >= FLIGHTS_MAX) return new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#flights += 1;
  }

  /** Its place goes to the next. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#flights -= 1;
  }
}

function mark(entry: Entry, there: boolean, now: number): void {
  if (there) entry.keptAt = now;
  else delete entry.keptAt;
}

function nameOf({ holder, attemptId }: Entry): KeptResult {
  return { holder, attemptId };
}

function isRetryable(error: unknown): boolean {
  return (error as { retryable?: unknown }).retryable === true;
}
