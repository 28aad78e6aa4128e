import { AgentSystemError, StoreUnavailableError } from '../errors.ts';
import type { Ports } from '../fleet/ports.ts';
import type { SubmitBody } from '../message/bodies.ts';
import type { AgentCatalog } from './agent-catalog.ts';
import { checkRequest, type SubmitRequest } from './submit-request.ts';
import { DEFAULT_METHOD, Submitter, type TaskDraft } from './submitter.ts';

/**
 * Makes tasks of what workers and distributors were sent, for the owner of the shard to commit. The sender is known by
 * its signature; what it asks for is checked here like any other submit.
 */
export class AdmitService {
  readonly #catalog: AgentCatalog;
  readonly #submitter: Submitter;
  readonly #maxPayloadBytes: number;

  constructor({ catalog, ...ports }: Ports & { catalog: AgentCatalog }) {
    this.#catalog = catalog;
    this.#submitter = new Submitter(ports);
    this.#maxPayloadBytes = ports.policy.maxPayloadBytes;
  }

  /** @throws StoreUnavailableError: then it is not refused, only not decided yet */
  async admit(submit: SubmitBody): Promise<TaskDraft | { refused: string }> {
    const bytes = Buffer.byteLength(submit.input);
    if (bytes > this.#maxPayloadBytes) return { refused: `its input has ${bytes} bytes` };
    try {
      const request = checkRequest(requestOf(submit));
      const card = await this.#catalog.check(request.agent, request.method ?? DEFAULT_METHOD, request.input);
      return await this.#submitter.draft(request, submit.input, card, submit.task);
    } catch (error) {
      if (!(error instanceof AgentSystemError) || error instanceof StoreUnavailableError) throw error;
      return { refused: error.message };
    }
  }
}

/** @throws BAD_REQUEST when the input is not JSON */
function requestOf({ agent, method, input, correlationId, sender, messageType }: SubmitBody): SubmitRequest {
  const request: SubmitRequest = { agent, input: jsonOf(input), metadata: { sender, messageType } };
  if (method !== undefined) request.method = method;
  if (correlationId !== undefined) request.correlationId = correlationId;
  return request;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AgentSystemError('BAD_REQUEST', 'its input is not JSON', { cause });
  }
}
