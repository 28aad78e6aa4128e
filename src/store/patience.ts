import { StoreUnavailableError } from '../errors.ts';
import { pause, type Runtime } from '../runtime/runtime.ts';

const BACKOFF_FIRST_MS = 50;
const BACKOFF_MAX_MS = 1_000;

export interface Patience {
  runtime: Runtime;
  /** Calls in all; Infinity only for a loop that `signal` ends. */
  tries: number;
  signal?: AbortSignal;
  /** Told of each failure that is going to be repeated. */
  onAway?: (error: StoreUnavailableError) => void;
}

/**
 * Makes a call that can be repeated, until the store answers: what was rejected for want of a connection may have taken
 * effect, and the same call again finds that out. Other errors, and the last failure, are thrown.
 */
export async function patiently<T>(call: () => Promise<T>, patience: Patience): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await call();
    } catch (error) {
      const over = tried >= patience.tries || patience.signal?.aborted;
      if (!(error instanceof StoreUnavailableError) || over) throw error;
      patience.onAway?.(error);
      await retryPause(error, tried, patience);
    }
  }
}

/** Waits before what failed with `error` is done again, and tells the store of it. */
export async function retryPause(
  error: unknown,
  tried: number,
  { runtime, signal }: Pick<Patience, 'runtime' | 'signal'>,
): Promise<void> {
  const waitMs = backoffMs(tried, runtime.random());
  if (error instanceof StoreUnavailableError) error.onRetry?.(tried, Math.round(waitMs));
  await pause(runtime, waitMs, signal);
}

/** Full jitter between half and all of 50 ms, 100 ms, … 1 s: short, because work stands still while the store is away. */
export function backoffMs(tried: number, random: number): number {
  const full = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(tried - 1, 10));
  return full * (0.5 + random / 2);
}
