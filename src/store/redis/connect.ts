/*
 * Connections to Redis. What the client library would do by itself is switched off where it could do harm: it repeats
 * unanswered commands after a reconnect (one append became two) and queues commands while it is away, so a caller could
 * not know what became of a write. Here a command that gets no answer is rejected as StoreUnavailableError, its fate
 * unknown, and the caller repeats it with the same operation id. Only the connection itself is restored, for ever.
 */
import { Redis, type RedisOptions } from 'ioredis';
import { pause, type Runtime } from '../../runtime/runtime.ts';
import { endpointOf, placeOf, type RedisAddress } from './address.ts';
import { faultCode, isConnectionError, meaningOf, unavailable, withRetries } from './errors.ts';
import type { Script } from './scripts.ts';
import { masterConnector } from './sentinel.ts';

const COMMAND_TIMEOUT_MS = 5_000;
const CONNECT_TIMEOUT_MS = 5_000;
const KEEP_ALIVE_MS = 10_000;
const BACKOFF_FIRST_MS = 50;
const BACKOFF_MAX_MS = 500;

/** A write that changes nothing, also on a server that is out of memory. */
const PROBE = "#!lua flags=allow-oom\nreturn redis.call('SET', KEYS[1], '1', 'PX', 1000)";

export type ConnectionState = 'ready' | 'lost' | 'closed';

export interface ConnectOptions {
  address: RedisAddress;
  runtime: Runtime;
  /** Shown in `CLIENT LIST`. */
  name: string;
  onCommand?: OnCommand | undefined;
  /** Told when what failed for want of an answer is done again, connecting included. */
  onRetry?: OnRetry | undefined;
  onConnection?: ((state: ConnectionState, name: string) => void) | undefined;
}

export type OnCommand = (name: string, seconds: number, facts: CommandFacts) => void;
export type OnRetry = (what: string, tried: number, waitMs: number, reason: string) => void;

/** What is known of a command beside its name and how long it took. */
export interface CommandFacts {
  /** The key that it names first, or the tag it goes by. */
  key: string;
  /** The server that was asked. */
  address: string;
  /** Null: it was answered. */
  code: string | null;
  /** A read that waited for something to come. */
  waits: boolean;
}

export type Argument = string | number;

/** A client of its own for reads that wait, and the place it goes to: it is of use for reads of that place only. */
export interface Reader {
  place: string;
  open: () => Redis;
}

/** What carries commands to the server that holds their key: one server by any road, or the nodes of a cluster. */
export interface Commands {
  /** For messages. */
  readonly address: string;
  /** False once a command failed for want of a connection, true again after one succeeded. */
  readonly connected: boolean;
  /** @param tag the beginning of a key of the shard that is meant; wanted of commands that name no key themselves */
  call(name: string, args: readonly Argument[], tag?: string): Promise<unknown>;
  /** All commands are of one shard. */
  together(shown: string, tag: string, commands: readonly Command[]): Promise<unknown[] | null>;
  run(script: Script, tag: string, args: readonly Argument[]): Promise<unknown>;
  /** And then asks WAIT or WAITAOF on the same connection; see `durable.ts`. */
  runAndAsk(
    script: Script,
    tag: string,
    args: readonly Argument[],
    question: Command,
  ): Promise<{ reply: unknown; answer: unknown }>;
  readerOf(tag: string): Reader;
  /** What was answered to a reader of a place. True: the key is elsewhere, and the read is worth another try there. */
  heard(tag: string, place: string, error: unknown): boolean;
  /** Every server that is to hold tasks. */
  servers(): Promise<Connection[]>;
  close(): void;
}

export type Command = readonly [name: string, ...args: Argument[]];

/** The connection that carries commands. Every command is answered or rejected within seconds. */
export class Connection implements Commands {
  readonly address: string;
  readonly database: number;
  readonly at: RedisAddress;
  readonly #name: string;
  readonly #redis: Redis;
  readonly #observe: ConnectOptions['onCommand'];
  readonly #onRetry: ConnectOptions['onRetry'];
  readonly #runtime: Runtime;
  #opening: Promise<void> | null = null;
  #lastError: Error | null = null;
  #ready = false;
  /** Connections made so far. */
  #sessions = 0;
  /** By their name: the one under way, and the one after it. */
  readonly #questions = new Map<string, { current: Promise<unknown>; next?: Promise<unknown> }>();
  #connected = false;

