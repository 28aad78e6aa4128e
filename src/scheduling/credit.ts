/** An agent is quick when its attempts last less than this on average; only quick agents are sent ahead of free slots. */
export const QUICK_BELOW_MS = 100;

/**
 * How many attempts of quick agents a worker may hold beyond its slots, so that its slots stay busy for the time a
 * released slot takes to be refilled. Slow agents get none: work sent ahead would wait behind a long attempt, and urgent
 * work behind it.
 *
 * @param o.slots of the worker
 * @param o.turnAroundMs from the release of a slot to the arrival of the next assignment
 * @param o.meanRunMs mean run time of the worker's quick attempts; undefined while nothing is known
 * @param o.max bound, `CREDIT_MAX`
 * @returns slots × turn-around ÷ mean run time (Little's law: what the slots finish in one turn-around), rounded up
 */
export function extraCredit(o: {
  slots: number;
  turnAroundMs: number;
  meanRunMs: number | undefined;
  max: number;
}): number {
  if (o.meanRunMs === undefined || !(o.meanRunMs < QUICK_BELOW_MS)) return 0;
  const finished = o.slots * Math.max(0, o.turnAroundMs);
  if (!(finished > 0)) return 0;
  // A mean of 0 ms is a clock too coarse to see the run; the bound then decides.
  return Math.min(Math.max(0, Math.floor(o.max)), Math.ceil(finished / Math.max(0, o.meanRunMs)));
}
