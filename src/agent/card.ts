import { z } from 'zod';
import { AgentSystemError } from '../errors.ts';
import type { Agent, AgentMethod, AgentRetry } from './define-agent.ts';

/** What the system remembers of an agent for good, so that a task can be checked where no worker of it is near. */
export interface AgentCard {
  name: string;
  version: string;
  description: string;
  methods: Record<string, MethodCard>;
  timeoutMs?: number;
  retry?: AgentRetry;
  concurrency?: number;
  concurrencyPerKey?: number;
}

export interface MethodCard {
  description: string;
  /** JSON Schema; absent = anything. */
  input?: Record<string, unknown>;
  output?: Record<string, unknown>;
}

export function cardOf(agent: Agent): AgentCard {
  const { name, version, description, timeoutMs, retry, concurrency, concurrencyPerKey } = agent;
  const methods = Object.fromEntries([...agent.methods].map(([method, of]) => [method, methodCard(agent, method, of)]));
  return { name, version, description, methods, timeoutMs, retry, concurrency, concurrencyPerKey };
}

function methodCard(agent: Agent, name: string, method: AgentMethod): MethodCard {
  const card: MethodCard = { description: method.description };
  if (method.input) card.input = schemaOf(agent, name, method.input, 'input');
  if (method.output) card.output = schemaOf(agent, name, method.output, 'output');
  return card;
}

/** What has no JSON Schema (a transform, a date) is written as "anything": the handler's own check stays the exact one. */
function schemaOf(agent: Agent, method: string, schema: z.ZodType, io: 'input' | 'output'): Record<string, unknown> {
  try {
    return z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  } catch (cause) {
    throw new AgentSystemError(
      'AGENT_INVALID',
      `The ${io} schema of agent "${agent.name}", method "${method}", cannot be written as JSON Schema.`,
      { cause },
    );
  }
}
