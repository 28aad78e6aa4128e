import { Argument, type Command } from 'commander';
import { examples } from '../command.ts';
import { bashScript } from '../completion/bash.ts';
import { shapesOf } from '../completion/shape.ts';
import { zshScript } from '../completion/zsh.ts';
import type { Io } from '../io.ts';

const SCRIPTS = { bash: bashScript, zsh: zshScript } as const;

export function addCompletionCommand(program: Command, { io }: { io: Io }): void {
  program
    .command('completion')
    .addArgument(new Argument('<shell>', 'which one').choices(Object.keys(SCRIPTS)))
    .description('print a script that lets a shell complete commands, options and names')
    .addHelpText(
      'after',
      `${examples('completion bash', 'completion zsh')}

For good, in ~/.bashrc:   source <(agent-system completion bash)
In ~/.zshrc, after compinit:   source <(agent-system completion zsh)
Names of agents, workers, schedules and tasks are asked of the system at --url or AGENT_SYSTEM_URL.`,
    )
    .action((shell: keyof typeof SCRIPTS) => io.out(SCRIPTS[shell](shapesOf(program))));
}
