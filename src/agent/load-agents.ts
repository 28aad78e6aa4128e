/** Reads agents from modules, as `AGENTS` names them. */
import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { AgentSystemError } from '../errors.ts';
import { type Agent, type AnyDefinition, defineAgent, isAgent } from './define-agent.ts';
import { failureOf } from './errors.ts';

export const AGENT_MODULES_MAX = 200;
const WANTED = 'a default export, named exports or an array of agents made with defineAgent({ name, run })';
export const AGENT_EXTENSIONS = ['.js', '.mjs', '.ts', '.mts'];

/**
 * The agents of all modules, in order. A module exports agents by default, by name, or as an array; a plain
 * `{ name, run }` counts as well, so that a file without any import can be an agent.
 *
 * @throws AGENT_MODULE_REFUSED with every module that cannot be used, a line for each
 * @param paths relative to `cwd`, or absolute
 * @param load how a module is imported; `dev` reads them anew
 */
export async function loadAgents(
  paths: readonly string[],
  cwd: string,
  load: LoadModule = (url) => import(url),
): Promise<Agent[]> {
  if (paths.length > AGENT_MODULES_MAX) {
    throw problem(`${paths.length} agent modules are named, at most ${AGENT_MODULES_MAX} are loaded.`);
  }
  const agents: Agent[] = [];
  const refusals: AgentSystemError[] = [];
  for (const path of paths) {
    try {
      agents.push(...(await loadModule(resolve(cwd, path), load)));
    } catch (error) {
      if (!(error instanceof AgentSystemError)) throw error;
      refusals.push(error);
    }
  }
  if (refusals.length > 0) throw allOf(refusals);
  return agents;
}

/** Whoever mends one module should not learn of the next one only then. */
function allOf(refusals: AgentSystemError[]): AgentSystemError {
  if (refusals.length === 1) return refusals[0]!;
  const problems = refusals.map(({ message }) => message);
  return new AgentSystemError('AGENT_MODULE_REFUSED', problems.join('\n'), { details: { problems } });
}

/** Imports the module at a file URL. */
export type LoadModule = (url: string) => Promise<Record<string, unknown>>;

async function loadModule(path: string, load: LoadModule): Promise<Agent[]> {
  await checkFile(path);
  const found = await importModule(path, load);
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
  if (!AGENT_EXTENSIONS.includes(extension)) {
    throw problem(`The agent module ${path} ends in "${extension}"; wanted: ${AGENT_EXTENSIONS.join(', ')}.`);
  }
  if (extension.endsWith('ts') && !(process.features as { typescript?: unknown }).typescript) {
    throw problem(
      `The agent module ${path} is TypeScript, which Node ${process.version} does not run; compile it to .js, or use Node 22.18 or later.`,
    );
  }
}

async function importModule(path: string, load: LoadModule): Promise<Record<string, unknown>> {
  try {
    return await load(pathToFileURL(path).href);
  } catch (cause) {
    const why = `${failureOf(cause).message}${await placeOf(cause, path)}`;
    throw problem(`The agent module ${path} could not be loaded: ${why}`, cause);
  }
}

/** Where a module does not parse: an error of the engine itself does not tell, but its own check prints `file:line`. */
async function placeOf(cause: unknown, path: string): Promise<string> {
  if (!(cause instanceof SyntaxError)) return '';
  const said = await promisify(execFile)(process.execPath, ['--check', path]).catch((error) => error);
  const [, line] = /^[^\n]*:(\d+)\n/.exec(String(said.stderr)) ?? [];
  return line ? ` (line ${line})` : '';
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
