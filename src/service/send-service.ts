/*
 * `POST /send`: a message from a program that knows nothing of tasks becomes one. Which agent is meant stands in
 * `content.action`; the rest of the content is its input.
 */
import { z } from 'zod';
import { AgentSystemError } from '../errors.ts';
import { nearest } from '../runtime/near-names.ts';
import type { AgentCard, AgentCatalog } from './agent-catalog.ts';
import type { Caller } from './caller.ts';
import { foundAndWanted } from './found-and-wanted.ts';
import { badRequest, type SubmitRequest } from './submit-request.ts';
import type { TaskService } from './task-service.ts';

const SHOWN_MAX = 5;
const name = z.string().min(1).max(256);

export const sendBody = z.strictObject({
  sender: name,
  message_type: name,
  content: z.looseObject({ action: name }),
  correlation_id: name.optional(),
});

export interface Accepted {
  status: 'accepted';
  /** Id of the task. */
  message_id: string;
}

/** Whoever takes messages: the task service here, or one that passes them on to the coordinators. */
export interface Sending {
  /** @throws BAD_REQUEST when no agent takes it */
  send(body: unknown, caller: Caller): Promise<Accepted>;
}

export class SendService implements Sending {
  readonly #tasks: TaskService;
  readonly #catalog: AgentCatalog;

  constructor({ tasks, catalog }: { tasks: TaskService; catalog: AgentCatalog }) {
    this.#tasks = tasks;
    this.#catalog = catalog;
  }

  async send(body: unknown, caller: Caller): Promise<Accepted> {
    const { task } = await this.#tasks.submit(await requestOfMessage(body, this.#catalog), caller);
    return { status: 'accepted', message_id: task.id };
  }
}

/**
 * The task that a message asks for.
 * @throws BAD_REQUEST when the message is none, or no agent or more than one takes its action
 */
export async function requestOfMessage(body: unknown, catalog: AgentCatalog): Promise<SubmitRequest> {
  const read = sendBody.safeParse(body ?? {}, { error: foundAndWanted });
  if (!read.success) throw badRequest(read.error, 'the message');
  const { sender, message_type, content, correlation_id } = read.data;
  const { action, ...input } = content;
  const request: SubmitRequest = {
    ...takerOf(action, await catalog.cards()),
    input,
    metadata: { sender, messageType: message_type },
  };
  if (correlation_id !== undefined) request.correlationId = correlation_id;
  return request;
}

/** An agent of this name, `agent.method`, or the one agent that has a method of this name. */
function takerOf(action: string, cards: AgentCard[]): { agent: string; method?: string } {
  if (cards.some((card) => card.name === action)) return { agent: action };
  for (const { name: agent, methods } of cards) {
    const method = action.startsWith(`${agent}.`) ? action.slice(agent.length + 1) : '';
    if (Object.hasOwn(methods, method)) return { agent, method };
  }
  const takers = cards.filter(({ methods }) => Object.hasOwn(methods, action)).map((card) => card.name);
  if (takers.length === 1) return { agent: takers[0]!, method: action };
  throw takers.length > 1 ? manyTake(action, takers) : noneTakes(action, cards);
}

function manyTake(action: string, takers: string[]): AgentSystemError {
  const choices = takers.slice(0, SHOWN_MAX).map((agent) => `${agent}.${action}`);
  const problem = `is a method of ${takers.length} agents: send ${choices.join(' or ')}`;
  return refused(action, problem, { choices });
}

function noneTakes(action: string, cards: AgentCard[]): AgentSystemError {
  const names = cards.flatMap(({ name: agent, methods }) => [
    agent,
    ...Object.keys(methods).map((method) => `${agent}.${method}`),
  ]);
  const near = nearest(action.slice(0, 100), names);
  const hint = near.length > 0 ? `; did you mean ${near.join(' or ')}?` : '';
  return refused(action, `is taken by no agent${hint}`, { near });
}

function refused(action: string, problem: string, facts: Record<string, unknown>): AgentSystemError {
  const message = `the message is refused: content.action ${JSON.stringify(action.slice(0, 80))} ${problem}`;
  return new AgentSystemError('BAD_REQUEST', message, {
    details: { fields: [{ field: 'content.action', problem }], ...facts },
  });
}
