/** Reads one event stream over a real connection, as far as a test wants. */
import { SseParser } from '../../src/client/sse-parser.ts';
import type { Told } from '../../src/service/event-service.ts';

export interface SseReader {
  status: number;
  headers: Headers;
  /** Everything that came, comments too. */
  text(): string;
  /** The next so many events, without those that only move the cursor; fails after `ms`. */
  next(count: number, ms?: number): Promise<Told[]>;
  /** All that is to come until the server ends the stream. */
  rest(): Promise<Told[]>;
  /** The cursor of the last thing that came. */
  cursor(): string | undefined;
  close(): void;
}

export async function openEvents(url: string, headers: Record<string, string> = {}): Promise<SseReader> {
  const controller = new AbortController();
  const response = await fetch(url, { headers, signal: controller.signal });
  const parser = new SseParser();
  const decoder = new TextDecoder();
  const waiting: Told[] = [];
  let cursor: string | undefined;
  let text = '';
  let ended = false;
  let wake = () => {};
  const read = async () => {
    for await (const piece of response.body ?? []) {
      const more = decoder.decode(piece as Uint8Array, { stream: true });
      text += more;
      for (const told of parser.push(more)) {
        cursor = told.cursor;
        if (told.event) waiting.push(told);
      }
      wake();
    }
  };
  const over = read()
    .catch(() => undefined)
    .finally(() => {
      ended = true;
      wake();
    });
  return {
    status: response.status,
    headers: response.headers,
    text: () => text,
    cursor: () => cursor,
    next: async (count, ms = 5_000) => {
      const until = Date.now() + ms;
      while (waiting.length < count) {
        if (ended || Date.now() > until) {
          throw new Error(`${waiting.length} of ${count} events came: ${JSON.stringify(waiting)}`);
        }
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, 50);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      return waiting.splice(0, count);
    },
    rest: async () => {
      await over;
      return waiting.splice(0);
    },
    close: () => controller.abort(),
  };
}
