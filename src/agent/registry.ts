import { AgentSystemError } from '../errors.ts';
import type { Agent, AgentMethod } from './define-agent.ts';

export const AGENTS_MAX = 1_000;

/** The agents of one process, by name. */
export class AgentRegistry {
  readonly #agents = new Map<string, Agent>();

  constructor(agents: Iterable<Agent> = []) {
    for (const agent of agents) this.add(agent);
  }

  add(agent: Agent): void {
    const known = this.#agents.get(agent.name);
    if (known === agent) return;
    if (known) {
      throw new AgentSystemError(
        'AGENT_NAME_TAKEN',
        `Two agents are named "${agent.name}" (versions ${known.version} and ${agent.version}); rename one of them.`,
      );
    }
    if (this.#agents.size >= AGENTS_MAX) {
      throw new AgentSystemError('TOO_MANY_AGENTS', `A process takes at most ${AGENTS_MAX} agents.`);
    }
    this.#agents.set(agent.name, agent);
  }

  /** Holds exactly these from now on; throws, and changes nothing, when two have one name or they are too many. */
  replace(agents: Iterable<Agent>): void {
    const next = new AgentRegistry(agents);
    this.#agents.clear();
    for (const agent of next.list()) this.#agents.set(agent.name, agent);
  }

  get(name: string): Agent | undefined {
    return this.#agents.get(name);
  }

  /** Undefined when there is no such agent, or it has no such method. */
  find(agent: string, method: string): { agent: Agent; method: AgentMethod } | undefined {
    const found = this.#agents.get(agent);
    const run = found?.methods.get(method);
    return found && run ? { agent: found, method: run } : undefined;
  }

  names(): string[] {
    return [...this.#agents.keys()];
  }

  list(): Agent[] {
    return [...this.#agents.values()];
  }
}
