/*
 * Waits for a task and shows meanwhile what happens to it: on a terminal how far it is, and with `--follow` a line for
 * each event. All of that goes to stderr; the result is the caller's to print. The result decides: events are only told
 * beside it, and that they cannot be had is no failure of the task.
 */
import type { TaskHandle } from '../../client/client.ts';
import { TaskCancelledError, TaskFailedError } from '../../client/errors.ts';
import { pause } from '../../runtime/runtime.ts';
import type { CommandContext } from '../command.ts';
import { eventLine } from '../event-line.ts';
import { failureOf } from '../failure.ts';
import { TaskProgress } from '../task-progress.ts';

/** The last events may come after the result that they are about. */
const LAST_EVENTS_MS = 2_000;

export interface FollowOptions {
  /** Infinity = as long as it takes. */
  waitMs: number;
  tellEvents: boolean;
}

/** @throws what `TaskHandle.result` throws */
export async function resultOf(handle: TaskHandle, o: FollowOptions, context: CommandContext): Promise<unknown> {
  const { printer, signal, io, runtime } = context;
  const shows = o.tellEvents || io.errColumns !== null;
  const enough = new AbortController();
  if (o.tellEvents) printer.note(`task ${handle.id}`);
  const showing = shows ? show(handle, o, { ...context, signal: enough.signal }) : Promise.resolve();
  try {
    return await handle.result({ timeout: Number.isFinite(o.waitMs) ? o.waitMs : undefined, signal });
  } catch (error) {
    if (!hasEnded(error)) enough.abort();
    throw error;
  } finally {
    await Promise.race([showing, pause(runtime, LAST_EVENTS_MS, enough.signal)]);
    enough.abort();
    await showing;
    if (signal.aborted) printer.note(`no longer waiting; task ${handle.id} goes on`);
  }
}

/** Never rejects. */
async function show(handle: TaskHandle, { tellEvents }: FollowOptions, context: CommandContext): Promise<void> {
  const { io, printer, signal } = context;
  const progress = new TaskProgress(io);
  const look = { columns: io.errColumns, colors: io.colors && io.errColumns !== null };
  try {
    for await (const event of handle.events({ signal })) {
      if (tellEvents && event.type !== 'end') {
        progress.clear();
        printer.note(eventLine(event, look, { withTask: false }));
      }
      progress.heard(event);
    }
  } catch (error) {
    progress.clear();
    if (tellEvents) for (const text of failureOf(error).errors) printer.note(`events are not told: ${text}`);
  } finally {
    progress.clear();
  }
}

function hasEnded(error: unknown): boolean {
  return error instanceof TaskFailedError || error instanceof TaskCancelledError;
}
