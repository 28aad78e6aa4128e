/** `submit`: one task, or one for each line of a file. */
import type { Command } from 'commander';
import type { TaskHandle } from '../../client/client.ts';
import { type CommandContext, examples, type Run, unlessInterrupted } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { waitFlag } from '../flags.ts';
import { readInput } from '../read-input.ts';
import { UsageError } from '../usage-error.ts';
import { resultOf } from './follow.ts';
import { submitBatch } from './submit-batch.ts';
import { addSubmitOptions, submitOptionsOf, type TaskFlags } from './submit-flags.ts';

interface SubmitFlags extends TaskFlags {
  input?: string;
  wait?: number;
  follow?: boolean;
  batch?: string;
}

export function addSubmitCommand(program: Command, run: Run): void {
  const submitCommand = program
    .command('submit')
    .argument('[agent]', 'name of the agent; without one, each line of --batch is a whole task')
    .description('submit a task, or one for each line of a file')
    .allowExcessArguments()
    .option('--input <json>', 'input as JSON, @FILE, or - for stdin; {} without it')
    .option('--wait [duration]', 'wait for the end and print the result', waitFlag)
    .option('--follow', 'the same, and tell what happens until then')
    .option('--batch <file>', 'a file of JSON lines, or - for stdin; each line is an input');
  addSubmitOptions(submitCommand)
    .addHelpText('after', HELP)
    .action((agent: string | undefined, flags: SubmitFlags, { args }: Command) => {
      checkTogether(agent, args, flags);
      return run((context) => submit(agent, flags, context));
    });
}

const HELP = `${examples(
  `submit echo --input '{"text":"hi"}' --wait=30s`,
  'submit echo --input @order.json --priority high --key order-77 --follow',
  'submit echo --require-label zone=eu --require-resource gpu=1',
  'submit echo --batch inputs.ndjson --label import=today',
)}

With --wait and --follow: exit 0 completed, 1 failed, 3 cancelled, 4 waited too long.`;

function checkTogether(agent: string | undefined, args: readonly string[], flags: SubmitFlags): void {
  if (args.length > 1) throw new UsageError(tooMany(args, flags));
  const { batch, key, input, wait, follow } = flags;
  if (batch === undefined) {
    if (agent === undefined) throw new UsageError('no agent is named; wanted submit AGENT, or submit --batch FILE');
    return;
  }
  const excluded = Object.entries({ '--key': key, '--input': input, '--wait': wait, '--follow': follow }).filter(
    ([, v]) => v !== undefined,
  );
  if (excluded.length === 0) return;
  const names = excluded.map(([name]) => name).join(' and ');
  throw new UsageError(`${names} cannot stand beside --batch: it is for one task, the file holds many`);
}

/** A word after `--wait` that is no duration stands there like a second agent. */
function tooMany(args: readonly string[], { wait }: SubmitFlags): string {
  const found = `one agent is submitted to, but found ${args.map((arg) => JSON.stringify(arg)).join(' and ')}`;
  if (wait !== Number.POSITIVE_INFINITY) return `${found}; the input is given with --input`;
  return `${found}; if one of them is how long to wait, wanted a duration such as --wait=250ms, 30s, 5m or 1h`;
}

async function submit(agent: string | undefined, flags: SubmitFlags, context: CommandContext): Promise<number> {
  const options = submitOptionsOf(flags);
  if (flags.batch !== undefined) return submitBatch({ path: flags.batch, agent, options }, context);
  const input = flags.input === undefined ? {} : await readInput(flags.input, context.io);
  const handle = await unlessInterrupted(context.client.submit(agent!, input, options), context.signal);
  const { wait = Number.POSITIVE_INFINITY, follow = false } = flags;
  if (flags.wait === undefined && !follow) return submitted(handle, context);
  context.printer.value(await resultOf(handle, { waitMs: wait, tellEvents: follow }, context));
  return EXIT.ok;
}

/** For people and scripts alike: the id alone goes to stdout, so that `ID=$(agent-system submit …)` holds it. */
async function submitted(handle: TaskHandle, { printer, signal }: CommandContext): Promise<number> {
  if (printer.format === 'table') printer.text(handle.id);
  else printer.value(await unlessInterrupted(handle.task(), signal));
  return EXIT.ok;
}
