/*
 * Connections to Redis. What the client library would do by itself is switched off where it could do harm: it repeats
 * unanswered commands after a reconnect (one append became two) and queues commands while it is away, so a caller could
 * not know what became of a write. Here a command that gets no answer is rejected as StoreUnavailableError, its fate
 * unknown, and the caller repeats it with the same operation id. Only the connection itself is restored, for ever.
 */
import { Redis, type RedisOptions } from 'ioredis';
import { pause, type Runtime } from '../../runtime/runtime.ts';
import { endpointOf, placeOf, type RedisAddress } from './address.ts';
import { isConnectionError, meaningOf, unavailable } from './errors.ts';
import type { Script } from './scripts.ts';
import { masterConnector } from './sentinel.ts';

const COMMAND_TIMEOUT_MS = 5_000;
const CONNECT_TIMEOUT_MS = 5_000;
const KEEP_ALIVE_MS = 10_000;
const BACKOFF_FIRST_MS = 50;
const BACKOFF_MAX_MS = 500;

export type ConnectionState = 'ready' | 'lost' | 'closed';

export interface ConnectOptions {
  address: RedisAddress;
  runtime: Runtime;
  /** Shown in `CLIENT LIST`. */
  name: string;
  onCommand?: ((name: string, seconds: number) => void) | undefined;
  onConnection?: ((state: ConnectionState, name: string) => void) | undefined;
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
  readonly #runtime: Runtime;
  #opening: Promise<void> | null = null;
  #lastError: Error | null = null;
  #ready = false;
  #connected = false;

  constructor(options: ConnectOptions) {
    this.at = options.address;
    this.#name = options.name;
    this.address = placeOf(options.address);
    this.database = endpointOf(options.address).db;
    this.#observe = options.onCommand;
    this.#runtime = options.runtime;
    this.#redis = new Redis({
      ...clientOptions(options.address, options.name),
      commandTimeout: COMMAND_TIMEOUT_MS,
      retryStrategy: (times) => backoffMs(times, options.runtime.random()),
      // The server became a replica: the next connection may find the new master. The command is not repeated.
      reconnectOnError: (error) => error.message.startsWith('READONLY'),
    });
    this.#redis.on('error', (error: Error) => {
      this.#lastError = error;
    });
    this.#redis.on('ready', () => {
      this.#lastError = null;
      this.#ready = true;
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

  async call(name: string, args: readonly Argument[]): Promise<unknown> {
    return this.#told(name, name, args);
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
  async together(shown: string, _tag: string, commands: readonly Command[]): Promise<unknown[] | null> {
    try {
      return await this.#timed(shown, async () => {
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
      return await this.#told(script.name, 'evalsha', [script.sha, 1, tag, ...args]);
    } catch (error) {
      if (!isUnknownScript(error)) throw error;
      return this.#told(script.name, 'eval', [script.text, 1, tag, ...args]);
    }
  }

  close(): void {
    this.#redis.disconnect();
  }

  #told(shown: string, name: string, args: readonly Argument[]): Promise<unknown> {
    return this.#timed(shown, () => this.#redis.call(name, args as Argument[]));
  }

  async #timed<T>(shown: string, send: () => Promise<T>): Promise<T> {
    const { status } = this.#redis;
    if (status !== 'ready') await this.#open();
    const started = this.#observe ? performance.now() : 0;
    try {
      const reply = await send();
      this.#connected = true;
      return reply;
    } catch (error) {
      throw this.#failed(error, shown);
    } finally {
      this.#observe?.(shown, (performance.now() - started) / 1_000);
    }
  }

  #failed(error: unknown, shown: string): unknown {
    if (isUnknownScript(error)) return error;
    if (error instanceof Error && isConnectionError(error)) {
      this.#connected = false;
      // A server that does not answer may be gone without a word: only a new connection tells.
      if (error.message === 'Command timed out') this.#redis.disconnect(true);
    }
    return meaningOf(error, this.address, `${this.#user} ("${shown}")`);
  }

  get #user(): string {
    return endpointOf(this.at).username ?? 'default';
  }

  /** The first call opens the connection; while it is being restored, calls are rejected at once. */
  async #open(): Promise<void> {
    const { status } = this.#redis;
    if (status === 'wait') this.#opening ??= this.#redis.connect().then(() => {});
    else if (status !== 'connecting' && status !== 'connect') this.#opening = null;
    if (!this.#opening) throw this.#away();
    const patience = new AbortController();
    try {
      // A server that still loads its file takes connections, and answers none of them.
      await Promise.race([this.#opening, pause(this.#runtime, CONNECT_TIMEOUT_MS, patience.signal)]);
    } catch {
      // Why, the listener for errors has heard.
    } finally {
      patience.abort();
    }
    if (this.#redis.status !== 'ready') throw this.#away();
  }

  #away(): Error {
    this.#connected = false;
    // Also where Redis did not let us in: a password that is changed on a running system is no reason to give up.
    return unavailable(this.address, this.#lastError ?? new Error('Connection is closed or not ready yet.'));
  }
}

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
