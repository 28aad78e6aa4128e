/**
 * The world as core and roles see it: time, chance and waiting. Production uses `systemRuntime`,
 * the simulator a virtual one, so the very same roles run in both.
 */
export interface Runtime {
  /** Local wall clock in milliseconds. Decisions that other processes see use the store's time instead. */
  now(): number;
  /** Uniform in [0, 1). */
  random(): number;
  /** `length` characters of lower-case Crockford base32, unguessable in production. */
  id(length: number): string;
  /** Runs `fn` once after `ms`; returns a function that cancels it. */
  after(ms: number, fn: () => void): () => void;
  /** Runs `fn` once this turn of the event loop is over: what came in together is then seen together. */
  soon(fn: () => void): void;
}

/** Resolves after `ms`, or at once when `signal` aborts. */
export function pause(runtime: Runtime, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const cancel = runtime.after(ms, done);
    signal?.addEventListener('abort', done, { once: true });
  });
}
