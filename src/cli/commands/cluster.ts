/** `cluster`: who owns which shard until when, and how to make a coordinator give up what it owns. */
import type { Command } from 'commander';
import type { StepDownOptions } from '../../client/operations.ts';
import type { InstanceView } from '../../service/cluster-service.ts';
import type { ClusterView, OwnerView } from '../../service/fleet-service.ts';
import { type CommandContext, examples, type Run, unlessInterrupted } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { wholeFlag } from '../flags.ts';
import { count, shortDuration } from '../human.ts';
import type { Column } from '../table.ts';
import { printable } from '../text-width.ts';
import { unknownCommand } from '../unknown-command.ts';
import { UsageError } from '../usage-error.ts';

const SHARD_MAX = 1_000_000;

export function addClusterCommands(program: Command, run: Run): void {
  const cluster = program
    .command('cluster')
    .description('who owns which shard until when, and what the system consists of')
    .addHelpText('after', examples('cluster', 'cluster -o json', 'cluster step-down'));
  cluster
    .command('step-down')
    .description('make the coordinator that is asked (--url) give up the shards it owns, for others to take over')
    .option('--shard <n>', 'only this one', wholeFlag(0, SHARD_MAX))
    .option('--force', 'also where no other coordinator lives')
    .addHelpText('after', examples('cluster step-down', 'cluster step-down --url http://127.0.0.1:8011 --shard 2'))
    .action((options: StepDownOptions) => run((context) => stepDown(options, context)));
  // Said last, for commands take over what was said before them: only a word in the place of a command is told by us.
  cluster.allowExcessArguments().action(() => {
    const [word] = cluster.args;
    if (word !== undefined) throw new UsageError(unknownCommand(word, cluster));
    return run((context) => showCluster(context));
  });
}

async function showCluster({ client, printer, runtime, signal }: CommandContext): Promise<number> {
  const view = await unlessInterrupted(client.cluster(), signal);
  if (printer.format !== 'table') {
    printer.value(view);
    return EXIT.ok;
  }
  printer.list(view.owners, ownerColumns(runtime.now()), 'no coordinator has owned a shard yet');
  printer.text('');
  printer.facts(factsOf(view));
  return EXIT.ok;
}

function ownerColumns(now: number): Column<OwnerView>[] {
  return [
    { name: 'SHARD', of: ({ shard }) => shard, align: 'right' },
    { name: 'OWNER', of: ({ instance }) => instance, whole: true },
    { name: 'EPOCH', of: ({ epoch }) => epoch, align: 'right' },
    {
      name: 'UNTIL',
      of: ({ until }) => (until === null ? 'its time is over' : `${until} (${left(until, now)})`),
      style: ({ until }) => (until === null ? 'red' : 'green'),
    },
    { name: 'URL', of: ({ url }) => url },
  ];
}

function left(until: string, now: number): string {
  const ms = Date.parse(until) - now;
  return ms <= 0 ? 'over' : `${shortDuration(ms)} left`;
}

function factsOf({ owners, shards, instances, store }: ClusterView): [string, string | undefined][] {
  const owned = owners.filter(({ until }) => until !== null).length;
  const description = store.description === null ? '' : ` (${printable(store.description)})`;
  return [
    ['shards', owned === shards ? `${shards}, each has an owner` : `${shards}, ${shards - owned} without an owner`],
    ['store', `${store.kind}${description}`],
    ['deployment', store.deployment],
    ['instances', instancesText(instances)],
  ];
}

function instancesText(instances: InstanceView[]): string {
  const living = instances.filter(({ alive }) => alive);
  const roles = new Map<string, number>();
  for (const { role } of living) roles.set(role, (roles.get(role) ?? 0) + 1);
  const each = [...roles].map(([role, many]) => `${many} ${role}`).join(', ');
  const silent = instances.length - living.length;
  return `${count(living.length, 'instance')}${each === '' ? '' : `: ${each}`}${silent > 0 ? `; ${silent} not heard of` : ''}`;
}

async function stepDown(options: StepDownOptions, { client, printer, signal }: CommandContext): Promise<number> {
  const done = await unlessInterrupted(client.stepDown(options), signal);
  const { steppedDown, elsewhere } = done;
  if (printer.format !== 'table') printer.value(done);
  else if (steppedDown.length > 0) printer.text(`gave up ${shardsText(steppedDown)}`);
  if (steppedDown.length > 0) return EXIT.ok;
  printer.note('error: the coordinator that was asked owns none of them');
  for (const { shard, instance, url } of elsewhere) {
    printer.note(`shard ${shard} is owned by ${instance}${url === null ? '' : `: ask it with --url ${url}`}`);
  }
  return EXIT.failed;
}

function shardsText(shards: number[]): string {
  return `${shards.length === 1 ? 'shard' : 'shards'} ${shards.join(', ')}`;
}
