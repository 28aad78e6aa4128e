/*
 * Takes messages where no tasks are served, on a worker or a distributor, and passes them on to the coordinators: signed,
 * in the shard's report stream, whose owner makes the task under the id that was given out here. The stream is the one
 * place where such a process may write for coordinators, and it is read in order and applied once.
 */
import { AgentSystemError } from '../errors.ts';
import type { Ports } from '../fleet/ports.ts';
import type { SubmitBody } from '../message/bodies.ts';
import { signEnvelope } from '../message/envelope.ts';
import type { Principal } from '../message/principals.ts';
import { patiently } from '../store/patience.ts';
import { streamPlace } from '../store/store.ts';
import { TaskIds } from '../task/id.ts';
import type { AgentCatalog } from './agent-catalog.ts';
import type { Caller } from './caller.ts';
import { type Accepted, requestOfMessage, type Sending } from './send-service.ts';
import { DEFAULT_METHOD } from './submitter.ts';

const TRIES = 3;
const MESSAGE_ID_LENGTH = 20;
/** In place of an incarnation: no attempt is ever released to this name, so nothing is taken from the worker's own. */
const NO_INCARNATION = 'send';

export interface ForwardingOptions extends Ports {
  catalog: AgentCatalog;
  /** In whose name: a worker's own, or the distributors'. */
  principal: Principal;
  /** Of this process. */
  id: string;
}

export class ForwardingSender implements Sending {
  readonly #options: ForwardingOptions;
  readonly #ids: TaskIds[];
  #nextShard = 0;

  constructor(options: ForwardingOptions) {
    this.#options = options;
    const { policy, runtime } = options;
    this.#ids = Array.from({ length: policy.shards }, (_, shard) => new TaskIds(shard, runtime.id));
  }

  async send(body: unknown, { name, tenant }: Caller): Promise<Accepted> {
    if (tenant !== null) {
      const message = `${name} belongs to tenant ${JSON.stringify(tenant)}: send it to a coordinator, which keeps tenants apart`;
      throw new AgentSystemError('FORBIDDEN', message);
    }
    const { catalog, policy } = this.#options;
    const { agent, method, input, correlationId, metadata = {} } = await requestOfMessage(body, catalog);
    await catalog.check(agent, method ?? DEFAULT_METHOD, input);
    const text = JSON.stringify(input);
    const bytes = Buffer.byteLength(text);
    if (bytes > policy.maxPayloadBytes) throw tooLarge(bytes, policy.maxPayloadBytes);
    const shard = this.#nextShard++ % policy.shards;
    const task = this.#ids[shard]!.next(await this.#now());
    const { sender, messageType } = metadata as { sender: string; messageType: string };
    await this.#append(shard, { task, agent, method, input: text, correlationId, sender, messageType });
    return { status: 'accepted', message_id: task };
  }

  /** Repeated with the same task: an owner that reads it twice finds it there. */
  async #append(shard: number, submit: SubmitBody): Promise<void> {
    const { store, clock, runtime, observe, id } = this.#options;
    let envelope = '';
    const call = () => {
      envelope = this.#sign(shard, submit);
      return clock.learn(() => store.report(shard, { worker: id, incarnation: NO_INCARNATION, envelope, hint: null }));
    };
    await patiently(call, { runtime, tries: TRIES });
    observe({ type: 'message.sent', message: 'task.submit', count: 1, envelope });
  }

  #sign(shard: number, body: SubmitBody): string {
    const { keys, clock, runtime, policy, principal } = this.#options;
    const message = {
      jti: runtime.id(MESSAGE_ID_LENGTH),
      type: 'task.submit' as const,
      from: principal,
      to: 'coordinators' as const,
      stream: streamPlace(shard, 'reports'),
      deployment: policy.deployment,
      now: clock.now(),
      body,
    };
    return signEnvelope(message, keys);
  }

  /** Without the store's time its receiver could take it for one that has expired. */
  async #now(): Promise<number> {
    const { store, clock, runtime } = this.#options;
    await patiently(() => clock.learn(async () => ({ now: await store.now() })), { runtime, tries: TRIES });
    return clock.now();
  }
}

function tooLarge(bytes: number, max: number): AgentSystemError {
  return new AgentSystemError('PAYLOAD_TOO_LARGE', `the content has ${bytes} bytes, at most ${max} are taken`, {
    details: { bytes, max },
  });
}
