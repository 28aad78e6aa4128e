/** `submit`: one task, or one for each line of a file. */
import type { Command } from 'commander';
import type { TaskHandle } from '../../client/client.ts';
import type { SubmitOptions } from '../../client/submit-options.ts';
import { type CommandContext, examples, type Run, unlessInterrupted } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { durationFlag, labelFlag, priorityFlag, waitFlag } from '../flags.ts';
import { readInput } from '../read-input.ts';
import { UsageError } from '../usage-error.ts';
import { submitBatch } from './submit-batch.ts';

interface SubmitFlags {
  input?: string;
  method?: string;
  priority?: number;
  key?: string;
  tenant?: string;
  delay?: number;
  timeout?: number;
  label?: Record<string, string>;
  correlation?: string;
  wait?: number;
  batch?: string;
}

export function addSubmitCommand(program: Command, run: Run): void {
  program
    .command('submit')
    .argument('[agent]', 'name of the agent; without one, each line of --batch is a whole task')
    .description('submit a task, or one for each line of a file')
    .option('--input <json>', 'input as JSON, @FILE, or - for stdin; {} without it')
    .option('--method <name>', 'method of the agent')
    .option('--priority <0-10>', 'or low, normal, high, urgent', priorityFlag)
    .option('--key <key>', 'the same key and content give the same task')
    .option('--tenant <name>', 'whom it is for')
    .option('--delay <duration>', 'not before so long from now', durationFlag)
    .option('--timeout <duration>', 'run timeout of one attempt', durationFlag)
    .option('--label <name=value>', 'a label; repeatable', labelFlag)
    .option('--correlation <id>', 'ties tasks together')
    .option('--wait [duration]', 'wait for the end and print the result', waitFlag)
    .option('--batch <file>', 'a file of JSON lines, or - for stdin; each line is an input')
    .addHelpText('after', HELP)
    .action((agent: string | undefined, flags: SubmitFlags) => {
      checkTogether(agent, flags);
      return run((context) => submit(agent, flags, context));
    });
}

const HELP = `${examples(
  `submit echo --input '{"text":"hi"}' --wait=30s`,
  'submit echo --input @order.json --priority high --key order-77',
  'submit echo --batch inputs.ndjson --label import=today',
)}

With --wait: exit 0 completed, 1 failed, 3 cancelled, 4 waited too long.`;

function checkTogether(agent: string | undefined, { batch, key, input, wait }: SubmitFlags): void {
  if (batch === undefined) {
    if (agent === undefined) throw new UsageError('no agent is named; wanted submit AGENT, or submit --batch FILE');
    return;
  }
  const excluded = Object.entries({ '--key': key, '--input': input, '--wait': wait }).filter(
    ([, v]) => v !== undefined,
  );
  if (excluded.length === 0) return;
  const names = excluded.map(([name]) => name).join(' and ');
  throw new UsageError(`${names} cannot stand beside --batch: it is for one task, the file holds many`);
}

async function submit(agent: string | undefined, flags: SubmitFlags, context: CommandContext): Promise<number> {
  const options = optionsOf(flags);
  if (flags.batch !== undefined) return submitBatch({ path: flags.batch, agent, options }, context);
  const input = flags.input === undefined ? {} : await readInput(flags.input, context.io);
  const handle = await unlessInterrupted(context.client.submit(agent!, input, options), context.signal);
  return flags.wait === undefined ? submitted(handle, context) : printResult(handle, flags.wait, context);
}

function optionsOf({ method, priority, key, tenant, delay, timeout, label, correlation }: SubmitFlags): SubmitOptions {
  return { method, priority, key, tenant, delay, timeout, labels: label, correlationId: correlation };
}

/** For people and scripts alike: the id alone goes to stdout, so that `ID=$(agent-system submit …)` holds it. */
async function submitted(handle: TaskHandle, { printer, signal }: CommandContext): Promise<number> {
  if (printer.format === 'table') printer.text(handle.id);
  else printer.value(await unlessInterrupted(handle.task(), signal));
  return EXIT.ok;
}

async function printResult(handle: TaskHandle, waitMs: number, context: CommandContext): Promise<number> {
  const { printer, signal } = context;
  try {
    printer.value(await handle.result({ timeout: Number.isFinite(waitMs) ? waitMs : undefined, signal }));
    return EXIT.ok;
  } catch (error) {
    if (signal.aborted) printer.note(`no longer waiting; task ${handle.id} goes on`);
    throw error;
  }
}
