import type { Runtime } from '../../runtime/runtime.ts';

/** The store's own time: the local clock in whole milliseconds, which stands still while that clock is set back. */
export class RisingClock {
  readonly #runtime: Runtime;
  #last = 0;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** It has shown this time before, in a process that is gone. */
  notBefore(time: number): void {
    this.#last = Math.max(this.#last, time);
  }

  now(): number {
    this.#last = Math.max(this.#last, Math.floor(this.#runtime.now()));
    return this.#last;
  }
}
