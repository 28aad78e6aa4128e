import type { Runtime } from '../runtime/runtime.ts';
import { shortDuration } from './human.ts';
import type { Io } from './io.ts';
import { cutTo } from './text-width.ts';

const DRAW_EVERY_MS = 80;
/** Without a terminal a line now and then says that it goes on. */
const SAY_EVERY_MS = 5_000;
const BAR_WIDTH = 24;
const CLEAR_LINE = '\r\u001b[K';

export interface ProgressState {
  done: number;
  /** Null = not known; then `fraction` says how far it is. */
  total: number | null;
  /** Null = not known either: it is only counted. */
  fraction: number | null;
  /** Such as `2 failed`. */
  note?: string | undefined;
}

/** A bar on stderr that redraws itself, or a line every few seconds where there is no terminal. */
export class Progress {
  readonly #io: Io;
  readonly #runtime: Runtime;
  readonly #noun: string;
  readonly #startedAt: number;
  #shownAt: number;
  #drawn = false;

  constructor(o: { io: Io; runtime: Runtime; noun: string }) {
    this.#io = o.io;
    this.#runtime = o.runtime;
    this.#noun = o.noun;
    this.#startedAt = o.runtime.now();
    // The bar appears at once, the first line only when it takes long enough to wonder.
    this.#shownAt = o.io.errColumns === null ? this.#startedAt : Number.NEGATIVE_INFINITY;
  }

  update(state: ProgressState): void {
    const columns = this.#io.errColumns;
    const now = this.#runtime.now();
    if (now - this.#shownAt < (columns === null ? SAY_EVERY_MS : DRAW_EVERY_MS)) return;
    this.#shownAt = now;
    const elapsedMs = now - this.#startedAt;
    if (columns === null) return this.#io.err(`${progressText(state, this.#noun, elapsedMs)}\n`);
    this.#drawn = true;
    this.#io.err(CLEAR_LINE + cutTo(progressBar(state, this.#noun, elapsedMs), columns - 1));
  }

  /** Takes the bar away, so that what is said next stands on a line of its own. */
  clear(): void {
    if (this.#drawn) this.#io.err(CLEAR_LINE);
    this.#drawn = false;
    this.#shownAt = this.#io.errColumns === null ? this.#shownAt : Number.NEGATIVE_INFINITY;
  }
}

export function progressBar(state: ProgressState, noun: string, elapsedMs: number): string {
  const text = progressText(state, noun, elapsedMs);
  return state.fraction === null ? text : `${progressMeter(state.fraction)} ${text}`;
}

export function progressMeter(fraction: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, fraction)) * BAR_WIDTH);
  return `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)}`;
}

export function progressText({ done, total, fraction, note }: ProgressState, noun: string, elapsedMs: number): string {
  const of = total === null ? '' : ` of ${total.toLocaleString('en')}`;
  const parts = [`${done.toLocaleString('en')}${of} ${noun}`];
  if (fraction !== null) parts.push(`${Math.floor(fraction * 100)} %`);
  if (elapsedMs >= 1_000 && done > 0) parts.push(`${Math.round((done * 1_000) / elapsedMs).toLocaleString('en')}/s`);
  if (elapsedMs >= 2_000 && fraction !== null && fraction > 0.05 && fraction < 1) {
    parts.push(`${shortDuration((elapsedMs * (1 - fraction)) / fraction)} left`);
  }
  if (note) parts.push(note);
  return parts.join(' · ');
}
