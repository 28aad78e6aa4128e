import type { Runtime } from './runtime.ts';

export interface BatcherOptions<Item, Answer> {
  runtime: Runtime;
  /** Items in one flight at most. */
  sizeMax: number;
  /** What one item weighs, and all of a flight together at most; a heavier one flies alone. Default: only `sizeMax` counts. */
  weight?: { of: (item: Item) => number; max: number };
  /** Flights under way at once at most; while all are, items gather, so batches grow with the load. */
  flightsMax: number;
  /** One answer per item, in order; an answer that is an Error rejects that item alone. */
  run: (items: Item[]) => Promise<(Answer | Error)[]>;
}

/**
 * Turns single calls into batches without a timer: the first item leaves when this turn of the loop ends, alone if it
 * was alone; under load whatever gathered during a flight leaves with the next.
 */
export class Batcher<Item, Answer> {
  readonly #options: BatcherOptions<Item, Answer>;
  #waiting: { item: Item; resolve: (answer: Answer) => void; reject: (error: unknown) => void }[] = [];
  #flights = 0;
  #called = false;

  constructor(options: BatcherOptions<Item, Answer>) {
    this.#options = options;
  }

  /** Items that wait or are under way are bounded by who calls: every caller waits for its own answer. */
  add(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      this.#call();
    });
  }

  #call(): void {
    if (this.#called || this.#flights >= this.#options.flightsMax) return;
    this.#called = true;
    this.#options.runtime.soon(() => {
      this.#called = false;
      void this.#fly();
    });
  }

  #nextSize(): number {
    const { sizeMax, weight } = this.#options;
    if (!weight) return sizeMax;
    let sum = 0;
    let size = 0;
    for (const { item } of this.#waiting) {
      sum += weight.of(item);
      if (size >= sizeMax || (size > 0 && sum > weight.max)) break;
      size += 1;
    }
    return size;
  }

  async #fly(): Promise<void> {
    const batch = this.#waiting.splice(0, this.#nextSize());
    if (batch.length === 0) return;
    this.#flights += 1;
    if (this.#waiting.length > 0) this.#call();
    try {
      const answers = await this.#options.run(batch.map((entry) => entry.item));
      batch.forEach((entry, i) => {
        const answer = answers[i];
        if (answer instanceof Error) entry.reject(answer);
        else entry.resolve(answer as Answer);
      });
    } catch (error) {
      for (const entry of batch) entry.reject(error);
    } finally {
      this.#flights -= 1;
      if (this.#waiting.length > 0) this.#call();
    }
  }
}
