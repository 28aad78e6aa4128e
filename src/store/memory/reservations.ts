import { RESERVATION_MS } from '../store.ts';

/** From where a task was taken, and where it goes back to. */
export interface Reserved {
  id: string;
  lane: string;
  score: number;
}

interface Reservation {
  expiresAt: number;
  /** In the order in which the tasks were taken. */
  tasks: Map<string, Reserved>;
}

/** Tasks that were taken and are not assigned yet. A task stands in one reservation at most. */
export class Reservations {
  /** All last equally long and the store's clock never falls, so the first token is always the first to expire. */
  readonly #byToken = new Map<string, Reservation>();
  readonly #tokenOf = new Map<string, string>();

  has(id: string): boolean {
    return this.#tokenOf.has(id);
  }

  holds(token: string, id: string): boolean {
    return this.#tokenOf.get(id) === token;
  }

  all(): Reserved[] {
    return [...this.#byToken.values()].flatMap(({ tasks }) => [...tasks.values()]);
  }

  tasksOf(token: string): Reserved[] {
    return [...(this.#byToken.get(token)?.tasks.values() ?? [])];
  }

  reserve(token: string, tasks: readonly Reserved[], now: number): void {
    if (tasks.length === 0) return;
    // First all leave where they stood: a task that was found in two lanes comes twice.
    for (const { id } of tasks) this.end(id);
    for (const { id } of tasks) this.#tokenOf.set(id, token);
    const known = this.#byToken.get(token)?.tasks ?? new Map<string, Reserved>();
    for (const task of tasks) known.set(task.id, task);
    this.#byToken.delete(token);
    this.#byToken.set(token, { expiresAt: now + RESERVATION_MS, tasks: known });
  }

  /** The task leaves its reservation, wherever it goes. */
  end(id: string): Reserved | undefined {
    const token = this.#tokenOf.get(id);
    if (token === undefined) return undefined;
    const reservation = this.#byToken.get(token)!;
    const task = reservation.tasks.get(id);
    this.#tokenOf.delete(id);
    reservation.tasks.delete(id);
    if (reservation.tasks.size === 0) this.#byToken.delete(token);
    return task;
  }

  expiredTokens(now: number): string[] {
    const tokens: string[] = [];
    for (const [token, { expiresAt }] of this.#byToken) {
      if (expiresAt > now) break;
      tokens.push(token);
    }
    return tokens;
  }
}
