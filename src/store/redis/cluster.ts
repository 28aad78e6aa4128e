/*
 * The nodes of a Redis Cluster as one. All keys of a shard share one hash tag and so one slot: where a shard lives is one
 * entry, learnt from the cluster itself, which answers MOVED and runs nothing when it is asked at the wrong node. Each
 * node has a Connection like that to a single server, with the same promise: an answer, or "unknown" to be repeated.
 * Nothing is repeated here but what was answered MOVED.
 *
 * While a slot is moved from node to node, some of its keys are here and some there, and a script would find half a shard.
 * So ASK, which leads over to the other node, is never followed: the key that scripts declare exists nowhere, hence every
 * script is answered ASK until the slot has moved wholly, and the shard stands still for so long. The library's own
 * cluster client follows ASK and repeats by itself what got no answer; therefore it is not used.
 */
import { AgentSystemError, StoreUnavailableError } from '../../errors.ts';
import { addressAt, type Place, placeOf, textOf } from './address.ts';
import { type Argument, type Command, type Commands, Connection, type ConnectOptions, type Reader } from './connect.ts';
import type { Script } from './scripts.ts';

/** Times that one call is sent on to where a node says the slot is. More only happens while nodes disagree. */
const MOVES_MAX = 3;
export const SLOTS = 16_384;

export interface Slots {
  /** Slots that some master serves. */
  covered: number;
  masters: Place[];
}

export class ClusterConnection implements Commands {
  readonly address: string;
  readonly #options: ConnectOptions;
  /** By `host:port`; those of the configuration, and those that the cluster named. */
  readonly #nodes = new Map<string, Connection>();
  /** Hash tag → `host:port`. */
  readonly #routes = new Map<string, string>();
  #turn = 0;

  constructor(options: ConnectOptions) {
    this.#options = options;
    this.address = placeOf(options.address);
    for (const place of options.address.cluster?.nodes ?? []) this.#know(place);
  }

