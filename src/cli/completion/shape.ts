/** What can stand where on a command line, read from the commands themselves, so that completion never lags behind them. */
import type { Argument, Command, Option } from 'commander';
import { ROLES } from '../../config/role.ts';
import { PRIORITY_NAMES } from '../../scheduling/order.ts';
import { EVENT_TYPES } from '../../service/event-service.ts';
import { TASK_STATES } from '../../task/task.ts';
import { sharedOptions } from '../shared-options.ts';

export type Values =
  | { kind: 'words'; words: readonly string[] }
  /** With commas between them. */
  | { kind: 'list'; words: readonly string[] }
  | { kind: 'files' | 'folders' }
  /** JSON, `@FILE` or `-`. */
  | { kind: 'input' }
  /** What a running system knows. */
  | { kind: 'names'; command: NamedBy }
  | { kind: 'any' };

/** The command whose table begins with the names. */
export type NamedBy = 'agents list' | 'workers list' | 'schedules list' | 'tasks list' | 'deadletters list';

export interface CommandShape {
  /** Words from the program's name on, without it. */
  path: string;
  commands: { name: string; about: string }[];
  options: OptionShape[];
  /** By place; the last one stands for all that follow where it is `variadic`. */
  args: Values[];
  variadic: boolean;
}

export interface OptionShape {
  /** `-o` and `--output`. */
  names: string[];
  about: string;
  /** The next word is its value. */
  takesValue: boolean;
  values: Values;
}

/** Every command of the program, the program itself first. */
export function shapesOf(program: Command): CommandShape[] {
  const walk = (command: Command, path: string[]): CommandShape[] => [
    shapeOf(command, path, sharedOptions(command)),
    ...command.commands.flatMap((sub) => walk(sub, [...path, sub.name()])),
  ];
  return walk(program, []);
}

function shapeOf(command: Command, path: string[], shared: Option[]): CommandShape {
  const help = { names: ['-h', '--help'], about: 'show how it is used', takesValue: false, values: ANY };
  const own = command.options;
  return {
    path: path.join(' '),
    commands: command.commands.map((sub) => ({ name: sub.name(), about: sub.description() })),
    options: [...own, ...shared.filter((option) => !own.some(({ long }) => long === option.long))]
      .map(optionOf)
      .concat(help),
    args: command.registeredArguments.map((argument) => valuesOfArgument(argument, command, path)),
    variadic: command.registeredArguments.at(-1)?.variadic ?? false,
  };
}

const ANY: Values = { kind: 'any' };
const FILES: Values = { kind: 'files' };
const AGENTS: Values = { kind: 'names', command: 'agents list' };
const WORKERS: Values = { kind: 'names', command: 'workers list' };

function optionOf(option: Option): OptionShape {
  const { short, long, description, required } = option;
  const names = [short, long].filter((name) => name !== undefined);
  return { names, about: description, takesValue: required, values: valuesOfOption(option) };
}

/** By the name of an option, else by what its value is called. */
const BY_OPTION: Record<string, Values> = {
  '--agent': AGENTS,
  '--worker': WORKERS,
  '--require-worker': WORKERS,
  '--input': { kind: 'input' },
};
const BY_PLACEHOLDER: Record<string, Values> = {
  file: FILES,
  pem: FILES,
  path: FILES,
  states: { kind: 'list', words: TASK_STATES },
  types: { kind: 'list', words: EVENT_TYPES },
  role: { kind: 'words', words: [...ROLES, 'auto'] },
  '0-10': { kind: 'words', words: Object.keys(PRIORITY_NAMES) },
};

function valuesOfOption({ long, flags, argChoices }: Option): Values {
  if (argChoices) return { kind: 'words', words: argChoices };
  const placeholder = /[<[]([^\]>.]+)/.exec(flags)?.[1] ?? '';
  return BY_OPTION[long ?? ''] ?? BY_PLACEHOLDER[placeholder] ?? ANY;
}

/** Whose ids a group of commands takes. */
const IDS: Record<string, NamedBy> = {
  tasks: 'tasks list',
  deadletters: 'deadletters list',
  workers: 'workers list',
  schedules: 'schedules list',
};

function valuesOfArgument(argument: Argument, command: Command, [group = '']: string[]): Values {
  if (argument.argChoices) return { kind: 'words', words: argument.argChoices };
  const named = IDS[group];
  switch (argument.name()) {
    case 'agent':
      return AGENTS;
    case 'id':
      return named === undefined || command.name() === 'create' ? ANY : { kind: 'names', command: named };
    case 'command':
      return { kind: 'words', words: command.parent?.commands.map((one) => one.name()) ?? [] };
    case 'folder':
      return { kind: 'folders' };
    case 'file':
      return FILES;
    default:
      return ANY;
  }
}
