import type { HeardEvent } from '../client/client.ts';
import { isTerminal, type TaskState } from '../task/task.ts';
import type { Io } from './io.ts';
import { progressMeter } from './progress.ts';
import { cutTo, printable } from './text-width.ts';

const CLEAR_LINE = '\r\u001b[K';

/** How far one task is, on a line of stderr that draws itself anew; nothing where there is no terminal. */
export class TaskProgress {
  readonly #io: Io;
  #state: TaskState | null = null;
  #worker: string | undefined;
  #fraction: number | null = null;
  #note = '';
  #drawn = false;

  constructor(io: Io) {
    this.#io = io;
  }

  heard(event: HeardEvent): void {
    if (!('state' in event) || !event.type.startsWith('task.')) return;
    const { state, worker, progress, progressNote } = event as Partial<HeardEvent> & TaskFacts;
    this.#state = state ?? this.#state;
    this.#worker = worker;
    // Another attempt begins anew.
    this.#fraction = progress ?? (state === 'running' ? this.#fraction : null);
    this.#note = progressNote ?? '';
    this.#draw();
  }

  /** Takes the line away, so that what is said next stands on a line of its own. */
  clear(): void {
    if (this.#drawn) this.#io.err(CLEAR_LINE);
    this.#drawn = false;
  }

  #draw(): void {
    const columns = this.#io.errColumns;
    if (columns === null || this.#state === null || isTerminal(this.#state)) return;
    const meter =
      this.#fraction === null ? '' : `${progressMeter(this.#fraction)} ${Math.floor(this.#fraction * 100)} % `;
    const where = this.#worker === undefined ? this.#state : `${this.#state} on ${this.#worker}`;
    const note = this.#note === '' ? '' : ` · ${this.#note}`;
    this.#drawn = true;
    this.#io.err(CLEAR_LINE + cutTo(printable(meter + where + note), columns - 1));
  }
}

interface TaskFacts {
  state?: TaskState;
  worker?: string;
  progress?: number;
  progressNote?: string;
}
