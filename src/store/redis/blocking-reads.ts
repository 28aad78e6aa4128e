/*
 * Reads that wait for a stream entry. Each holds a connection of its own while it waits; idle ones are kept for the next.
 * A connection is dropped, never repaired: when its read is aborted, its answer is late, or the server is gone.
 */
import type { Redis } from 'ioredis';
import { pause, type Runtime } from '../../runtime/runtime.ts';
import type { Commands, OnCommand, OnRetry } from './connect.ts';
import { faultCode, meaningOf, unavailable, withRetries } from './errors.ts';

/** An answer may be this late before the server counts as gone. */
const LATE_MS = 5_000;
/** How often a reader looks that found all connections in use. */
const LOOK_AGAIN_MS = 20;
/** Times that a read follows its key to another node of a cluster before its caller hears of it. */
const MOVES_MAX = 3;

export interface BlockingReadsOptions {
  commands: Commands;
  runtime: Runtime;
  /** Waiting reads at once; beyond that a read looks every 20 ms on the command connection instead. */
  connectionsMax: number;
  /** The same read without waiting. */
  look: (args: string[]) => Promise<unknown>;
  /** Told of each read that came to an end, other than by its own abort. */
  onRead?: OnCommand | undefined;
  onRetry?: OnRetry | undefined;
}

export interface BlockingRead {
  /** The beginning of the keys that are read; all of one shard. */
  tag: string;
  /** `COUNT n STREAMS …`, what follows BLOCK. */
  args: string[];
  /** The same with `$` replaced by the place it stands for now. */
  pinned: () => Promise<string[]>;
  waitMs: number;
  signal?: AbortSignal | undefined;
}

/** A connection, and the server it leads to. */
interface Line {
  client: Redis;
  place: string;
}

export class BlockingReads {
  readonly #options: BlockingReadsOptions;
  #idle: Line[] = [];
  readonly #busy = new Map<Line, () => void>();
  #closed = false;

  constructor(options: BlockingReadsOptions) {
    this.#options = options;
  }

  /** The reply of XREAD; null when nothing came in time, the signal aborted, or the store is closed. */
  async read(read: BlockingRead): Promise<unknown> {
    const { commands } = this.#options;
    for (let moves = 0; ; moves++) {
      if (this.#closed || read.signal?.aborted) return null;
      const line = this.#reuse(commands.readerOf(read.tag).place) ?? this.#create(read.tag);
      if (!line) return this.#lookAgain(read);
      try {
        return await this.#readOn(line, read);
      } catch (error) {
        const isElsewhere = commands.heard(read.tag, line.place, error);
        if (!isElsewhere || moves >= MOVES_MAX) throw withRetries(error, 'xread', this.#options.onRetry);
      }
    }
  }

  close(): void {
    this.#closed = true;
    for (const { client } of this.#idle.splice(0)) client.disconnect();
    for (const stop of [...this.#busy.values()]) stop();
  }

  /** The server may have closed a connection that was idle. */
  #reuse(place: string): Line | null {
    this.#idle = this.#idle.filter(({ client }) => client.status === 'ready');
    const at = this.#idle.findLastIndex((line) => line.place === place);
    return at < 0 ? null : this.#idle.splice(at, 1)[0]!;
  }

  /** One that leads elsewhere and is idle makes room. */
  #create(tag: string): Line | null {
    const { commands, connectionsMax } = this.#options;
    if (this.#busy.size + this.#idle.length >= connectionsMax) this.#idle.shift()?.client.disconnect();
    if (this.#busy.size >= connectionsMax) return null;
    const { place, open } = commands.readerOf(tag);
    return { client: open(), place };
  }

  #readOn(line: Line, { tag, args, waitMs, signal }: BlockingRead): Promise<unknown> {
    const { runtime, onRead } = this.#options;
    const started = runtime.now();
    const told = (error?: unknown) => {
      const code = error === undefined ? null : faultCode(error);
      const facts = { key: tag, address: line.place, code, waits: true };
      onRead?.('xread', (runtime.now() - started) / 1_000, facts);
    };
    return new Promise((resolve, reject) => {
      const stop = () => this.#drop(line, finish, () => resolve(null));
      const late = () => {
        const error = unavailable(line.place, 'a blocking read was not answered in time');
        told(error);
        this.#drop(line, finish, () => reject(error));
      };
      const cancel = runtime.after(waitMs + LATE_MS, late);
      const finish = () => {
        cancel();
        signal?.removeEventListener('abort', stop);
        this.#busy.delete(line);
      };
      signal?.addEventListener('abort', stop, { once: true });
      this.#busy.set(line, stop);
      this.#send(line.client, waitMs, args).then(
        (reply) => {
          if (!this.#busy.has(line)) return;
          finish();
          told();
          this.#idle.push(line);
          resolve(reply);
        },
        (error: unknown) => {
          if (!this.#busy.has(line)) return;
          told(error);
          this.#drop(line, finish, () => reject(meaningOf(error, line.place)));
        },
      );
    });
  }

  async #send(client: Redis, waitMs: number, args: string[]): Promise<unknown> {
    if (client.status === 'wait') await connected(client);
    return client.call('xread', ['BLOCK', String(waitMs), ...args]);
  }

  #drop({ client }: Line, finish: () => void, settle: () => void): void {
    finish();
    client.disconnect();
    settle();
  }

  async #lookAgain({ pinned, waitMs, signal }: BlockingRead): Promise<unknown> {
    const { runtime, look } = this.#options;
    const until = runtime.now() + waitMs;
    const args = await pinned();
    for (;;) {
      const reply = await look(args);
      if (reply !== null || this.#closed || signal?.aborted || runtime.now() >= until) return reply;
      await pause(runtime, LOOK_AGAIN_MS, signal);
    }
  }
}

/** The client says only that the connection was closed; why, it tells its listeners. */
function connected(client: Redis): Promise<void> {
  let why: Error | null = null;
  client.once('error', (error: Error) => {
    why = error;
  });
  return client.connect().catch((error: unknown) => {
    throw why ?? error;
  });
}
