/** Callers that wait for a task to change. Told by whoever learns of a commit first; being told twice does no harm. */
export class Waiters {
  readonly #waiting = new Map<string, Set<(state: string) => void>>();

  /** Calls `fn` at each change of the task until the returned function is called. */
  on(id: string, fn: (state: string) => void): () => void {
    const set = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, set);
    set.add(fn);
    return () => {
      set.delete(fn);
      if (set.size === 0 && this.#waiting.get(id) === set) this.#waiting.delete(id);
    };
  }

  tell(id: string, state: string): void {
    const set = this.#waiting.get(id);
    if (!set) return;
    for (const fn of [...set]) fn(state);
  }

  ids(): string[] {
    return [...this.#waiting.keys()];
  }
}
