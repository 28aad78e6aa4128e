import type { QuarantineEntry } from '../store.ts';
import type { RisingClock } from './rising-clock.ts';
import { Stream } from './stream.ts';

const ENTRIES_MAX = 1_000;
const TEXT_BYTES_MAX = 4_096;

/** What failed a check, for people to look at; the oldest goes when there is too much. */
export class Quarantine {
  readonly #clock: RisingClock;
  readonly #stream = new Stream({ entries: ENTRIES_MAX, size: Number.POSITIVE_INFINITY });
  readonly #cut = new Uint8Array(TEXT_BYTES_MAX);

  constructor(clock: RisingClock) {
    this.#clock = clock;
  }

  add({ stream, entry, reason, text }: QuarantineEntry): void {
    this.#stream.append({ stream, entry, reason, text: this.#beginning(text) }, this.#clock.now());
  }

  /** The newest first. */
  newest(limit: number): (QuarantineEntry & { id: string })[] {
    return this.#stream.newest(limit).map(({ id, fields }) => {
      const { stream = '', entry = '', reason = '', text = '' } = fields;
      return { id, stream, entry, reason, text };
    });
  }

  /** As many whole characters as fit. */
  #beginning(text: string): string {
    return text.slice(0, new TextEncoder().encodeInto(text, this.#cut).read);
  }
}