  constructor(options: ConnectOptions) {
    this.at = options.address;
    this.#name = options.name;
    this.address = placeOf(options.address);
    this.database = endpointOf(options.address).db;
    this.#observe = options.onCommand;
    this.#onRetry = options.onRetry;
    this.#runtime = options.runtime;
    this.#redis = new Redis({
      ...clientOptions(options.address, options.name),
      commandTimeout: COMMAND_TIMEOUT_MS,
      retryStrategy: (times) => this.#reconnectsIn(times),
      // The server became a replica: the next connection may find the new master. The command is not repeated.
      reconnectOnError: (error) => error.message.startsWith('READONLY'),
    });
    this.#redis.on('error', (error: Error) => {
      this.#lastError = error;
    });
    this.#redis.on('ready', () => {
      this.#lastError = null;
      this.#ready = true;
      this.#sessions += 1;
      options.onConnection?.('ready', options.name);
    });
    this.#redis.on('close', () => {
      if (this.#ready) options.onConnection?.('lost', options.name);
      this.#ready = false;
      this.#connected = false;
    });
    this.#redis.on('end', () => options.onConnection?.('closed', options.name));
  }

  /** False once a command failed for want of a connection, true again after one succeeded. */
  get connected(): boolean {
    return this.#connected;
  }

  async call(name: string, args: readonly Argument[], tag?: string): Promise<unknown> {
    return this.#told(name, tag ?? args[0], name, args);
  }

  readerOf(): Reader {
    return { place: this.address, open: () => blockingClient(this.at, `${this.#name}-reads`) };
  }

  heard(): boolean {
    return false;
  }

  async servers(): Promise<Connection[]> {
    return [this];
  }

  /**
   * Commands that see and make one moment of the store: all or none of them are done. Null: none, because the server is
   * out of memory, when it discards every transaction, even one that only reads.
   */
  async together(shown: string, tag: string, commands: readonly Command[]): Promise<unknown[] | null> {
    try {
      return await this.#timed(shown, tag, async () => {
        const replies = await this.#redis.multi(commands as unknown as [string, ...string[]][]).exec();
        return (replies ?? []).map(([error, reply]) => {
          if (error) throw error;
          return reply;
        });
      });
    } catch (error) {
      if (isDiscarded(error)) return null;
      throw error;
    }
  }

  /** By its hash; the text goes along only when the server does not know it (any more), which runs nothing. */
  async run(script: Script, tag: string, args: readonly Argument[]): Promise<unknown> {
    try {
      return await this.#told(script.name, tag, 'evalsha', [script.sha, 1, tag, ...args]);
    } catch (error) {
      if (!isUnknownScript(error)) throw error;
      return this.#told(script.name, tag, 'eval', [script.text, 1, tag, ...args]);
    }
  }

  /** @throws StoreUnavailableError also when the connection was another one at the end than at the beginning */
  async runAndAsk(script: Script, tag: string, args: readonly Argument[], question: Command) {
    if (this.#redis.status !== 'ready') await this.#open(script.name);
    const session = this.#sessions;
    const reply = await this.run(script, tag, args);
    const answer = await this.#ask(tag, question);
    if (session === this.#sessions) return { reply, answer };
    throw unavailable(this.address, new Error('the connection was replaced while a commit was being confirmed'));
  }

  close(): void {
    this.#redis.disconnect();
  }

  /** Whoever comes while the question is under way asks with all others who came, once it is answered. */
  #ask(tag: string, question: Command): Promise<unknown> {
    const name = question[0];
    const { current, next } = this.#questions.get(name) ?? {};
    if (next) return next;
    if (!current) return this.#askNow(tag, question);
    const later = current.then(noop, noop).then(() => this.#askNow(tag, question));
    this.#questions.set(name, { current, next: later });
    return later;
  }

  #askNow(tag: string, [name, ...args]: Command): Promise<unknown> {
    const write = this.#told('probe', tag, 'eval', [PROBE, 1, `${tag}probe`]);
    const current = Promise.all([write, this.#told(name, tag, name, args)]).then(([, answer]) => answer);
    this.#questions.set(name, { current });
    const forget = () => {
      const standing = this.#questions.get(name);
      if (standing?.current === current && !standing.next) this.#questions.delete(name);
    };
    current.then(forget, forget);
    return current;
  }

  #told(shown: string, key: Argument | undefined, name: string, args: readonly Argument[]): Promise<unknown> {
    return this.#timed(shown, key, () => this.#redis.call(name, args as Argument[]));
  }

  async #timed<T>(shown: string, key: Argument | undefined, send: () => Promise<T>): Promise<T> {
    const { status } = this.#redis;
    if (status !== 'ready') await this.#open(shown);
    const started = this.#observe ? performance.now() : 0;
    let code: string | null = null;
    try {
      const reply = await send();
      this.#connected = true;
      return reply;
    } catch (error) {
      code = faultCode(error);
      throw this.#failed(error, shown);
    } finally {
      const facts = { key: String(key ?? ''), address: this.address, code, waits: false };
      this.#observe?.(shown, (performance.now() - started) / 1_000, facts);
    }
  }

  #reconnectsIn(tried: number): number {
    const waitMs = backoffMs(tried, this.#runtime.random());
    const why = this.#lastError?.message ?? 'the connection was closed';
    this.#onRetry?.('connect', tried, Math.round(waitMs), why);
    return waitMs;
  }

  #failed(error: unknown, shown: string): unknown {
    if (isUnknownScript(error)) return error;
    if (error instanceof Error && isConnectionError(error)) {
      this.#connected = false;
      // A server that does not answer may be gone without a word: only a new connection tells.
      if (error.message === 'Command timed out') this.#redis.disconnect(true);
    }
    return withRetries(meaningOf(error, this.address, `${this.#user} ("${shown}")`), shown, this.#onRetry);
  }

  get #user(): string {
    return endpointOf(this.at).username ?? 'default';
  }

  /** The first call opens the connection; while it is being restored, calls are rejected at once. */
  async #open(shown: string): Promise<void> {
    const { status } = this.#redis;
    if (status === 'wait') this.#opening ??= this.#redis.connect().then(() => {});
    else if (status !== 'connecting' && status !== 'connect') this.#opening = null;
    if (!this.#opening) throw this.#away(shown);
    const patience = new AbortController();
    try {
      // A server that still loads its file takes connections, and answers none of them.
      await Promise.race([this.#opening, pause(this.#runtime, CONNECT_TIMEOUT_MS, patience.signal)]);
    } catch {
      // Why, the listener for errors has heard.
    } finally {
      patience.abort();
    }
    if (this.#redis.status !== 'ready') throw this.#away(shown);
  }

  #away(shown: string): Error {
    this.#connected = false;
    // Also where Redis did not let us in: a password that is changed on a running system is no reason to give up.
    const why = this.#lastError ?? new Error('Connection is closed or not ready yet.');
    return withRetries(unavailable(this.address, why), shown, this.#onRetry);
  }
}

function noop(): void {}

/** A bare client without any restoring, for reads that block. */
export function blockingClient(address: RedisAddress, name: string): Redis {
  const redis = new Redis({ ...clientOptions(address, name), retryStrategy: () => null });
  redis.on('error', () => {
    // Whoever waits on this connection gets the error of its own command.
  });
  return redis;
}

function isDiscarded(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && cause.message.startsWith('EXECABORT');
}

export function isUnknownScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}

/** Half to all of 50 ms, 100 ms, … 0.5 s: short, because work waits for it, and many processes do not come back in step. */
function backoffMs(times: number, random: number): number {
  return Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(times - 1, 10)) * (0.5 + random / 2);
}

function clientOptions(address: RedisAddress, name: string): RedisOptions {
  const { host, port, db, username, password, tls } = endpointOf(address);
  const { sentinel } = address;
  return {
    ...(sentinel ? { Connector: masterConnector({ ...address, sentinel }) } : { host, port }),
    db,
    username: username ?? undefined,
    password: password ?? undefined,
    ...(tls ? { tls } : {}),
    protocol: 2,
    connectionName: name,
    disableClientInfo: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    keepAlive: KEEP_ALIVE_MS,
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
  };
}
