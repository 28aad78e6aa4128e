import type { Runtime } from '../runtime/runtime.ts';

/** Waits for something to become true, told by whoever changes it, for a bounded time. */
export class Gate {
  readonly #runtime: Runtime;
  readonly #waiting = new Set<() => void>();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Whoever waits looks again. */
  changed(): void {
    for (const look of [...this.#waiting]) look();
  }

  /** Resolves to whether `holds` came true within `ms`. */
  until(holds: () => boolean, ms: number): Promise<boolean> {
    if (holds() || ms <= 0) return Promise.resolve(holds());
    return new Promise((resolve) => {
      const end = (outcome: boolean) => {
        cancel();
        this.#waiting.delete(look);
        resolve(outcome);
      };
      const look = () => {
        if (holds()) end(true);
      };
      const cancel = this.#runtime.after(ms, () => end(holds()));
      this.#waiting.add(look);
    });
  }
}