  /** One node that answers is enough: the others are missed by the shards that they hold, and the check names them. */
  get connected(): boolean {
    return [...this.#nodes.values()].some((node) => node.connected);
  }

  async call(name: string, args: readonly Argument[], tag?: string): Promise<unknown> {
    return this.#routed(hashTagOf(tag ?? keyOf(name, args)), (node) => node.call(name, args, tag));
  }

  async together(shown: string, tag: string, commands: readonly Command[]): Promise<unknown[] | null> {
    const hashTag = hashTagOf(tag);
    // Within a transaction the node would only say that something was wrong, not where to go.
    if (!this.#routes.has(hashTag)) await this.#routed(hashTag, (node) => node.call('exists', [tag]));
    return this.#routed(hashTag, (node) => node.together(shown, tag, commands));
  }

  async run(script: Script, tag: string, args: readonly Argument[]): Promise<unknown> {
    return this.#routed(hashTagOf(tag), (node) => node.run(script, tag, args));
  }

  async runAndAsk(script: Script, tag: string, args: readonly Argument[], question: Command) {
    return this.#routed(hashTagOf(tag), (node) => node.runAndAsk(script, tag, args, question));
  }

  readerOf(tag: string): Reader {
    const place = this.#placeOf(hashTagOf(tag));
    return { place, open: () => this.#node(place).readerOf().open() };
  }

  heard(tag: string, place: string, error: unknown): boolean {
    return this.#heard(hashTagOf(tag), place, error);
  }

  /** All masters, as the cluster knows them; nodes that it knows no more are forgotten. */
  async servers(): Promise<Connection[]> {
    const { masters } = await this.slots();
    const named = new Set(masters.map(textOf));
    for (const place of masters) this.#know(place);
    for (const [text, node] of this.#nodes) if (!named.has(text)) this.#forget(text, node);
    return [...named].map((text) => this.#nodes.get(text)!);
  }

  async slots(): Promise<Slots> {
    const answer = await this.#ofAny((node) => node.call('cluster', ['slots']).then((reply) => ({ node, reply })));
    const ranges = answer.reply as [from: number, to: number, master: [host: string | null, port: number]][];
    const masters = new Map<string, Place>();
    let covered = 0;
    for (const [from, to, [host, port]] of ranges) {
      // A node that does not know its own address means the one by which it was reached.
      const place = { host: host || (answer.node.at.host ?? '127.0.0.1'), port };
      masters.set(textOf(place), place);
      covered += to - from + 1;
    }
    return { covered: Math.min(covered, SLOTS), masters: [...masters.values()] };
  }

  close(): void {
    for (const node of this.#nodes.values()) node.close();
  }

  async #routed<T>(tag: string, send: (node: Connection) => Promise<T>): Promise<T> {
    for (let moves = 0; ; moves++) {
      const place = this.#placeOf(tag);
      try {
        return await send(this.#node(place));
      } catch (error) {
        if (!this.#heard(tag, place, error) || moves >= MOVES_MAX) throw error;
      }
    }
  }

  /** Asks one node after the other; the first failure tells most, for the others repeat it. */
  async #ofAny<T>(ask: (node: Connection) => Promise<T>): Promise<T> {
    let failure: unknown = null;
    for (const node of this.#inTurn()) {
      try {
        return await ask(node);
      } catch (error) {
        failure ??= error;
        if (!(error instanceof StoreUnavailableError)) throw error;
      }
    }
    throw failure ?? new AgentSystemError('STORE_FAILED', 'a cluster without nodes: REDIS_CLUSTER_NODES names none');
  }

  #heard(tag: string, place: string, error: unknown): boolean {
    if (!(error instanceof StoreUnavailableError)) return false;
    const answer = error.cause instanceof Error ? error.cause.message : '';
    if (/^(ASK|TRYAGAIN) /.test(answer)) return false;
    const target = movedTo(answer, place);
    if (target === null) {
      // Whoever takes its place is told by the others.
      if (this.#routes.get(tag) === place) this.#routes.delete(tag);
      return false;
    }
    this.#know(target);
    this.#routes.set(tag, textOf(target));
    return true;
  }

  #placeOf(tag: string): string {
    const known = this.#routes.get(tag);
    if (known !== undefined) return known;
    const [first] = this.#inTurn();
    if (first) return textOf(placeAt(first));
    throw new AgentSystemError('STORE_FAILED', 'a cluster without nodes: REDIS_CLUSTER_NODES names none');
  }

  /** Those that answer first, each time beginning with another one, so that one that misleads is not asked for ever. */
  #inTurn(): Connection[] {
    const nodes = [...this.#nodes.values()];
    const answering = nodes.filter((node) => node.connected);
    this.#turn += 1;
    const from = answering.length > 0 ? this.#turn % answering.length : this.#turn % Math.max(1, nodes.length);
    if (answering.length === 0) return [...nodes.slice(from), ...nodes.slice(0, from)];
    const silent = nodes.filter((node) => !node.connected);
    return [...answering.slice(from), ...answering.slice(0, from), ...silent];
  }

  #node(place: string): Connection {
    const node = this.#nodes.get(place);
    if (!node) throw new AgentSystemError('STORE_FAILED', `no connection is kept for the node ${place}`);
    return node;
  }

  #know(place: Place): void {
    const text = textOf(place);
    if (this.#nodes.has(text)) return;
    const { address, onConnection, name } = this.#options;
    this.#nodes.set(
      text,
      new Connection({
        ...this.#options,
        address: addressAt(address, place),
        onConnection: (state) => onConnection?.(state, `${name} at ${text}`),
      }),
    );
  }

  /** Those of the configuration are kept: when all others are gone, they are whom to ask. */
  #forget(text: string, node: Connection): void {
    const configured = this.#options.address.cluster?.nodes.some((place) => textOf(place) === text);
    const inUse = [...this.#routes.values()].includes(text);
    if (configured || inUse) return;
    this.#nodes.delete(text);
    node.close();
  }
}

function placeAt({ at }: Connection): Place {
  return { host: at.host!, port: at.port! };
}

/** `MOVED 3999 127.0.0.1:6381`; without a host, or with `?`, the node that answered means its own. */
function movedTo(answer: string, from: string): Place | null {
  const [, host, port] = /^MOVED \d+ (.*):(\d+)$/.exec(answer) ?? [];
  if (port === undefined) return null;
  const own = from.slice(0, from.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1');
  return { host: host === '' || host === '?' ? own : host!, port: Number(port) };
}

/** The key by which a command goes. */
function keyOf(name: string, args: readonly Argument[]): string {
  const at = name === 'evalsha' || name === 'eval' ? 2 : name === 'xread' ? afterStreams(args) : 0;
  return String(args[at] ?? '');
}

function afterStreams(args: readonly Argument[]): number {
  return args.findIndex((argument) => String(argument).toUpperCase() === 'STREAMS') + 1;
}

/** `{prefix:shard}`, with which every key begins. */
function hashTagOf(key: string): string {
  const end = key.indexOf('}');
  if (key.startsWith('{') && end > 1) return key.slice(0, end + 1);
  throw new AgentSystemError('STORE_FAILED', 'a command without a key of a shard: in a cluster it has no place to go');
}
