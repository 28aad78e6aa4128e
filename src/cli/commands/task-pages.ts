import { LIST_LIMIT_MAX, type TaskPage } from '../../service/task-list.ts';
import type { TaskView } from '../../task/view.ts';
import { type CommandContext, unlessInterrupted } from '../command.ts';

/** Tasks that are listed by one command at most. */
export const LIST_MAX = 1_000_000;
export const LIST_DEFAULT = 50;
/** A filter that matches little is answered in short pages; so many of them are asked for. */
const PAGES_MAX = 100_000;

type AskPage = (page: { limit: number; cursor: string | undefined }) => Promise<TaskPage>;

/** Page after page until there are `limit` tasks, or no more, or nobody reads them; `more`: there may be others. */
export async function* taskPages(
  ask: AskPage,
  limit: number,
  { signal, io }: Pick<CommandContext, 'signal' | 'io'>,
): AsyncGenerator<{ tasks: TaskView[]; more: boolean }> {
  let left = limit;
  let cursor: string | undefined;
  for (let page = 0; page < PAGES_MAX && !io.outGone.aborted; page++) {
    const found = await unlessInterrupted(ask({ limit: Math.min(LIST_LIMIT_MAX, left), cursor }), signal);
    left -= found.tasks.length;
    yield { tasks: found.tasks, more: found.nextCursor !== null };
    if (found.nextCursor === null || left <= 0) return;
    cursor = found.nextCursor;
  }
}
