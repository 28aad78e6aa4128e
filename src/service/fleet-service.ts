/*
 * What is done with the fleet as a whole, and closer looks at its parts: pausing queues, draining workers, leadership.
 */
import { AgentSystemError } from '../errors.ts';
import { drainPost, tellSent } from '../fleet/mail.ts';
import type { Ports } from '../fleet/ports.ts';
import { nearest } from '../runtime/near-names.ts';
import { patiently } from '../store/patience.ts';
import { holderOf } from '../store/store.ts';
import { isoOf } from '../task/view.ts';
import type { AgentCard } from './agent-catalog.ts';
import type { ClusterService, InstanceView, QueueView } from './cluster-service.ts';

const TRIES = 3;
/** A coordinator that stepped down stands again after so many lease times of an owner: by then another one has the shard. */
const REST_TTLS = 3;
const NAMES_SHOWN = 20;

export interface ToolView {
  name: string;
  description: string;
  inputSchema: unknown;
  agent: string;
  method: string;
}

export interface OwnerView {
  shard: number;
  instance: string;
  /** The number of its epoch, which the next owner has one higher. */
  epoch: number;
  /** Null: its time is over, and nobody has taken the shard yet. */
  until: string | null;
  url: string | null;
}

export interface ClusterView {
  owners: OwnerView[];
  shards: number;
  instances: InstanceView[];
  store: { kind: string; description: string | null; deployment: string };
}

export interface SteppedDown {
  /** Shards that this coordinator gave up. */
  steppedDown: number[];
  /** Shards asked for that others own: ask them. */
  elsewhere: OwnerView[];
}

export interface FleetServiceOptions extends Ports {
  cluster: ClusterService;
  /** Gives up the shards of this process, or one of them; answers which. */
  stepDown: (o: { shard?: number; restMs: number }) => number[];
  /** This instance. */
  id: string;
  describeStore: () => string | null;
}

export class FleetService {
  readonly #options: FleetServiceOptions;

  constructor(options: FleetServiceOptions) {
    this.#options = options;
  }

  /** @throws UNKNOWN_AGENT with near names */
  async agent(name: string): Promise<AgentCard> {
    const cards = await this.#options.cluster.agents();
    return cards.find((card) => card.name === name) ?? unknownAgent(name, cards);
  }

  /** Every method of every agent, as those who let models call tools describe them. */
  async tools(): Promise<ToolView[]> {
    const cards = await this.#options.cluster.agents();
    return cards.flatMap((card) => Object.keys(card.methods).map((method) => toolOf(card, method)));
  }

