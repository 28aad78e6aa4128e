/*
 * A stream of events that outlives its connection: whatever cuts it off, it goes on behind the last event that was handed
 * over, at the same coordinator or another. Ends with the task, with the loop that reads it, or with `signal`.
 */
import { StoreUnavailableError } from '../errors.ts';
import { pause, type Runtime } from '../runtime/runtime.ts';
import type { Told } from '../service/event-service.ts';
import { backoffMs } from '../store/patience.ts';
import { ResponseError, UnreachableError } from './errors.ts';

/** How long a system that is away is asked again: as long as it takes to start all of it anew. */
export const AWAY_MAX_MS = 60_000;

/** One connection's worth of events from behind `after`; ends, or throws, when that is over. */
export type OpenEvents = (after: string | undefined, signal: AbortSignal) => AsyncIterable<Told>;

export interface EventStreamOptions {
  open: OpenEvents;
  runtime: Runtime;
  after?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** @throws what the system refused, UnreachableError once it has been away for a minute */
export async function* eventStream({ open, runtime, after, signal }: EventStreamOptions): AsyncGenerator<Told> {
  const over = new AbortController();
  const either = signal ? AbortSignal.any([signal, over.signal]) : over.signal;
  let cursor = after;
  let failures = 0;
  let awaySince: number | null = null;
  let connection: AsyncIterator<Told> | null = null;
  try {
    while (!either.aborted) {
      try {
        connection = open(cursor, either)[Symbol.asyncIterator]();
        for (let next = await connection.next(); !next.done; next = await connection.next()) {
          const told = next.value;
          cursor = told.cursor;
          failures = 0;
          awaySince = null;
          yield told;
          if (told.over || told.event?.type === 'end') return;
        }
      } catch (error) {
        if (either.aborted) return;
        awaySince ??= runtime.now();
        if (!isAway(error) || runtime.now() - awaySince >= AWAY_MAX_MS) throw error;
      }
      await pause(runtime, backoffMs(++failures, runtime.random()), either);
    }
  } finally {
    // In this order, and without waiting: a connection whose other end is gone would take its time to be closed.
    over.abort();
    connection?.return?.().catch(() => undefined);
  }
}

function isAway(error: unknown): boolean {
  if (error instanceof ResponseError) return error.retryable;
  return error instanceof UnreachableError || error instanceof StoreUnavailableError;
}

/** Calls `fn` with every event until the returned function is called. What ends the stream otherwise goes to `onError`. */
export function subscribe<Event>(
  events: (signal: AbortSignal) => AsyncIterable<Event>,
  fn: (event: Event) => void,
  onError: (error: unknown) => void,
): () => void {
  const over = new AbortController();
  const run = async () => {
    for await (const event of events(over.signal)) if (!over.signal.aborted) fn(event);
  };
  run().catch((error: unknown) => {
    if (!over.signal.aborted) onError(error);
  });
  return () => over.abort();
}
