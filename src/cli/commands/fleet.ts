/** `workers`, `instances`, `queues` and `agents`: what the system consists of, and how to take parts out of use. */
import type { Command } from 'commander';
import type { Client } from '../../client/client.ts';
import type { Runtime } from '../../runtime/runtime.ts';
import type { AgentCard } from '../../service/agent-catalog.ts';
import type { InstanceView, QueueView, WorkerView } from '../../service/cluster-service.ts';
import { examples, forEachId, type Run, unlessInterrupted } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { shortDuration } from '../human.ts';
import type { Column, Style } from '../table.ts';

export function addFleetCommands(program: Command, run: Run): void {
  const workers = list(program, run, {
    noun: 'workers',
    about: 'the processes that run attempts',
    more: ['workers drain w7'],
    read: (client) => client.workers(),
    columns: workerColumns,
    none: 'no worker is there; start one with "agent-system --role worker" and the same keys as the coordinators',
  });
  addDrain(workers, run);
  list(program, run, {
    noun: 'instances',
    about: 'every process of the system, of whatever role',
    read: (client) => client.instances(),
    columns: instanceColumns,
    none: 'no instance is registered',
  });
  const queues = list(program, run, {
    noun: 'queues',
    about: 'how many tasks wait for each agent',
    more: ['queues pause echo'],
    read: (client) => client.queues(),
    columns: () => QUEUES,
    none: 'no agent is known yet, so there is no queue',
  });
  addQueueActions(queues, run);
  list(program, run, {
    noun: 'agents',
    about: 'the agents that workers have registered',
    read: (client) => client.agents(),
    columns: () => AGENTS,
    none: 'no agent is known yet: workers bring them',
  });
}

interface ListSpec<T> {
  noun: string;
  about: string;
  /** Examples of the group beside those of its list. */
  more?: string[];
  read: (client: Client) => Promise<T[]>;
  columns: (runtime: Runtime) => Column<T>[];
  none: string;
}

function list<T>(program: Command, run: Run, { noun, about, more = [], read, columns, none }: ListSpec<T>): Command {
  const lines = [`${noun} list`, `${noun} list -o json`];
  const group = program
    .command(noun)
    .description(about)
    .addHelpText('after', examples(...lines, ...more));
  group
    .command('list')
    .description(`list ${about}`)
    .addHelpText('after', examples(...lines))
    .action(() =>
      run(async ({ client, printer, runtime, signal }) => {
        printer.list(await unlessInterrupted(read(client), signal), columns(runtime), none);
        return EXIT.ok;
      }),
    );
  return group;
}

function addDrain(workers: Command, run: Run): void {
  workers
    .command('drain')
    .argument('<id...>', 'ids of workers')
    .description('tell workers to take nothing more, to hand back what they have not started, and to end what runs')
    .option('--reason <text>', 'why; stands in the log of the worker')
    .addHelpText(
      'after',
      `${examples('workers drain w7', 'workers drain w7 --reason "new image"')}

It stays drained until it is started anew; "agent-system workers list" shows when nothing runs on it any more.`,
    )
    .action((ids: string[], { reason }: { reason?: string }) =>
      run(async (context) => {
        const { printer, client } = context;
        const { done, code } = await forEachId(ids, context, (id) => client.drain(id, reason));
        printer.each(done, ids.length, (drained) => {
          for (const { worker } of drained) printer.text(`${worker} is draining`);
        });
        return code;
      }),
    );
}

function addQueueActions(queues: Command, run: Run): void {
  const actions = {
    pause: 'assign nothing more of these agents; what runs goes on, and tasks are still taken in',
    resume: 'assign tasks of these agents again',
  } as const;
  for (const [name, about] of Object.entries(actions) as [keyof typeof actions, string][]) {
    queues
      .command(name)
      .argument('<agent...>', 'names of agents')
      .description(about)
      .addHelpText('after', examples(`queues ${name} echo`, `queues ${name} echo summarise`))
      .action((agents: string[]) =>
        run(async (context) => {
          const { printer, client } = context;
          const { done, code } = await forEachId(agents, context, (agent) => client[name](agent));
          if (done.length > 0) printer.each(done, agents.length, (all) => printer.list(all, QUEUES, ''));
          return code;
        }),
      );
  }
}

const WORKER_STYLES: Record<WorkerView['state'], Style> = {
  ready: 'green',
  busy: 'cyan',
  draining: 'yellow',
  not_ready: 'yellow',
  lost: 'red',
};

function workerColumns({ now }: Runtime): Column<WorkerView>[] {
  return [
    { name: 'ID', of: ({ id }) => id, whole: true },
    { name: 'STATE', of: ({ state }) => state, style: ({ state }) => WORKER_STYLES[state] },
    { name: 'SLOTS', of: ({ slots }) => slots, align: 'right' },
    { name: 'RUNNING', of: ({ running }) => running, align: 'right' },
    { name: 'WAITING', of: ({ waiting }) => waiting, align: 'right' },
    { name: 'DISTRIBUTOR', of: ({ distributor }) => distributor },
    { name: 'HOST', of: ({ host }) => host },
    { name: 'HEARTBEAT', of: ({ lastHeartbeat }) => ago(lastHeartbeat, now()), align: 'right' },
    { name: 'AGENTS', of: ({ agents }) => agents.join(', ') },
  ];
}

function instanceColumns({ now }: Runtime): Column<InstanceView>[] {
  return [
    { name: 'ID', of: ({ id }) => id, whole: true },
    { name: 'ROLE', of: ({ role }) => role },
    { name: 'ALIVE', of: ({ alive }) => (alive ? 'yes' : 'no'), style: ({ alive }) => (alive ? 'green' : 'red') },
    { name: 'SEEN', of: ({ seenAt }) => ago(seenAt, now()), align: 'right' },
    { name: 'STARTED', of: ({ startedAt }) => ago(startedAt, now()), align: 'right' },
    { name: 'HOST', of: ({ host }) => host },
    { name: 'PID', of: ({ pid }) => String(pid), align: 'right' },
    { name: 'VERSION', of: ({ version }) => version },
    { name: 'URL', of: ({ url }) => url },
  ];
}

const QUEUES: Column<QueueView>[] = [
  { name: 'AGENT', of: ({ agent }) => agent, whole: true },
  { name: 'PENDING', of: ({ pending }) => pending, align: 'right' },
  { name: 'URGENT', of: ({ urgent }) => urgent, align: 'right' },
  { name: 'LANES', of: ({ lanes }) => lanes, align: 'right' },
  {
    name: 'STATE',
    of: ({ paused }) => (paused ? 'paused' : 'open'),
    style: ({ paused }) => (paused ? 'yellow' : undefined),
  },
];

const AGENTS: Column<AgentCard>[] = [
  { name: 'NAME', of: ({ name }) => name, whole: true },
  { name: 'VERSION', of: ({ version }) => version },
  { name: 'METHODS', of: ({ methods }) => Object.keys(methods).join(', ') },
  { name: 'DESCRIPTION', of: ({ description }) => description },
];

function ago(time: string, now: number): string {
  return shortDuration(now - Date.parse(time));
}
