/**
 * Measures how long attempts run and how long a freed slot waits for the next assignment, and from both how much work
 * should be on its way ahead of the slots. A worker may take what it lately said it would: what was sent on an older
 * word is not handed back.
 */
import type { Runtime } from '../runtime/runtime.ts';
import { extraCredit, QUICK_BELOW_MS } from '../scheduling/credit.ts';

/** Runs of an agent before its mean counts. */
const SAMPLES_MIN = 5;
/** Weight of the newest sample in the moving averages. */
const NEWEST = 0.1;
/** A slot that stays empty for longer had no work waiting for it: that is no turn-around. */
const TURN_AROUND_MS_MAX = 250;
/** What was announced holds for so long: about two heartbeats of the default length. */
const WORD_HOLDS_MS = 10_000;

export interface Credit {
  /** Attempts beyond the slots … */
  extra: number;
  /** … of these agents only. */
  quick: string[];
}

export interface CreditMeterOptions {
  runtime: Runtime;
  slots: number;
  max: number;
}

export class CreditMeter {
  readonly #options: CreditMeterOptions;
  readonly #runs = new Map<string, { mean: number; count: number }>();
  readonly #quick = new Set<string>();
  #quickMean: number | undefined;
  #turnAround: number | undefined;
  #freedAt: number | undefined;
  /** The largest extra announced lately. */
  #word = { extra: 0, until: 0 };
  readonly #quickUntil = new Map<string, number>();

  constructor(options: CreditMeterOptions) {
    this.#options = options;
  }

  /** An attempt of `agent` ended by itself after `ms`; its slot is free. */
  ran(agent: string, ms: number): void {
    this.#freedAt ??= this.#options.runtime.now();
    const run = this.#runs.get(agent) ?? { mean: ms, count: 0 };
    this.#runs.set(agent, run);
    run.count += 1;
    run.mean += (ms - run.mean) * Math.max(NEWEST, 1 / run.count);
    if (run.count < SAMPLES_MIN || run.mean >= QUICK_BELOW_MS) {
      this.#quick.delete(agent);
      return;
    }
    this.#quick.add(agent);
    this.#quickMean = averaged(this.#quickMean, ms);
  }

  /** Assignments came in. */
  arrived(): void {
    if (this.#freedAt === undefined) return;
    const ms = this.#options.runtime.now() - this.#freedAt;
    this.#freedAt = undefined;
    if (ms <= TURN_AROUND_MS_MAX) this.#turnAround = averaged(this.#turnAround, ms);
  }

  /** What to tell the distributor now. */
  announce(): Credit {
    const { runtime, slots, max } = this.#options;
    const meanRunMs = this.#quick.size > 0 ? this.#quickMean : undefined;
    const extra = extraCredit({ slots, turnAroundMs: this.#turnAround ?? 0, meanRunMs, max });
    const now = runtime.now();
    if (extra >= this.#word.extra || now > this.#word.until) this.#word = { extra, until: now + WORD_HOLDS_MS };
    for (const agent of this.#quick) this.#quickUntil.set(agent, now + WORD_HOLDS_MS);
    return { extra, quick: [...this.#quick] };
  }

  /** Whether one more attempt of `agent` is within the word given, when `occupied` are held already. */
  admits(agent: string, occupied: number): boolean {
    const { runtime, slots } = this.#options;
    if (occupied < slots) return true;
    const now = runtime.now();
    if ((this.#quickUntil.get(agent) ?? 0) < now || this.#word.until < now) return false;
    return occupied < slots + this.#word.extra;
  }
}

function averaged(mean: number | undefined, sample: number): number {
  return mean === undefined ? sample : mean + (sample - mean) * NEWEST;
}
