import type { Runtime } from '../../runtime/runtime.ts';
import type { ReadStreams, StreamBatch, StreamEntry, StreamName } from '../store.ts';
import { BlockingReads } from './blocking-reads.ts';
import type { Commands, OnCommand, OnRetry } from './connect.ts';
import { entryBehind } from './keys.ts';

export interface StreamsOptions {
  connection: Commands;
  runtime: Runtime;
  connectionsMax: number;
  onRead?: OnCommand | undefined;
  onRetry?: OnRetry | undefined;
}

/** Entries as Redis answers them: id and flat fields. */
type RawEntry = [id: string, fields: string[]];

/** The streams of all shards. A read that may wait has a connection of its own, so no command ever waits behind it. */
export class Streams {
  readonly #connection: Commands;
  readonly #waiting: BlockingReads;

  constructor({ connection, runtime, connectionsMax, onRead, onRetry }: StreamsOptions) {
    this.#connection = connection;
    const look = (args: string[]) => connection.call('xread', args);
    this.#waiting = new BlockingReads({ commands: connection, runtime, connectionsMax, look, onRead, onRetry });
  }

  async read(tag: string, { from, count, waitMs, signal }: ReadStreams): Promise<StreamBatch[]> {
    if (from.length === 0) return [];
    const keys = from.map(({ stream }) => tag + stream);
    const args = ['COUNT', String(count), 'STREAMS', ...keys];
    const places = from.map(({ after }) => after);
    const reply =
      waitMs > 0
        ? await this.#waiting.read({
            tag,
            args: [...args, ...places],
            pinned: async () => [...args, ...(await Promise.all(from.map((one) => this.#pinned(tag, one))))],
            waitMs,
            signal,
          })
        : await this.#connection.call('xread', [...args, ...places], tag);
    return batchesOf(reply as [string, RawEntry[]][] | null, tag);
  }

  async last(tag: string, stream: StreamName): Promise<string> {
    const [entry] = (await this.#connection.call('xrevrange', [tag + stream, '+', '-', 'COUNT', '1'])) as RawEntry[];
    return entry?.[0] ?? '0-0';
  }

  async newest(tag: string, stream: string, limit: number): Promise<StreamEntry[]> {
    const entries = await this.#connection.call('xrevrange', [tag + stream, '+', '-', 'COUNT', limit]);
    return (entries as RawEntry[]).map(entryOf);
  }

  async trim(tag: string, stream: StreamName, upTo: string): Promise<void> {
    await this.#connection.call('xtrim', [tag + stream, 'MINID', entryBehind(upTo)]);
  }

  close(): void {
    this.#waiting.close();
  }

  async #pinned(tag: string, { stream, after }: ReadStreams['from'][number]): Promise<string> {
    return after === '$' ? this.last(tag, stream) : after;
  }
}

function batchesOf(reply: [string, RawEntry[]][] | null, tag: string): StreamBatch[] {
  if (!reply) return [];
  return reply.map(([key, entries]) => ({
    stream: key.slice(tag.length) as StreamName,
    entries: entries.map(entryOf),
  }));
}

export function entryOf([id, flat]: RawEntry): StreamEntry {
  const fields: Record<string, string> = {};
  for (let at = 0; at < flat.length; at += 2) fields[flat[at]!] = flat[at + 1]!;
  return { id, fields };
}
