/*
 * Reads that wait for a stream entry. Each holds a connection of its own while it waits; idle ones are kept for the next.
 * A connection is dropped, never repaired: when its read is aborted, its answer is late, or the server is gone.
 */
import type { Redis } from 'ioredis';
import { pause, type Runtime } from '../../runtime/runtime.ts';
import { blockingClient, placeOf, type RedisAddress } from './connect.ts';
import { meaningOf, unavailable } from './errors.ts';

/** An answer may be this late before the server counts as gone. */
const LATE_MS = 5_000;
/** How often a reader looks that found all connections in use. */
const LOOK_AGAIN_MS = 20;

export interface BlockingReadsOptions {
  address: RedisAddress;
  runtime: Runtime;
  name: string;
  /** Waiting reads at once; beyond that a read looks every 20 ms on the command connection instead. */
  connectionsMax: number;
  /** The same read without waiting. */
  look: (args: string[]) => Promise<unknown>;
}

export interface BlockingRead {
  /** `COUNT n STREAMS …`, what follows BLOCK. */
  args: string[];
  /** The same with `$` replaced by the place it stands for now. */
  pinned: () => Promise<string[]>;
  waitMs: number;
  signal?: AbortSignal | undefined;
}

export class BlockingReads {
  readonly #options: BlockingReadsOptions;
  readonly #idle: Redis[] = [];
  readonly #busy = new Map<Redis, () => void>();
  #closed = false;

  constructor(options: BlockingReadsOptions) {
    this.#options = options;
  }

  /** The reply of XREAD; null when nothing came in time, the signal aborted, or the store is closed. */
  async read(read: BlockingRead): Promise<unknown> {
    if (this.#closed || read.signal?.aborted) return null;
    const client = this.#reuse() ?? this.#create();
    return client ? this.#readOn(client, read) : this.#lookAgain(read);
  }

  close(): void {
    this.#closed = true;
    for (const client of this.#idle.splice(0)) client.disconnect();
    for (const stop of [...this.#busy.values()]) stop();
  }

  /** The server may have closed a connection that was idle. */
  #reuse(): Redis | null {
    for (let client = this.#idle.pop(); client; client = this.#idle.pop()) {
      if (client.status === 'ready') return client;
    }
    return null;
  }

  #create(): Redis | null {
    const { address, name, connectionsMax } = this.#options;
    return this.#busy.size < connectionsMax ? blockingClient(address, name) : null;
  }

  #readOn(client: Redis, { args, waitMs, signal }: BlockingRead): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const stop = () => this.#drop(client, finish, () => resolve(null));
      const late = () => {
        const error = unavailable(placeOf(this.#options.address), 'a blocking read was not answered in time');
        this.#drop(client, finish, () => reject(error));
      };
      const cancel = this.#options.runtime.after(waitMs + LATE_MS, late);
      const finish = () => {
        cancel();
        signal?.removeEventListener('abort', stop);
        this.#busy.delete(client);
      };
      signal?.addEventListener('abort', stop, { once: true });
      this.#busy.set(client, stop);
      this.#send(client, waitMs, args).then(
        (reply) => {
          if (!this.#busy.has(client)) return;
          finish();
          this.#idle.push(client);
          resolve(reply);
        },
        (error: unknown) => {
          if (!this.#busy.has(client)) return;
          this.#drop(client, finish, () => reject(meaningOf(error, placeOf(this.#options.address))));
        },
      );
    });
  }

  async #send(client: Redis, waitMs: number, args: string[]): Promise<unknown> {
    if (client.status === 'wait') await connected(client);
    return client.call('xread', ['BLOCK', String(waitMs), ...args]);
  }

  #drop(client: Redis, finish: () => void, settle: () => void): void {
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
