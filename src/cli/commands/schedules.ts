/** `schedules …`: tasks that are submitted by the clock. */
import { type Command, Option } from 'commander';
import { requestOf } from '../../client/submit-options.ts';
import { MISSED_POLICIES, OVERLAP_POLICIES } from '../../schedule/schedule.ts';
import type { ScheduleInput } from '../../service/schedule-request.ts';
import type { ScheduleView } from '../../service/schedule-service.ts';
import { type CommandContext, examples, forEachId, type Run, unlessInterrupted } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { durationFlag, timeFlag } from '../flags.ts';
import { briefDuration, longDuration } from '../human.ts';
import { readInput } from '../read-input.ts';
import type { Column } from '../table.ts';
import { UsageError } from '../usage-error.ts';
import { addTaskOptions, submitOptionsOf, type TaskFlags } from './submit-flags.ts';

export function addScheduleCommands(program: Command, run: Run): void {
  const schedules = program
    .command('schedules')
    .description('tasks that are submitted by the clock')
    .addHelpText(
      'after',
      examples(
        'schedules list',
        `schedules create nightly --agent report --cron '0 3 * * *'`,
        'schedules pause nightly',
      ),
    );
  schedules
    .command('list')
    .description('list schedules and when each is due')
    .addHelpText('after', examples('schedules list', 'schedules list -o json'))
    .action(() => run((context) => listSchedules(context)));
  schedules
    .command('get')
    .argument('<id...>', 'ids of schedules')
    .description('show schedules: their times, their task, what became of the last one')
    .option('--tenant <name>', TENANT)
    .addHelpText('after', examples('schedules get nightly', 'schedules get nightly -o json'))
    .action((ids: string[], { tenant }: ByTenant) => run((context) => getSchedules(ids, tenant, context)));
  addMaking(schedules, run);
  addActions(schedules, run);
}

const TENANT = 'whose it is, where several have one of this name';

interface ByTenant {
  tenant?: string;
}

interface ScheduleFlags extends TaskFlags {
  agent: string;
  input?: string;
  cron?: string;
  timeZone?: string;
  every?: number;
  at?: string;
  overlap?: ScheduleInput['overlap'];
  missed?: ScheduleInput['missed'];
  jitter?: number;
  paused?: boolean;
}

const POLICIES = `
Exactly one of --cron, --every and --at says when. --overlap, when a time comes while the last task has not ended:
skip leaves it out (default), queue submits it afterwards, replace cancels the last one, allow runs both. --missed, of
times at which nobody could act: skip leaves them out (default), once makes one task for all of them, all makes each.`;

function addMaking(schedules: Command, run: Run): void {
  const create = schedules
    .command('create')
    .argument('<id>', 'its name: letters, digits, dots, hyphens, underscores')
    .description('make a schedule');
  addScheduleOptions(create)
    .addHelpText(
      'after',
      `${examples(
        `schedules create nightly --agent report --input '{"of":"yesterday"}' --cron '0 3 * * *' --time-zone Europe/Berlin`,
        'schedules create pulse --agent ping --every 5m --jitter 30s --overlap queue',
        'schedules create launch --agent announce --at 2030-01-31T08:00:00Z',
      )}\n${POLICIES}`,
    )
    .action((id: string, flags: ScheduleFlags) => {
      checkTimes(flags);
      return run(async (context) => {
        const schedule = await inputOf(flags, context);
        const made = await unlessInterrupted(context.client.schedules.create({ id, ...schedule }), context.signal);
        return shown([made], context);
      });
    });
  const put = schedules
    .command('put')
    .argument('<id>', 'its name')
    .description('make a schedule, or make it what is said here; what it did so far stays counted');
  addScheduleOptions(put)
    .addHelpText('after', `${examples('schedules put pulse --agent ping --every 10m')}\n${POLICIES}`)
    .action((id: string, flags: ScheduleFlags) => {
      checkTimes(flags);
      return run(async (context) => {
        const body = await inputOf(flags, context);
        const { schedule, created } = await unlessInterrupted(context.client.schedules.put(id, body), context.signal);
        if (context.printer.format === 'table') context.printer.note(created ? 'made anew' : 'changed');
        return shown([schedule], context);
      });
    });
}

function addScheduleOptions(command: Command): Command {
  command
    .requiredOption('--agent <name>', 'agent of its tasks')
    .option('--input <json>', 'input of its tasks as JSON, @FILE, or - for stdin; {} without it')
    .option('--cron <pattern>', 'minute hour day month weekday, or six fields with seconds first')
    .option('--time-zone <name>', 'of the cron pattern, such as Europe/Berlin (default: UTC)')
    .option('--every <duration>', 'again and again, counted from now', durationFlag)
    .option('--at <time>', 'once, such as 2030-01-31T08:00:00Z', timeFlag)
    .addOption(new Option('--overlap <policy>', 'while the last task has not ended').choices(OVERLAP_POLICIES))
    .addOption(new Option('--missed <policy>', 'of times that nobody could act at').choices(MISSED_POLICIES))
    .option('--jitter <duration>', 'put each time off by up to so much', durationFlag)
    .option('--tenant <name>', 'whose tasks they are')
    .option('--paused', 'make it, but do not let it begin');
  return addTaskOptions(command);
}

function checkTimes({ cron, every, at, timeZone }: ScheduleFlags): void {
  const given = Object.entries({ '--cron': cron, '--every': every, '--at': at }).filter(([, v]) => v !== undefined);
  if (given.length !== 1) {
    const found = given.length === 0 ? 'none of them' : given.map(([name]) => name).join(' and ');
    throw new UsageError(`exactly one of --cron, --every and --at says when; found ${found}`);
  }
  if (timeZone !== undefined && cron === undefined) throw new UsageError('--time-zone only goes with --cron');
}

