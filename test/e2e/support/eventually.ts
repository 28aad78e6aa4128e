/** Waits for what processes do in their own time. */
const LOOK_EVERY_MS = 25;

/** Thrown by what is looked at when it can never become true. */
export class Hopeless extends Error {}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Looks until `look` answers something true, and answers that. Errors on the way but Hopeless count as "not yet".
 * @throws after `ms`, naming what was waited for and the last error
 */
export async function within<T>(
  ms: number,
  what: string,
  look: () => Promise<T> | T,
  everyMs = LOOK_EVERY_MS,
): Promise<T> {
  const until = Date.now() + ms;
  let last: unknown;
  for (;;) {
    try {
      const found = await look();
      if (found) return found;
      last = undefined;
    } catch (error) {
      if (error instanceof Hopeless) throw error;
      last = error;
    }
    if (Date.now() >= until) {
      throw new Error(`not within ${ms} ms: ${what}${last ? ` (last: ${String(last)})` : ''}`, { cause: last });
    }
    await pause(everyMs);
  }
}
