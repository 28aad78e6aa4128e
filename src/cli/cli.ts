/** The command line: which commands there are, and how a call of one becomes an exit code. */
import { Command, CommanderError } from 'commander';
import type { ClientConfig, ConfigFlags } from '../config/load.ts';
import type { GivenKeys } from '../config/message-keys.ts';
import type { StartDemoSystem } from '../demo/demo-system.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { addGlobalOptions, contextOf, examples, type GlobalOptions, type Run } from './command.ts';
import { addApiKeysCommand } from './commands/api-keys.ts';
import { addClusterCommands } from './commands/cluster.ts';
import { addCompletionCommand } from './commands/completion.ts';
import { addDeadLetterCommands } from './commands/deadletters.ts';
import { addDemoCommand } from './commands/demo.ts';
import { addDevCommand, type DevParts } from './commands/dev.ts';
import { addDoctorCommand, type DoctorParts } from './commands/doctor.ts';
import { addEventsCommand } from './commands/events.ts';
import { addFleetCommands } from './commands/fleet.ts';
import { addHelpCommands } from './commands/help.ts';
import { addKeysCommands } from './commands/keys.ts';
import { addScheduleCommands } from './commands/schedules.ts';
import { addSnapshotCommands } from './commands/snapshot.ts';
import { addSubmitCommand } from './commands/submit.ts';
import { addTaskCommands } from './commands/tasks.ts';
import { EXIT } from './exit-codes.ts';
import { failureOf, tell } from './failure.ts';
import { portFlag, roleFlag, withoutLooseWait } from './flags.ts';
import type { Io } from './io.ts';
import { runRole, type StartSystem } from './run-role.ts';
import { listensOn, sharedOptions } from './shared-options.ts';
import { unknownCommand } from './unknown-command.ts';
import { UsageError } from './usage-error.ts';

export interface CliParts {
  io: Io;
  runtime: Runtime;
  version: string;
  /** Null when nothing names a role. */
  loadConfig: DevParts['loadConfig'];
  loadClientConfig: () => ClientConfig;
  /** Null when the environment holds none. */
  loadKeys: () => GivenKeys | null;
  startSystem: StartSystem;
  startDemoSystem: StartDemoSystem;
  examine: DoctorParts['examine'];
  startDevSystem: DevParts['startDevSystem'];
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

const ROLE_FLAGS = ['role', 'port', 'host', 'restore'] as const;

/** Every command there is; `done` is told the exit code of the one that was called. */
export function buildProgram(parts: CliParts, done: (code: number) => void): Command {
  const { io, version } = parts;
  const program = new Command('agent-system')
    .description('A task system for AI agents: coordinators, distributors and workers.')
    .usage('[command] [options]')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show how it is used')
    .helpCommand(false)
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
    .option('--host <address>', 'address the role listens on')
    .option('--restore <file>', 'put a snapshot into the empty store before the role starts');
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
  addDoctorCommand(program, parts, done);
  addDevCommand(program, parts, done);
  addSubmitCommand(program, run);
  addTaskCommands(program, run);
  addEventsCommand(program, run);
  addDeadLetterCommands(program, run);
  addScheduleCommands(program, run);
  addFleetCommands(program, run);
  addClusterCommands(program, run);
  addSnapshotCommands(program, parts, { run, done });
  addKeysCommands(program, parts, done);
  addApiKeysCommand(program, parts, done);
  addCompletionCommand(program, parts);
  addHelpCommands(program);
  // Said last, for commands take over what was said before them: only a word in the place of a command is told by us.
  return program.allowExcessArguments();
}

function refuseRoleFlags(program: Command, command: Command): void {
  if (command === program) return;
  const flags = program.opts<Record<string, unknown>>();
  const given = ROLE_FLAGS.filter((flag) => flags[flag] !== undefined && !listensOn(command, `--${flag}`));
  if (given.length === 0) return;
  throw new UsageError(
    `--${given.join(' and --')} cannot stand beside the command ${command.name()}: they are for a process that runs a role`,
  );
}

async function runRootCommand(program: Command, { io, loadConfig, startSystem }: CliParts): Promise<number> {
  const [word] = program.args;
  if (word !== undefined) throw new UsageError(unknownCommand(word, program));
  const { role, port, host, restore } = program.opts<ConfigFlags & { restore?: string }>();
  const config = loadConfig({ role, port, host });
  if (config === null && (port !== undefined || host !== undefined || restore !== undefined)) {
    throw new UsageError('--port, --host and --restore are for a role, and none is named; wanted --role as well');
  }
  if (restore !== undefined && (config?.role === 'worker' || config?.role === 'distributor')) {
    throw new UsageError(`--restore is for a coordinator or all, and the role is ${config.role}`);
  }
  const start: StartSystem = (loaded) => startSystem(loaded, restore === undefined ? {} : { restore });
  if (config !== null) return runRole(config, start, io);
  program.outputHelp();
  return EXIT.ok;
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
