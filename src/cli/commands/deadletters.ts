/** `deadletters`: failed tasks, which stay until they are retried, dropped, or their time is over. */
import type { Command } from 'commander';
import type { TaskView } from '../../task/view.ts';
import { type CommandContext, examples, type Run } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { countFlag } from '../flags.ts';
import { type Ask, addManyOptions, changeMany, checkNamed, type ManyFlags, type Words } from './change-many.ts';
import { addFilterOptions, type FilterFlags, filterOf } from './task-filter.ts';
import { LIST_DEFAULT, LIST_MAX, taskPages } from './task-pages.ts';
import { taskColumns } from './task-table.ts';

export function addDeadLetterCommands(program: Command, run: Run): void {
  const letters = program
    .command('deadletters')
    .description('failed tasks: look at them, retry or drop them')
    .addHelpText('after', examples('deadletters list', 'deadletters retry --agent echo', 'deadletters drop ID'));
  const list = letters.command('list').description('list failed tasks, newest first');
  addFilterOptions(list, { withState: false })
    .option('--limit <n>', 'at most so many', countFlag(LIST_MAX), LIST_DEFAULT)
    .addHelpText('after', examples('deadletters list --agent echo', 'deadletters list --older-than 1d -o ndjson'))
    .action((flags: FilterFlags & { limit: number }) => run((context) => listLetters(flags, context)));
  addWish(letters, run, {
    name: 'retry',
    about: 'give failed tasks a new set of attempts',
    words: { ask: 'Retry', done: 'retried', noun: 'failed task' },
    ask: ({ client }) => client.deadletters.retry,
  });
  addWish(letters, run, {
    name: 'drop',
    about: 'remove failed tasks for good, with their inputs',
    words: { ask: 'Remove for good', done: 'removed', noun: 'failed task' },
    ask: ({ client }) => client.deadletters.drop,
  });
}

interface Wish {
  name: string;
  about: string;
  words: Words;
  ask: (context: CommandContext) => Ask;
}

function addWish(letters: Command, run: Run, { name, about, words, ask }: Wish): void {
  const wish = letters
    .command(name)
    .argument('[id...]', 'ids of failed tasks; without them, filters say which')
    .description(about);
  addManyOptions(wish, { withState: false })
    .addHelpText(
      'after',
      `${examples(
        `deadletters ${name} ID`,
        `deadletters ${name} --agent echo --older-than 1d --dry-run`,
        `deadletters ${name} --all --yes`,
      )}

By filter, a person is asked first and sees how many they are; a script says --yes.`,
    )
    .action((ids: string[], flags: ManyFlags) => {
      checkNamed(ids, flags);
      return run((context) => changeMany(ids, flags, { words, ask: ask(context) }, context));
    });
}

async function listLetters(flags: FilterFlags & { limit: number }, context: CommandContext): Promise<number> {
  const { client, printer, runtime } = context;
  const { state: _failed, ...filter } = filterOf(flags, runtime.now());
  const tasks: TaskView[] = [];
  let more = false;
  const ask = (page: { limit: number; cursor: string | undefined }) => client.deadletters.list({ ...filter, ...page });
  for await (const page of taskPages(ask, flags.limit, context)) {
    tasks.push(...page.tasks);
    more = page.more;
  }
  printer.list(tasks, taskColumns(runtime.now()), 'no failed task matches');
  if (more) printer.note(`shown are the newest ${tasks.length}, there may be more: see --limit`);
  return EXIT.ok;
}
