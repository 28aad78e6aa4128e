import type { Command } from 'commander';
import { examples } from '../command.ts';
import { unknownCommand } from '../unknown-command.ts';
import { UsageError } from '../usage-error.ts';

const DEPTH_MAX = 4;

/** `help` in the program and in every group of commands; to be added last, for it looks at what is there. */
export function addHelpCommands(command: Command): void {
  if (command.commands.length === 0) return;
  for (const sub of command.commands) addHelpCommands(sub);
  const group = command.parent === null ? '' : `${command.name()} `;
  command
    .command('help')
    .argument('[command...]', 'the command')
    .description('show how a command is used')
    .addHelpText('after', examples(`${group}help ${command.commands[0]!.name()}`))
    .action((words: string[]) => find(command, words).outputHelp());
}

function find(from: Command, words: string[]): Command {
  let found = from;
  for (const word of words.slice(0, DEPTH_MAX)) {
    const next = found.commands.find((command) => command.name() === word);
    if (!next) throw new UsageError(unknownCommand(word, found));
    found = next;
  }
  return found;
}
