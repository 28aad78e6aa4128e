/** Reads agents from modules, as `AGENTS` names them. */
import { stat } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { AgentSystemError } from '../errors.ts';
import { type Agent, type AnyDefinition, defineAgent, isAgent } from './define-agent.ts';
import { failureOf } from './errors.ts';

export const AGENT_MODULES_MAX = 200;
const WANTED = 'a default export, named exports or an array of agents made with defineAgent({ name, run })';
const EXTENSIONS = ['.js', '.mjs', '.ts', '.mts'];

/**
 * The agents of all modules, in order. A module exports agents by default, by name, or as an array; a plain
 * `{ name, run }` counts as well, so that a file without any import can be an agent.
 *
 * @param paths relative to `cwd`, or absolute
 */
export async function loadAgents(paths: readonly string[], cwd: string): Promise<Agent[]> {
  if (paths.length > AGENT_MODULES_MAX) {
    throw problem(`${paths.length} agent modules are named, at most ${AGENT_MODULES_MAX} are loaded.`);
  }
  const agents: Agent[] = [];
  for (const path of paths) agents.push(...(await loadModule(resolve(cwd, path))));
  return agents;
}

async function loadModule(path: string): Promise<Agent[]> {
  await checkFile(path);
  const found = await importModule(path);
  const agents = [...new Set(Object.values(found).flatMap((value) => (Array.isArray(value) ? value : [value])))]
    .filter(looksLikeAgent)
    .map((value) => agentOf(value, path));
  if (agents.length === 0) throw problem(`The agent module ${path} ${describe(found)}; wanted: ${WANTED}.`);
  return agents;
}

async function checkFile(path: string): Promise<void> {
  const found = await stat(path).catch(() => null);
  if (!found) throw problem(`The agent module ${path} does not exist.`);
  if (!found.isFile()) throw problem(`The agent module ${path} is not a file; name the module itself.`);
  const extension = extname(path);
  if (!EXTENSIONS.includes(extension)) {
    throw problem(`The agent module ${path} ends in "${extension}"; wanted: ${EXTENSIONS.join(', ')}.`);
  }
  if (extension.endsWith('ts') && !(process.features as { typescript?: unknown }).typescript) {
    throw problem(
      `The agent module ${path} is TypeScript, which Node ${process.version} does not run; compile it to .js, or use Node 22.18 or later.`,
    );
  }
}

async function importModule(path: string): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  } catch (cause) {
    throw problem(`The agent module ${path} could not be loaded: ${failureOf(cause).message}`, cause);
  }
}

function looksLikeAgent(value: unknown): value is Agent | AnyDefinition {
  if (isAgent(value)) return true;
  const plain = value as { name?: unknown; run?: unknown; methods?: unknown } | null;
  if (typeof plain !== 'object' || plain === null || typeof plain.name !== 'string') return false;
  return typeof plain.run === 'function' || (typeof plain.methods === 'object' && plain.methods !== null);
}

function agentOf(value: Agent | AnyDefinition, path: string): Agent {
  if (isAgent(value)) return value;
  try {
    return defineAgent(value as Parameters<typeof defineAgent>[0]);
  } catch (cause) {
    throw problem(`The agent module ${path} holds a wrong agent. ${failureOf(cause).message}`, cause);
  }
}

function describe(found: Record<string, unknown>): string {
  const names = Object.keys(found).slice(0, 10);
  return names.length === 0 ? 'exports nothing' : `exports ${names.join(', ')}, none of which is an agent`;
}

function problem(message: string, cause?: unknown): AgentSystemError {
  return new AgentSystemError('AGENT_MODULE_REFUSED', message, { cause });
}
