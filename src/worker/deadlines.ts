import type { Runtime } from '../runtime/runtime.ts';

/** Timers of the runtime cannot be set for longer than about 24 days; what is further off is looked at again. */
const SLEEP_MS_MAX = 86_400_000;

/**
 * One timer for all running attempts instead of one each: it is set for the earliest time asked for, and whoever is due
 * then is found by looking, which is cheap for as many attempts as there are slots.
 */
export class Deadlines {
  readonly #runtime: Runtime;
  /** Ends what is due and answers the next local time to look; Infinity = none. */
  readonly #look: (now: number) => number;
  #armedFor = Number.POSITIVE_INFINITY;
  #cancel: (() => void) | undefined;

  constructor(runtime: Runtime, look: (now: number) => number) {
    this.#runtime = runtime;
    this.#look = look;
  }

  watch(at: number): void {
    if (at >= this.#armedFor) return;
    this.#cancel?.();
    this.#armedFor = at;
    const wait = Math.min(SLEEP_MS_MAX, Math.max(0, at - this.#runtime.now()));
    this.#cancel = this.#runtime.after(wait, () => this.#fire());
  }

  stop(): void {
    this.#cancel?.();
    this.#armedFor = Number.NEGATIVE_INFINITY;
  }

  #fire(): void {
    this.#armedFor = Number.POSITIVE_INFINITY;
    this.#cancel = undefined;
    this.watch(this.#look(this.#runtime.now()));
  }
}
