/*
 * One wish for many tasks: named by their ids, or by the flags of a filter. By filter, a person is asked first, who sees
 * how many they are; a script says `--yes`. The system does a bounded part with each call, so a long wish shows how far
 * it is and may be broken off: what was done stays done, and the same command goes on with the rest.
 */
import type { Command } from 'commander';
import type { ManyTasks } from '../../client/client.ts';
import type { BulkResult } from '../../service/bulk-service.ts';
import { type CommandContext, unlessInterrupted } from '../command.ts';
import { confirmed, wantSomebodyToAsk } from '../confirm.ts';
import { EXIT } from '../exit-codes.ts';
import { count } from '../human.ts';
import { Progress } from '../progress.ts';
import { printable } from '../text-width.ts';
import { UsageError } from '../usage-error.ts';
import { addFilterOptions, type FilterFlags, filterOf, namesTasks } from './task-filter.ts';

/** Small enough that progress is seen, large enough that the calls do not matter. */
const TASKS_PER_CALL = 1_000;
const CALLS_MAX = 100_000;
/** Refused tasks that are told one by one. */
const REFUSALS_SHOWN = 100;

export interface ManyFlags extends FilterFlags {
  all?: boolean;
  dryRun?: boolean;
  yes?: boolean;
}

/** @param withState see `addFilterOptions` */
export function addManyOptions(command: Command, options?: { withState: boolean }): Command {
  return addFilterOptions(command, options)
    .option('--all', 'every task that it can apply to, instead of a filter')
    .option('--dry-run', 'change nothing, say how many there are')
    .option('--yes', 'do not ask');
}

/** How the wish is said: `Cancel`, `cancelled`, and what it is about. */
export interface Words {
  ask: string;
  done: string;
  noun: string;
}

export type Ask = (request: ManyTasks) => Promise<BulkResult>;

/** Refuses ids beside filters, and a wish that names nothing. */
export function checkNamed(ids: readonly string[], flags: ManyFlags): void {
  const byFilter = namesTasks(flags) || flags.all === true;
  if (ids.length > 0 && byFilter) {
    throw new UsageError('ids and filters cannot stand together: name the tasks, or say which are meant, not both');
  }
  if (flags.all === true && namesTasks(flags))
    throw new UsageError('--all means every task; wanted it or filters, not both');
  if (ids.length > 0 || byFilter) return;
  throw new UsageError('no task is named; wanted ids, or filters such as --agent echo --older-than 1h, or --all');
}

export async function changeMany(
  ids: readonly string[],
  flags: ManyFlags,
  { words, ask }: { words: Words; ask: Ask },
  context: CommandContext,
): Promise<number> {
  const { printer, runtime } = context;
  const requests = requestsOf(ids, flags, runtime.now());
  const dryRun = flags.dryRun === true;
  if (!dryRun && ids.length === 0 && flags.yes !== true) {
    wantSomebodyToAsk(context.io);
    const found = await walk(requests, { ask, dryRun: true }, context);
    if (found.matched === 0) return told(found, words, context);
    const question = `${words.ask} ${count(found.matched, words.noun)}?`;
    if (!(await confirmed(question, context))) {
      printer.note('nothing was changed');
      return EXIT.failed;
    }
  }
  return told(await walk(requests, { ask, dryRun }, context), words, context);
}

function requestsOf(ids: readonly string[], flags: ManyFlags, now: number): ManyTasks[] {
  if (ids.length === 0) return [flags.all ? { all: true } : { filter: filterOf(flags, now) }];
  const named = [...new Set(ids)];
  const requests: ManyTasks[] = [];
  for (let at = 0; at < named.length; at += TASKS_PER_CALL)
    requests.push({ ids: named.slice(at, at + TASKS_PER_CALL) });
  return requests;
}

type Total = Pick<BulkResult, 'matched' | 'changed' | 'failed' | 'dryRun'>;

async function walk(requests: ManyTasks[], { ask, dryRun }: { ask: Ask; dryRun: boolean }, context: CommandContext) {
  const total: Total = { matched: 0, changed: 0, failed: [], dryRun };
  const progress = new Progress({ io: context.io, runtime: context.runtime, noun: dryRun ? 'found' : 'done' });
  try {
    for (const request of requests) {
      let cursor: string | undefined;
      for (let call = 0; call < CALLS_MAX; call++) {
        const limit = request.ids ? undefined : TASKS_PER_CALL;
        const done = await unlessInterrupted(ask({ ...request, dryRun, limit, cursor }), context.signal);
        total.matched += done.matched;
        total.changed += done.changed;
        total.failed.push(...done.failed);
        if (done.nextCursor === null) break;
        cursor = done.nextCursor;
        progress.update({ done: dryRun ? total.matched : total.changed, total: null, fraction: null });
      }
    }
  } finally {
    progress.clear();
  }
  return total;
}

function told(total: Total, { done, noun }: Words, { printer }: CommandContext): number {
  const { matched, changed, failed, dryRun } = total;
  for (const { id, error } of failed.slice(0, REFUSALS_SHOWN))
    printer.note(`error: ${printable(id)}: ${printable(error)}`);
  if (failed.length > REFUSALS_SHOWN) printer.note(`and ${failed.length - REFUSALS_SHOWN} more that were refused`);
  if (printer.format !== 'table') printer.value(total);
  else if (matched === 0 && failed.length === 0) printer.note(`no ${noun} matches`);
  else if (dryRun) printer.text(`${count(matched, noun)} would be ${done}; nothing was changed`);
  else printer.text(`${count(changed, noun)} ${done}`);
  return failed.length > 0 ? EXIT.failed : EXIT.ok;
}
