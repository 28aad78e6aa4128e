/*
 * How a limit that holds for all shards is shared among them. A shard keeps its share exactly; the shares of one cap never
 * sum to more than its limit, so the limit is never exceeded, though part of it may lie where nobody needs it just then.
 */

/** By cap: what each shard has. */
export type Shares = Record<string, readonly number[]>;

/** What a shard shows of a cap. */
export interface Need {
  used: number;
  /**
   * Lanes wait that need a place there, be it this cap that holds them up or another one: would only the cap that they
   * wait at be lent to them, two caps could change places between two shards for ever and never meet in one.
   */
  waits: boolean;
}

/**
 * The shares that the shards should have. Shards where lanes wait share evenly what the others do not use; what does not
 * divide goes to one after the other of them, by `turn`, so that a limit of one place still comes round to all; and all
 * caps turn to the same shard, so that tasks that need several of them get all at once. Where nobody waits everything stays, and what is left over is spread, so that the next task finds a place.
 *
 * @param lent what they have now, or may still be using
 */
export function planShares(limit: number, lent: readonly number[], needs: readonly Need[], turn: number): number[] {
  const waiting = needs.flatMap(({ waits }, shard) => (waits ? [shard] : []));
  const all = needs.map((_, shard) => shard);
  const kept = needs.map(({ used, waits }, shard) => (waits ? 0 : waiting.length > 0 ? used : (lent[shard] ?? 0)));
  const sum = kept.reduce((total, share) => total + share, 0);
  const shares = sum <= limit ? kept : needs.map(({ used, waits }) => (waits ? 0 : used));
  const used = shares.reduce((total, share) => total + share, 0);
  return spread(shares, Math.max(0, limit - used), waiting.length > 0 ? waiting : all, turn);
}

function spread(shares: readonly number[], left: number, among: readonly number[], turn: number): number[] {
  const spreadOut = [...shares];
  const each = Math.floor(left / among.length);
  const more = left % among.length;
  const behindTurn = (shard: number) => (shard + shares.length - (turn % shares.length)) % shares.length;
  const inTurn = [...among].sort((a, b) => behindTurn(a) - behindTurn(b));
  for (const [place, shard] of inTurn.entries()) {
    spreadOut[shard] = (shares[shard] ?? 0) + each + (place < more ? 1 : 0);
  }
  return spreadOut;
}

/**
 * What the shards may use at most once those that are to have less were lowered: a place that is still used counts until
 * it is free. Only what is then left of the limit goes to those that are to have more.
 *
 * @param lowered by shard: the tasks that it had when its share was lowered; undefined = it was not
 */
export function lend(
  limit: number,
  lent: readonly number[],
  targets: readonly number[],
  lowered: readonly (number | undefined)[],
): number[] {
  const held = targets.map((target, shard) => {
    const used = lowered[shard];
    return used === undefined ? (lent[shard] ?? 0) : Math.max(target, used);
  });
  let left = limit - held.reduce((total, share) => total + share, 0);
  return held.map((share, shard) => {
    const more = Math.max(0, Math.min(left, targets[shard]! - share));
    left -= more;
    return share + more;
  });
}
