import { AgentSystemError } from '../errors.ts';

/** Different requirements that the tasks of one tenant may name within the window, at one coordinator. */
const DIFFERENT_MAX = 500;
const WINDOW_MS = 600_000;
const TENANTS_MAX = 10_000;

/**
 * Every different requirement makes a lane of its own, and one that no worker meets is looked at again and again: whoever
 * makes thousands of them has everyone wait. So their number is bounded per tenant. Labels of hundreds of zones and pins to
 * hundreds of workers fit; a requirement that is new with every task is a mistake, or worse.
 */
export class RequirementGuard {
  /** By tenant: the texts with the time at which they were last named. */
  readonly #named = new Map<string, Map<string, number>>();

  /** @throws TOO_MANY_REQUIREMENTS (retryable) */
  admit(tenant: string, text: string, now: number): void {
    const named = this.#of(tenant);
    if (!named.has(text) && named.size >= DIFFERENT_MAX) {
      for (const [other, at] of named) if (now - at > WINDOW_MS) named.delete(other);
      if (named.size >= DIFFERENT_MAX) throw tooMany(tenant);
    }
    named.set(text, now);
  }

  #of(tenant: string): Map<string, number> {
    const found = this.#named.get(tenant);
    if (found) return found;
    if (this.#named.size >= TENANTS_MAX) this.#named.delete(this.#named.keys().next().value!);
    const named = new Map<string, number>();
    this.#named.set(tenant, named);
    return named;
  }
}

function tooMany(tenant: string): AgentSystemError {
  const message =
    `the tasks of tenant ${JSON.stringify(tenant)} named ${DIFFERENT_MAX} different requirements within ` +
    `${WINDOW_MS / 60_000} minutes, no more are taken: what is new with every task belongs into its input`;
  return new AgentSystemError('TOO_MANY_REQUIREMENTS', message, { retryable: true, details: { max: DIFFERENT_MAX } });
}
