/** Agents of modules that are being worked on: tells when a file behind them changed, and reads them again. */
import { readdir, stat } from 'node:fs/promises';
import { extname, join, relative, resolve } from 'node:path';
import type { Agent } from './define-agent.ts';
import { failureOf } from './errors.ts';
import { FreshModules } from './fresh-modules.ts';
import { AGENT_EXTENSIONS, loadAgents } from './load-agents.ts';

/** Files looked at; more belong to no agent that somebody edits. */
const FILES_MAX = 2_000;

export interface LoadedModule {
  /** As people would name it, from the working directory. */
  file: string;
  agents: Agent[];
  /** Why it could not be read this time; `agents` are then those from before. */
  problem: string | null;
}

export class LiveAgents {
  readonly #paths: readonly string[];
  readonly #cwd: string;
  readonly #modules = new FreshModules();
  readonly #loaded = new Map<string, Agent[]>();
  #seen = '';

  /** @param paths modules, or folders of modules; relative to `cwd`, or absolute */
  constructor(paths: readonly string[], cwd: string) {
    this.#paths = paths;
    this.#cwd = cwd;
  }

  /** Reads every module anew. One that cannot be read keeps what it gave before. */
  async load(): Promise<LoadedModule[]> {
    this.#seen = await this.#state();
    const load = this.#modules.next();
    const modules: LoadedModule[] = [];
    for (const path of await this.#files()) {
      const file = relative(this.#cwd, path) || path;
      try {
        const agents = await loadAgents([path], this.#cwd, load);
        this.#loaded.set(path, agents);
        modules.push({ file, agents, problem: null });
      } catch (error) {
        modules.push({ file, agents: this.#loaded.get(path) ?? [], problem: failureOf(error).message });
      }
    }
    // What was imported on the way is watched as well from now on.
    this.#seen = await this.#state();
    return modules;
  }

  /** Whether a file was written, added or removed since the last load. */
  async changed(): Promise<boolean> {
    return (await this.#state()) !== this.#seen;
  }

  async #files(): Promise<string[]> {
    const files: string[] = [];
    for (const path of this.#paths.map((named) => resolve(this.#cwd, named))) {
      const found = await stat(path).catch(() => null);
      if (found?.isDirectory()) files.push(...(await modulesIn(path)));
      else files.push(path);
    }
    return files.slice(0, FILES_MAX);
  }

  async #state(): Promise<string> {
    const files = [...new Set([...(await this.#files()), ...this.#modules.files()])].slice(0, FILES_MAX);
    const states = await Promise.all(files.map(stateOf));
    return states.join('\n');
  }
}

async function modulesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder);
  return names
    .filter((name) => AGENT_EXTENSIONS.includes(extname(name)) && !name.endsWith('.d.ts') && !name.startsWith('.'))
    .sort()
    .map((name) => join(folder, name));
}

async function stateOf(file: string): Promise<string> {
  const found = await stat(file).catch(() => null);
  return found ? `${file} ${found.mtimeMs} ${found.size} ${found.ino}` : `${file} gone`;
}
