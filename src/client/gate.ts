/** Lets a bounded number of calls run at once; the others wait in line. */
export class Gate {
  readonly #max: number;
  #running = 0;
  readonly #line: (() => void)[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  /** Somebody stands in line. */
  get crowded(): boolean {
    return this.#line.length > 0;
  }

  async through<T>(call: () => Promise<T>): Promise<T> {
    // Who leaves hands its place to the first in line, so nobody who comes later can take it in between.
    if (this.#running >= this.#max) await new Promise<void>((resolve) => this.#line.push(resolve));
    else this.#running += 1;
    try {
      return await call();
    } finally {
      const next = this.#line.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }
}
