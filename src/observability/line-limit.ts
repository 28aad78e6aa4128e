/** Lines of one sentence per second; the rest is counted. */
export const LINES_PER_SECOND = 10;

/**
 * Keeps a storm out of the log: conflicts or failures by the thousand say no more than ten of them and a number. The
 * number comes with the next line of that sentence; the metrics have it at once.
 */
export class LineLimit {
  readonly #now: () => number;
  readonly #linesPerSecond: number;
  readonly #sentences = new Map<string, { second: number; lines: number; suppressed: number }>();

  constructor(now: () => number, linesPerSecond = LINES_PER_SECOND) {
    this.#now = now;
    this.#linesPerSecond = linesPerSecond;
  }

  /** Null: do not log. Else how many lines of this sentence were suppressed since the last one. */
  pass(sentence: string): { suppressed: number } | null {
    const second = Math.floor(this.#now() / 1_000);
    const state = this.#sentences.get(sentence) ?? { second, lines: 0, suppressed: 0 };
    this.#sentences.set(sentence, state);
    if (state.second !== second) {
      state.second = second;
      state.lines = 0;
    }
    if (state.lines >= this.#linesPerSecond) {
      state.suppressed += 1;
      return null;
    }
    state.lines += 1;
    const { suppressed } = state;
    state.suppressed = 0;
    return { suppressed };
  }
}
