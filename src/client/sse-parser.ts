import type { EventView, Told } from '../service/event-service.ts';

/** Characters of one event at most; a server that sends more without an end is none of ours. */
const EVENT_LENGTH_MAX = 4 * 1024 * 1024;

/**
 * Reads server-sent events as our coordinators write them: `id`, `event` and one line of JSON as `data` (WHATWG HTML,
 * section 9.2.6, which also lets lines end in other ways and data have several lines).
 */
export class SseParser {
  #rest = '';
  #id: string | undefined;
  #data: string[] = [];

  /** What is complete in the text so far. */
  push(text: string): Told[] {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > EVENT_LENGTH_MAX) throw new Error(`an event has more than ${EVENT_LENGTH_MAX} characters`);
    return lines.flatMap((line) => this.#line(line) ?? []);
  }

  #line(line: string): Told | null {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (name === 'id') this.#id = value;
    if (name === 'data') this.#data.push(value);
    return null;
  }

  #dispatch(): Told | null {
    const data = this.#data.join('\n');
    this.#data = [];
    if (this.#id === undefined) return null;
    if (data === '') return { cursor: this.#id };
    return { cursor: this.#id, event: JSON.parse(data) as EventView };
  }
}
