import { type Amounts, addAmounts, timesThatFit } from '../scheduling/requirements.ts';

/** Which of the worker's resources are taken by the attempts that it holds, from their arrival to the handler's end. */
export class Resources {
  readonly #capacity: Amounts;
  readonly #used: Record<string, number> = {};

  constructor(capacity: Amounts = {}) {
    this.#capacity = capacity;
  }

  admits(needs: Amounts | undefined): boolean {
    return timesThatFit(needs, this.#capacity, this.#used) > 0;
  }

  take(needs: Amounts | undefined): void {
    addAmounts(this.#used, needs);
  }

  give(needs: Amounts | undefined): void {
    addAmounts(this.#used, needs, -1);
  }

  get used(): Record<string, number> {
    return { ...this.#used };
  }
}
