import { StoreUnavailableError } from '../errors.ts';
import { pause, type Runtime } from '../runtime/runtime.ts';
import { backoffMs } from '../store/patience.ts';
import { isTerminal } from '../task/task.ts';
import type { TaskView } from '../task/view.ts';
import { ResponseError, UnreachableError, WaitTimeoutError } from './errors.ts';
import type { Transport } from './transport.ts';

/** One question; shorter than the patience of usual proxies with a silent connection. */
export const SLICE_MS = 30_000;
/** How long a system that is away is asked again: as long as it takes to start all of it anew. */
export const AWAY_MAX_MS = 60_000;
/** A server that answers "not yet" at once, because it shuts down, must not be asked in a tight loop. */
const EARLY_MS = 200;

export interface WaitOptions {
  /** Undefined = as long as it takes. */
  timeoutMs: number | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * The only place that waits for a task: it asks in slices until the task has ended, and goes on through a restart of
 * the coordinator it talks to.
 *
 * @returns the ended task, whichever way it ended
 * @throws WaitTimeoutError, the reason of `signal`, or what the system answered
 */
export async function waitForEnd(
  transport: Transport,
  runtime: Runtime,
  id: string,
  o: WaitOptions,
): Promise<TaskView> {
  const startedAt = runtime.now();
  const away = new Away(runtime);
  for (;;) {
    o.signal?.throwIfAborted();
    const askedAt = runtime.now();
    const left = o.timeoutMs === undefined ? SLICE_MS : o.timeoutMs - (askedAt - startedAt);
    const task = await askOnce(transport, id, Math.max(0, Math.min(SLICE_MS, left)), { away, signal: o.signal, left });
    if (task && isTerminal(task.state)) return task;
    const now = runtime.now();
    const over = o.timeoutMs !== undefined && now - startedAt >= o.timeoutMs;
    if (task && over) throw new WaitTimeoutError(task, now - startedAt);
    if (task && now - askedAt < EARLY_MS) await pause(runtime, EARLY_MS, o.signal);
  }
}

/** Null: nobody answered, ask again. */
async function askOnce(
  transport: Transport,
  id: string,
  waitMs: number,
  { away, signal, left }: { away: Away; signal: AbortSignal | undefined; left: number },
): Promise<TaskView | null> {
  try {
    const task = await transport.result(id, waitMs, signal);
    away.over();
    return task;
  } catch (error) {
    signal?.throwIfAborted();
    if (!isAway(error) || left <= 0 || !(await away.mayAskAgain(signal))) throw error;
    return null;
  }
}

function isAway(error: unknown): boolean {
  if (error instanceof ResponseError) return error.retryable;
  return error instanceof UnreachableError || error instanceof StoreUnavailableError;
}

/** A time without any answer, and the growing pauses in it. */
class Away {
  readonly #runtime: Runtime;
  #since: number | null = null;
  #failures = 0;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  over(): void {
    this.#since = null;
    this.#failures = 0;
  }

  async mayAskAgain(signal: AbortSignal | undefined): Promise<boolean> {
    const { now, random } = this.#runtime;
    this.#since ??= now();
    if (now() - this.#since >= AWAY_MAX_MS) return false;
    await pause(this.#runtime, backoffMs(++this.#failures, random()), signal);
    return true;
  }
}
