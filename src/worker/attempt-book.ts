import { RecentMap } from '../runtime/recent-map.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { HeldAttempt } from './held-attempt.ts';

/** Longer than any assignment can stay valid, so that the same bytes put back into the mailbox run nothing. */
export const REMEMBERED_MS = 65_000;
/** Released attempts remembered at most; beyond it the oldest go first, and only a report that is refused can come of it. */
const REMEMBERED_MAX = 250_000;

/** Every attempt this worker knows: those it holds, and for a while those it held. */
export class AttemptBook {
  readonly #runtime: Runtime;
  readonly #byHeld = new Map<string, HeldAttempt>();
  /** The newest attempt of each task. */
  readonly #byTask = new Map<string, HeldAttempt>();
  /** Released attempts with the local time of their release. */
  readonly #remembered = new RecentMap<number>({ keepMs: REMEMBERED_MS, sizeMax: REMEMBERED_MAX });

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  get size(): number {
    return this.#byHeld.size;
  }

  knows(held: string): boolean {
    return this.#byHeld.has(held) || this.#remembers(held);
  }

  get(held: string): HeldAttempt | undefined {
    return this.#byHeld.get(held);
  }

  ofTask(task: string): HeldAttempt | undefined {
    return this.#byTask.get(task);
  }

  all(): IterableIterator<HeldAttempt> {
    return this.#byHeld.values();
  }

  add(attempt: HeldAttempt): void {
    this.#byHeld.set(attempt.held, attempt);
    this.#byTask.set(attempt.assignment.task, attempt);
  }

  release(attempt: HeldAttempt): void {
    const { held, assignment } = attempt;
    this.#byHeld.delete(held);
    if (this.#byTask.get(assignment.task) === attempt) this.#byTask.delete(assignment.task);
    const now = this.#runtime.now();
    this.#remembered.set(held, now, now);
  }

  #remembers(held: string): boolean {
    const releasedAt = this.#remembered.get(held);
    return releasedAt !== undefined && this.#runtime.now() - releasedAt <= REMEMBERED_MS;
  }
}