  async queue(agent: string): Promise<QueueView> {
    const queues = await this.#options.cluster.queues();
    const queue = queues.find((one) => one.agent === agent);
    return queue ?? unknownAgent(agent, await this.#options.cluster.agents());
  }

  /** Nothing more of the agent is assigned, in no shard; what runs goes on. Pausing a paused queue changes nothing. */
  async pause(agent: string): Promise<QueueView> {
    await this.queue(agent);
    await this.#options.cluster.pause(agent);
    return this.queue(agent);
  }

  async resume(agent: string): Promise<QueueView> {
    await this.queue(agent);
    await this.#options.cluster.resume(agent);
    return this.queue(agent);
  }

  /**
   * Tells a worker, wherever it is, to take nothing more, to hand back what it has not started, and to end what runs.
   * @throws NOT_FOUND for a worker that does not live
   */
  async drain(id: string, reason = 'drained on request'): Promise<{ worker: string; state: 'draining' }> {
    const { cluster, store, clock, runtime, observe } = this.#options;
    // One that has ended in order has left the registry, though its last heartbeat is still fresh.
    const living = (await cluster.workers()).filter(({ state, host }) => state !== 'lost' && host !== null);
    const worker = living.find((one) => one.id === id);
    if (!worker)
      throw unknownWorker(
        id,
        living.map((one) => one.id),
      );
    const sender = { ...this.#options, principal: 'coordinators' as const, shard: 0 };
    const post = drainPost(sender, { holder: holderOf(id, worker.incarnation), reason });
    const commit = { op: runtime.id(12), units: [], post: [post] };
    const reply = await patiently(() => clock.learn(() => store.commit(0, commit)), { runtime, tries: TRIES });
    tellSent(observe, [post], reply);
    return { worker: id, state: 'draining' };
  }

  async view(): Promise<ClusterView> {
    const { cluster, policy, store, describeStore } = this.#options;
    const instances = await cluster.instances();
    const owners = await this.#owners(instances);
    const { deployment, shards } = policy;
    return { owners, shards, instances, store: { kind: store.kind, description: describeStore(), deployment } };
  }

  /**
   * Gives up what this coordinator owns of the shards asked for, and does not stand for it again for a while. Nobody else
   * is told to: only an owner can say of itself that it has stopped.
   *
   * @throws WRONG_STATE when no other coordinator lives that could take over, unless `force` is set
   */
  async stepDown({ shard, force = false }: { shard?: number; force?: boolean } = {}): Promise<SteppedDown> {
    const { cluster, policy, stepDown, id } = this.#options;
    if (shard !== undefined && shard >= policy.shards) throw noShard(shard, policy.shards);
    const instances = await cluster.instances();
    if (!force && !instances.some((one) => one.alive && coordinates(one) && one.id !== id)) throw nobodyElse(id);
    const owners = await this.#owners(instances);
    const o = { restMs: REST_TTLS * policy.leaderTtlMs };
    const steppedDown = stepDown(shard === undefined ? o : { ...o, shard });
    const asked = owners.filter((one) => shard === undefined || one.shard === shard);
    return { steppedDown, elsewhere: asked.filter((one) => one.instance !== id && one.until !== null) };
  }

  async #owners(instances: InstanceView[]): Promise<OwnerView[]> {
    const urls = new Map(instances.map(({ id, url }) => [id, url]));
    return (await this.#options.cluster.owners()).map(({ shard, instance, epoch, until }) => ({
      shard,
      instance,
      epoch: Number.parseInt(epoch, 10),
      until: until === null ? null : isoOf(until),
      url: urls.get(instance) ?? null,
    }));
  }
}

function toolOf(card: AgentCard, method: string): ToolView {
  const { input, description } = card.methods[method] as { input?: unknown; description?: string };
  return {
    name: method === 'run' ? card.name : `${card.name}.${method}`,
    description: description || card.description || '',
    inputSchema: input ?? {},
    agent: card.name,
    method,
  };
}

function coordinates({ role }: InstanceView): boolean {
  return role === 'coordinator' || role === 'all';
}

function unknownAgent(name: string, cards: AgentCard[]): never {
  const near = nearest(
    name,
    cards.map((card) => card.name),
  );
  const hint = near.length > 0 ? `; did you mean ${near.join(' or ')}?` : '';
  const message = `no worker ever registered an agent ${JSON.stringify(name.slice(0, 80))}${hint}`;
  throw new AgentSystemError('UNKNOWN_AGENT', message, { details: { agent: name, near } });
}

function unknownWorker(id: string, living: string[]): AgentSystemError {
  const shown = living.slice(0, NAMES_SHOWN).join(', ') || 'none';
  const message = `no worker ${JSON.stringify(id.slice(0, 80))} lives now; those that do: ${shown}`;
  return new AgentSystemError('NOT_FOUND', message, { details: { worker: id, near: nearest(id, living) } });
}

function noShard(shard: number, shards: number): AgentSystemError {
  const problem = `is ${shard}, wanted 0 to ${shards - 1}`;
  return new AgentSystemError('BAD_REQUEST', `the step-down is refused: shard ${problem}`, {
    details: { fields: [{ field: 'shard', problem }] },
  });
}

function nobodyElse(id: string): AgentSystemError {
  const message = `${id} is the only coordinator that lives: its shards would have no owner; with force they are given up all the same`;
  return new AgentSystemError('WRONG_STATE', message, { details: { instance: id, forcible: true } });
}
