/** The command line: which commands there are, and how a call of one becomes an exit code. */
import { Command, CommanderError } from 'commander';
import type { ClientConfig, Config, ConfigFlags } from '../config/load.ts';
import type { StartDemoSystem } from '../demo/run.ts';
import { nearest } from '../runtime/near-names.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { addGlobalOptions, contextOf, examples, type GlobalOptions, type Run } from './command.ts';
import { addDemoCommand } from './commands/demo.ts';
import { addFleetCommands } from './commands/fleet.ts';
import { addKeysCommand } from './commands/keys.ts';
import { addSubmitCommand } from './commands/submit.ts';
import { addTaskCommands } from './commands/tasks.ts';
import { EXIT } from './exit-codes.ts';
import { failureOf, tell } from './failure.ts';
import { portFlag, roleFlag, withoutLooseWait } from './flags.ts';
import type { Io } from './io.ts';
import { runRole, type StartSystem } from './run-role.ts';
import { UsageError } from './usage-error.ts';

export interface CliParts {
  io: Io;
  runtime: Runtime;
  version: string;
  /** Null when nothing names a role. */
  loadConfig: (flags: ConfigFlags) => Config | null;
  loadClientConfig: () => ClientConfig;
  startSystem: StartSystem;
  startDemoSystem: StartDemoSystem;
}

/**
 * Runs one call of the program and never rejects.
 *
 * @param args without the interpreter and the script
 * @returns the exit code
 */
export async function runCli(args: readonly string[], parts: CliParts): Promise<number> {
  let code: number = EXIT.ok;
  const program = buildProgram(parts, (exit) => {
    code = exit;
  });
  try {
    await program.parseAsync(withoutLooseWait(args), { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof UsageError) return usage(program, error);
    const failure = failureOf(error);
    tell(failure, parts.io.err);
    return failure.code;
  }
}

function usage(program: Command, error: UsageError): number {
  try {
    program.error(`error: ${error.message}`);
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) throw thrown;
  }
  return EXIT.usage;
}

const ROLE_FLAGS = ['role', 'port', 'host'] as const;

function buildProgram(parts: CliParts, done: (code: number) => void): Command {
  const { io, version } = parts;
  const program = new Command('agent-system')
    .description('A task system for AI agents: coordinators, distributors and workers.')
    .usage('[command] [options]')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show how it is used')
    .helpCommand('help [command]', 'show how a command is used')
    .configureOutput({
      writeOut: (text) => io.out(text),
      writeErr: (text) => io.err(text),
      getOutHelpWidth: () => io.outColumns ?? 100,
      getErrHelpWidth: () => io.errColumns ?? 100,
      getOutHasColors: () => io.colors && io.outColumns !== null,
      getErrHasColors: () => io.colors && io.errColumns !== null,
    })
    .configureHelp({ showGlobalOptions: true, visibleGlobalOptions: (command) => sharedOptions(command) })
    .showHelpAfterError('(--help shows how it is used)')
    .exitOverride()
    .option('--role <role>', 'run a role: coordinator, distributor, worker, all (one process), or auto', roleFlag)
    .option('--port <port>', 'HTTP port of the role', portFlag)
    .option('--host <address>', 'address the role listens on');
  addGlobalOptions(program);
  program
    .addHelpText(
      'after',
      examples('demo', '--role all', `submit echo --input '{"text":"hi"}' --wait`, 'tasks list --state failed'),
    )
    .hook('preAction', (_program, command) => refuseRoleFlags(program, command))
    .action(async () => done(await runRootCommand(program, parts)));
  const run = runner(program, parts, done);
  addDemoCommand(program, { io, runtime: parts.runtime, startSystem: parts.startDemoSystem }, done);
  addSubmitCommand(program, run);
  addTaskCommands(program, run);
  addFleetCommands(program, run);
  addKeysCommand(program, parts, done);
  // Said last, for commands take over what was said before them: only a word in the place of a command is told by us.
  return program.allowExcessArguments();
}

/** In the help of a command the flags that start a role would only mislead. */
function sharedOptions(command: Command) {
  const root = rootOf(command);
  if (command === root) return [];
  return root.options.filter((option) => ['--output', '--url', '--api-key'].includes(option.long ?? ''));
}

function rootOf(command: Command): Command {
  return command.parent === null ? command : rootOf(command.parent);
}

function refuseRoleFlags(program: Command, command: Command): void {
  if (command === program) return;
  const flags = program.opts<Record<string, unknown>>();
  const given = ROLE_FLAGS.filter((flag) => flags[flag] !== undefined);
  if (given.length === 0) return;
  throw new UsageError(
    `--${given.join(' and --')} cannot stand beside the command ${command.name()}: a process does one of both`,
  );
}

async function runRootCommand(program: Command, { io, loadConfig, startSystem }: CliParts): Promise<number> {
  const [word] = program.args;
  if (word !== undefined) throw new UsageError(unknownCommand(word, program));
  const { role, port, host } = program.opts<ConfigFlags>();
  const config = loadConfig({ role, port, host });
  if (config === null && (port !== undefined || host !== undefined)) {
    throw new UsageError('--port and --host are for a role, and none is named; wanted --role as well');
  }
  if (config !== null) return runRole(config, startSystem, io);
  program.outputHelp();
  return EXIT.ok;
}

function unknownCommand(word: string, program: Command): string {
  const near = nearest(
    word,
    program.commands.map((command) => command.name()),
  );
  return `unknown command '${word}'${near.length > 0 ? `; did you mean ${near.join(' or ')}?` : ''}`;
}

function runner(program: Command, parts: CliParts, done: (code: number) => void): Run {
  return async (work) => {
    const context = contextOf({ options: program.opts<GlobalOptions>(), ...parts });
    try {
      done(await work(context));
    } finally {
      context.close();
    }
  };
}