async function inputOf(flags: ScheduleFlags, { io }: CommandContext): Promise<Omit<ScheduleInput, 'id'>> {
  const { agent, input, cron, timeZone, every, at, overlap, missed, jitter, paused, tenant } = flags;
  const value = input === undefined ? {} : await readInput(input, io);
  const task = requestOf(agent, value, submitOptionsOf({ ...flags, tenant: undefined }));
  return { tenant, cron, timeZone, everyMs: every, at, overlap, missed, jitterMs: jitter, paused, task: { ...task } };
}

function addActions(schedules: Command, run: Run): void {
  const changes = {
    pause: 'let schedules submit nothing more until they are resumed',
    resume: 'let paused schedules go on with their next time from now',
  } as const;
  for (const [name, about] of Object.entries(changes) as [keyof typeof changes, string][]) {
    each(schedules, name, about).action((ids: string[], { tenant }: ByTenant) =>
      run(async (context) => {
        const { done, code } = await forEachId(ids, context, (id) => context.client.schedules[name](id, tenant));
        if (done.length > 0) shown(done, context, ids.length);
        return code;
      }),
    );
  }
  each(schedules, 'trigger', 'submit the task of schedules now, beside their times; prints its id').action(
    (ids: string[], { tenant }: ByTenant) =>
      run(async (context) => {
        const { printer, client } = context;
        const { done, code } = await forEachId(ids, context, (id) => client.schedules.trigger(id, tenant));
        printer.each(done, ids.length, (tasks) => {
          for (const { id } of tasks) printer.text(id);
        });
        return code;
      }),
  );
  each(schedules, 'delete', 'remove schedules; tasks that they made go on').action(
    (ids: string[], { tenant }: ByTenant) =>
      run(async (context) => {
        const remove = async (id: string) => {
          await context.client.schedules.remove(id, tenant);
          return { id, deleted: true };
        };
        const { done, code } = await forEachId(ids, context, remove);
        context.printer.each(done, ids.length, (gone) => {
          for (const { id } of gone) context.printer.text(`${id} deleted`);
        });
        return code;
      }),
  );
}

function each(schedules: Command, name: string, about: string): Command {
  return schedules
    .command(name)
    .argument('<id...>', 'ids of schedules')
    .description(about)
    .option('--tenant <name>', TENANT)
    .addHelpText('after', examples(`schedules ${name} nightly`));
}

const COLUMNS: Column<ScheduleView>[] = [
  { name: 'ID', of: ({ id }) => id, whole: true },
  { name: 'AGENT', of: ({ task }) => task.agent },
  { name: 'WHEN', of: whenOf },
  {
    name: 'NEXT',
    of: ({ nextAt, paused }) => (paused ? 'paused' : nextAt),
    whole: true,
    style: ({ paused }) => (paused ? 'yellow' : undefined),
  },
  { name: 'FIRED', of: ({ fired }) => fired, align: 'right' },
  { name: 'SKIPPED', of: ({ skipped }) => skipped, align: 'right' },
  { name: 'LAST TASK', of: ({ last }) => last?.task ?? (last?.error && `refused: ${last.error.message}`) },
  { name: 'TENANT', of: ({ tenant }) => tenant },
];

function whenOf({ cron, timeZone, everyMs, at }: ScheduleView): string {
  if (cron !== undefined) return `${cron} ${timeZone ?? ''}`.trim();
  return everyMs === undefined ? `at ${at}` : `every ${briefDuration(everyMs)}`;
}

async function listSchedules({ client, printer, signal }: CommandContext): Promise<number> {
  const schedules = await unlessInterrupted(client.schedules.list(), signal);
  printer.list(schedules, COLUMNS, 'there is no schedule; "agent-system schedules create" makes one');
  return EXIT.ok;
}

async function getSchedules(ids: string[], tenant: string | undefined, context: CommandContext): Promise<number> {
  const { client, printer } = context;
  const { done, code } = await forEachId(ids, context, (id) => client.schedules.get(id, tenant));
  printer.each(done, ids.length, (schedules) => {
    for (const [i, schedule] of schedules.entries()) {
      if (i > 0) printer.text('');
      printer.facts(factsOf(schedule));
    }
  });
  return code;
}

function shown(schedules: ScheduleView[], { printer }: CommandContext, asked = schedules.length): number {
  printer.each(schedules, asked, (all) => printer.list(all, COLUMNS, ''));
  return EXIT.ok;
}

function factsOf(schedule: ScheduleView): [string, string | undefined][] {
  const { last, jitterMs, waiting } = schedule;
  return [
    ['id', schedule.id],
    ['tenant', schedule.tenant],
    ['when', whenOf(schedule)],
    ['jitter', jitterMs === 0 ? undefined : `up to ${longDuration(jitterMs)}`],
    ['next', schedule.paused ? 'paused' : (schedule.nextAt ?? 'none')],
    ['overlap', schedule.overlap],
    ['missed', schedule.missed],
    ['fired', String(schedule.fired)],
    ['skipped', String(schedule.skipped)],
    ['waiting', waiting === 0 ? undefined : `${waiting} for the last task to end`],
    ['last', last ? `${last.at}: ${last.task ?? `refused: ${last.error?.message ?? ''}`}` : undefined],
    ['created', schedule.createdAt],
    ['changed', schedule.updatedAt],
    ['task', JSON.stringify(schedule.task, null, 2)],
  ];
}
