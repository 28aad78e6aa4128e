import type { Command } from 'commander';
import type { WhyView } from '../../service/why-service.ts';
import { type CommandContext, examples, forEachId, type Run } from '../command.ts';
import type { Column } from '../table.ts';

export function addWhyCommand(tasks: Command, run: Run): void {
  tasks
    .command('why')
    .argument('<id...>', 'ids of tasks')
    .description('say why tasks stand where they stand: what has to happen before each goes on')
    .addHelpText('after', examples('tasks why ID', 'tasks why ID -o json'))
    .action((ids: string[]) => run((context) => showWhy(ids, context)));
}

const REASONS: Column<WhyView['reasons'][number]>[] = [
  { name: 'REASON', of: ({ code }) => code, whole: true, style: () => 'cyan' },
  { name: 'UNTIL', of: ({ until }) => (until === undefined ? undefined : `until ${until}`), whole: true },
  { name: 'WHAT IT MEANS', of: ({ message }) => message },
];

async function showWhy(ids: string[], context: CommandContext): Promise<number> {
  const { client, printer } = context;
  const { done, code } = await forEachId(ids, context, (id) => client.why(id));
  printer.each(done, ids.length, (views) => {
    for (const { task, state, reasons } of views) {
      printer.text(`task ${task} is ${state ?? 'not known'}`);
      printer.sentences(reasons, REASONS);
    }
  });
  return code;
}
