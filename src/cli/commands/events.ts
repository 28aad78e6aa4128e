/*
 * `events` and `tasks events`: what happens, as it happens, one line for each event. A cut connection is made good by
 * the client, also with another coordinator behind the same address; what could not be told is told as `gap`.
 */
import type { Command } from 'commander';
import type { HeardEvent } from '../../client/client.ts';
import { EVENT_TYPES, type EventFilter } from '../../service/event-service.ts';
import type { TaskState } from '../../task/task.ts';
import { type CommandContext, examples, type Run, unlessInterrupted } from '../command.ts';
import { eventLine } from '../event-line.ts';
import { EXIT } from '../exit-codes.ts';
import { endsEverything, failureOf } from '../failure.ts';
import { oneOfFlag, stateFlag } from '../flags.ts';
import { printable } from '../text-width.ts';

const CURSOR_HELP = 'go on behind the event with this cursor';

interface EventsFlags {
  types?: string[];
  agent?: string;
  state?: TaskState[];
  tenant?: string;
  correlation?: string;
  after?: string;
}

export function addEventsCommand(program: Command, run: Run): void {
  program
    .command('events')
    .description('print what happens in the whole system, as it happens, until it is ended')
    .option('--types <types>', 'only these, with commas between them', oneOfFlag(EVENT_TYPES))
    .option('--agent <name>', 'only of tasks of this agent')
    .option('--state <states>', 'only of tasks in these states then', stateFlag)
    .option('--tenant <name>', 'only of tasks of this tenant')
    .option('--correlation <id>', 'only of tasks with this correlation id')
    .option('--after <cursor>', CURSOR_HELP)
    .addHelpText(
      'after',
      `${examples('events', 'events --types task.failed,task.cancelled -o ndjson')}

With -o json or ndjson each event is one line, and its cursor takes --after.
Types: ${EVENT_TYPES.join(', ')}.`,
    )
    .action((flags: EventsFlags) => run((context) => followAll(flags, context)));
}

export function addTaskEventsCommand(tasks: Command, run: Run): void {
  tasks
    .command('events')
    .argument('<id...>', 'ids of tasks')
    .description('print what happens to tasks, from their beginning to their end')
    .option('--after <cursor>', CURSOR_HELP)
    .addHelpText('after', examples('tasks events ID', 'tasks events ID -o ndjson'))
    .action((ids: string[], { after }: { after?: string }) => run((context) => followTasks(ids, after, context)));
}

async function followAll({ after, correlation, ...rest }: EventsFlags, context: CommandContext): Promise<number> {
  const filter = { ...rest, correlationId: correlation } as EventFilter;
  const signal = untilNobodyReads(context);
  // The stream is patient with a system that is away; whoever types a wrong address should hear of it at once.
  await unlessInterrupted(context.client.list({ limit: 1 }), signal).catch(unlessOver(signal));
  for await (const event of context.client.events.all(filter, { after, signal })) print(event, context);
  context.signal.throwIfAborted();
  return EXIT.ok;
}

/** Of several tasks at once, for one may go on for long. */
async function followTasks(ids: string[], after: string | undefined, context: CommandContext): Promise<number> {
  const { client, printer } = context;
  const signal = untilNobodyReads(context);
  const named = [...new Set(ids)];
  const follow = async (id: string): Promise<number> => {
    try {
      await unlessInterrupted(client.task(id), signal).catch(unlessOver(signal));
      for await (const event of client.handle(id).events({ after, signal })) {
        print(event, context, { withTask: named.length > 1 });
      }
      return EXIT.ok;
    } catch (error) {
      if (endsEverything(error)) throw error;
      for (const text of failureOf(error).errors) printer.note(`error: ${printable(id)}: ${text}`);
      return EXIT.failed;
    }
  };
  const codes = await Promise.all(named.map(follow));
  context.signal.throwIfAborted();
  return Math.max(...codes);
}

function unlessOver(signal: AbortSignal): (error: unknown) => void {
  return (error) => {
    if (!signal.aborted) throw error;
  };
}

function untilNobodyReads({ signal, io }: CommandContext): AbortSignal {
  return AbortSignal.any([signal, io.outGone]);
}

function print(event: HeardEvent, { printer }: CommandContext, options?: { withTask: boolean }): void {
  if (printer.format !== 'table') printer.line(event);
  else if (event.type !== 'end') printer.text(eventLine(event, printer.look, options));
}
