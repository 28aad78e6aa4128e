import type { ServerResponse } from 'node:http';
import { AgentSystemError } from '../errors.ts';

/** Requests that wait for a task at once. */
const WAITS_MAX = 10_000;

/** The requests that wait for something to happen: each ends with its client, all of them with the server. */
export class Waits {
  readonly #open = new Set<AbortController>();
  #ended = false;

  /** Runs `wait` with a signal that aborts when the client is gone or the server closes. */
  async during<T>(response: ServerResponse, wait: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#open.size >= WAITS_MAX) {
      throw new AgentSystemError(
        'TOO_MANY_WAITS',
        `${WAITS_MAX} requests are waiting here already, ask again without waitMs`,
      );
    }
    const controller = new AbortController();
    if (this.#ended) controller.abort();
    const abort = () => controller.abort();
    this.#open.add(controller);
    response.once('close', abort);
    try {
      return await wait(controller.signal);
    } finally {
      this.#open.delete(controller);
      response.removeListener('close', abort);
    }
  }

  /** Ends those that wait now, and those to come as soon as they begin. */
  end(): void {
    this.#ended = true;
    for (const controller of this.#open) controller.abort();
  }
}
