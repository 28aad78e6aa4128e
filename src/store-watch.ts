import { pause, type Runtime } from './runtime/runtime.ts';
import type { Store, StoreCheck } from './store/store.ts';

export interface StoreWatchOptions {
  store: Store;
  runtime: Runtime;
  everyMs: number;
  signal: AbortSignal;
  /** Told of every check that was answered. */
  onCheck: (check: StoreCheck) => void;
}

/**
 * Checks the store again and again while it is used: whoever changes the eviction policy or turns persistence off at
 * night changes what the system can promise. A store that does not answer is no news here, the roles notice it first.
 */
export async function watchStore({ store, runtime, everyMs, signal, onCheck }: StoreWatchOptions): Promise<void> {
  while (!signal.aborted) {
    await pause(runtime, everyMs, signal);
    if (signal.aborted) return;
    const check = await store.check().catch(() => null);
    if (check !== null) onCheck(check);
  }
}
