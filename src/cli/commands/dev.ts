/** `dev`: everything in one process on the embedded store, with agents that are read again when their files change. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { Agent } from '../../agent/define-agent.ts';
import { LiveAgents, type LoadedModule } from '../../agent/live-agents.ts';
import type { Config, ConfigFlags, ConfigSources } from '../../config/load.ts';
import { pause, type Runtime } from '../../runtime/runtime.ts';
import { examples } from '../command.ts';
import type { Io } from '../io.ts';
import { type RunningSystem, runRole } from '../run-role.ts';

/** Two looks, and a reload, are well within the two seconds after which people ask whether it works. */
const LOOK_MS = 300;
const USUAL_FOLDER = 'agents';

export interface DevSystem extends RunningSystem {
  replaceAgents(agents: readonly Agent[]): Promise<void>;
}

export interface DevParts {
  io: Io;
  runtime: Runtime;
  loadConfig: (flags: ConfigFlags, more?: Partial<ConfigSources>) => Config | null;
  startDevSystem: (config: Config, agents: readonly Agent[]) => Promise<DevSystem>;
}

export function addDevCommand(program: Command, parts: DevParts, done: (code: number) => void): void {
  program
    .command('dev')
    .description('everything in one process, agents are read again when their files change')
    .option('--agents <path...>', 'agent modules, or folders of them; else AGENTS, else ./agents')
    .addHelpText('after', examples('dev', 'dev --agents agents/summarise.mjs', 'dev --port 8010'))
    .action(async ({ agents }: { agents?: string[] }) => {
      const { port, host } = program.opts<ConfigFlags>();
      done(await dev(agents, { port, host }, parts));
    });
}

async function dev(named: string[] | undefined, where: ConfigFlags, parts: DevParts): Promise<number> {
  const { io, loadConfig, startDevSystem } = parts;
  const config = loadConfig(
    { role: 'all', ...where },
    { overrides: { BROKER: 'memory' }, defaults: { LOG_FORMAT: 'pretty', LOG_LEVEL: 'info' } },
  )!;
  const paths = named ?? (config.work.agents.length > 0 ? [...config.work.agents] : await usualFolder(io.cwd));
  const live = new LiveAgents(paths, io.cwd);
  const modules = await live.load();
  tell(modules, io);
  const stop = new AbortController();
  const start = async () => {
    const system = await startDevSystem(config, agentsOf(modules));
    io.err(welcome(system.url ?? '', modules));
    void follow(live, system, parts, stop.signal);
    return system;
  };
  try {
    return await runRole(config, start, io);
  } finally {
    stop.abort();
  }
}

async function usualFolder(cwd: string): Promise<string[]> {
  const found = await stat(join(cwd, USUAL_FOLDER)).catch(() => null);
  return found?.isDirectory() ? [USUAL_FOLDER] : [];
}

async function follow(live: LiveAgents, system: DevSystem, { io, runtime }: DevParts, signal: AbortSignal) {
  while (!signal.aborted) {
    await pause(runtime, LOOK_MS, signal);
    if (signal.aborted || !(await live.changed())) continue;
    // An editor may still be writing: a file is read once it has been at rest for one look.
    await pause(runtime, LOOK_MS, signal);
    if (signal.aborted) return;
    const modules = await live.load();
    tell(modules, io);
    try {
      await system.replaceAgents(agentsOf(modules));
      const read = modules.filter(({ problem }) => problem === null);
      if (read.length > 0) io.err(`reloaded: ${namesOf(read)}\n`);
    } catch (error) {
      io.err(`kept the agents from before: ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }
}

function agentsOf(modules: LoadedModule[]): Agent[] {
  return [...new Set(modules.flatMap(({ agents }) => agents))];
}

function tell(modules: LoadedModule[], io: Io): void {
  for (const { file, agents, problem } of modules) {
    if (problem === null) continue;
    const kept = agents.length > 0 ? ', the one from before stays' : '';
    io.err(`${file} is not loaded${kept}: ${problem}\n`);
  }
}

function welcome(url: string, modules: LoadedModule[]): string {
  const [agent] = agentsOf(modules);
  const lines = [
    `API        ${url}/v1/tasks   (described at ${url}/openapi.json)`,
    `health     ${url}/health   metrics ${url}/metrics`,
    `agents     ${namesOf(modules) || 'only the built-in ones: put a module into ./agents, or name one with --agents'}`,
    `try        agent-system --url ${url} submit ${agent?.name ?? 'echo'} --input '{"text":"hi"}' --wait`,
  ];
  return `${lines.join('\n')}\n`;
}

function namesOf(modules: LoadedModule[]): string {
  return modules.flatMap(({ file, agents }) => agents.map(({ name }) => `${name} (${file})`)).join(', ');
}
