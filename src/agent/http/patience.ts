import type { Runtime } from '../../runtime/runtime.ts';

/**
 * Ends a call when its attempt is told to end, or when what is waited for does not come in time. One limit is in force at
 * a time: connect, then headers, then each next byte. Whichever is first to abort `signal` is the reason of the failure.
 */
export class Patience {
  readonly #runtime: Runtime;
  readonly #attempt: AbortSignal;
  readonly #controller = new AbortController();
  #clear: () => void = () => undefined;

  constructor(runtime: Runtime, attempt: AbortSignal) {
    this.#runtime = runtime;
    this.#attempt = attempt;
    attempt.addEventListener('abort', this.#attemptEnded, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Takes the place of the limit before. */
  within(ms: number, late: () => Error): void {
    this.#clear();
    this.#clear = this.#runtime.after(ms, () => this.#controller.abort(late()));
  }

  end(): void {
    this.#clear();
    this.#attempt.removeEventListener('abort', this.#attemptEnded);
  }

  readonly #attemptEnded = (): void => {
    this.#clear();
    this.#controller.abort(this.#attempt.reason);
  };
}
