/** Waits for what processes do in their own time. */
const LOOK_EVERY_MS = 25;

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Looks until `look` answers something true, and answers that. Errors on the way count as "not yet".
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
      last = error;
    }
    if (Date.now() >= until) {
      throw new Error(`not within ${ms} ms: ${what}${last ? ` (last: ${String(last)})` : ''}`, { cause: last });
    }
    await pause(everyMs);
  }
}
