import type { HeldAttempt } from './held-attempt.ts';
import { Resources } from './resources.ts';

/** Runs at most `size` attempts at once; the others stand in line as they came. */
export class Slots {
  readonly size: number;
  readonly running = new Set<HeldAttempt>();
  /** Taken by what is in a slot or in the line. */
  readonly resources: Resources;
  readonly #start: (attempts: HeldAttempt[]) => void;
  /** Attempts that left the line otherwise stay in it, ended, until they come up. */
  #line: HeldAttempt[] = [];
  #head = 0;
  #waiting = 0;
  #called = false;

  constructor(size: number, start: (attempts: HeldAttempt[]) => void, resources = new Resources()) {
    this.size = size;
    this.#start = start;
    this.resources = resources;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Attempts that are in a slot or will want one. */
  get occupied(): number {
    return this.running.size + this.#waiting;
  }

  /** Joins the line; `fill` lets it in. */
  join(attempt: HeldAttempt): void {
    attempt.stage = 'waiting';
    this.#line.push(attempt);
    this.#waiting += 1;
    this.resources.take(attempt.needs);
  }

  /** To be called before the attempt's stage changes to `ended`. */
  leave(attempt: HeldAttempt): void {
    if (attempt.stage === 'waiting') this.#waiting -= 1;
    if (attempt.stage !== 'arrived' && attempt.stage !== 'ended') this.resources.give(attempt.needs);
    if (this.running.delete(attempt)) this.#fillSoon();
  }

  /** Not started: in the line, or in a slot while its input is fetched. */
  unstartedAttempts(): HeldAttempt[] {
    const waiting = this.#line.slice(this.#head).filter((attempt) => attempt.stage === 'waiting');
    return [...waiting, ...[...this.running].filter((attempt) => attempt.stage === 'fetching')];
  }

  fill(): void {
    const starting: HeldAttempt[] = [];
    while (this.running.size < this.size && this.#head < this.#line.length) {
      const attempt = this.#line[this.#head++]!;
      if (attempt.stage !== 'waiting') continue;
      this.#waiting -= 1;
      attempt.stage = 'running';
      this.running.add(attempt);
      starting.push(attempt);
    }
    this.#tidy();
    if (starting.length > 0) this.#start(starting);
  }

  /** What ends together is refilled together, so that one post to the heart names all that start. */
  #fillSoon(): void {
    if (this.#called || this.#waiting === 0) return;
    this.#called = true;
    queueMicrotask(() => {
      this.#called = false;
      this.fill();
    });
  }

  #tidy(): void {
    if (this.#head < 1_000 && this.#head < this.#line.length) return;
    this.#line = this.#line.slice(this.#head);
    this.#head = 0;
  }
}
