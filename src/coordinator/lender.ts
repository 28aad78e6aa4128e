/*
 * Lends the limits of agents and tenants to the shards, once a second, where there is more than one. The ledger in shard 0
 * holds what each shard may be using at most; the shard itself holds its share. A limit is never exceeded, whatever is
 * lost, late or doubled, and whoever stops in the middle, because of the order of the steps:
 *
 * - To lower, the shard goes first: from then on it gives out nothing above its new share. Then the ledger falls, and only
 *   to what the shard still used at that moment, if that was more.
 * - To raise, the ledger goes first, within the limit, and the shard follows.
 * - The ledger is written under shard 0's epoch and the version that was read, so of two lenders only one goes on. Every
 *   write to a shard carries a version, and an older one is refused there: a raise that is late cannot undo a later
 *   lowering. A lowering can come too late or twice, which costs use, not the limit.
 *
 * Keys need no lending: all tasks of a concurrency key stand in one shard.
 */
import { lend, type Need, planShares, type Shares } from '../scheduling/shares.ts';
import type { CapsView } from '../store/store.ts';
import { type OwnerContext, OwnershipLost } from './owner-context.ts';

/** Waiting lanes of a shard whose caps are asked for. */
const LANES_MAX = 1_000;
/** What does not divide stays with one shard for so long. */
const TURN_MS = 5_000;

export class Lender {
  readonly #context: OwnerContext;

  /** @param context of shard 0's owner */
  constructor(context: OwnerContext) {
    this.#context = context;
  }

  /** @param limits of the whole system, by the names that `scheduling/caps.ts` tells of */
  async tick(limits: Readonly<Record<string, number>>): Promise<void> {
    const { store, policy, clock } = this.#context;
    const [ledger, views] = await Promise.all([
      store.ledger(),
      Promise.all(Array.from({ length: policy.shards }, (_, shard) => store.caps(shard, LANES_MAX))),
    ]);
    const lent = parseShares(ledger.text);
    const turn = Math.floor(clock.now() / TURN_MS);
    const plans = capsOf(limits, lent, views).map((cap) => planFor(cap, limits, lent[cap], views, turn));
    // Also where the ledger was lost, no shard may take this for an older version.
    const standing = Math.max(ledger.version, ...views.map(({ version }) => version));
    const lowered = await this.#lower(plans, views, standing + 1);
    if (!lowered) return;
    const next: Record<string, number[]> = {};
    for (const { cap, limit, lent: held, targets } of plans) {
      const shares = lend(limit, held, targets, lowered.get(cap) ?? []);
      if (cap.startsWith('a|') || shares.some((share) => share > 0)) next[cap] = shares;
    }
    const text = JSON.stringify(next);
    const writes = lowered.size > 0 || text !== ledger.text;
    if (writes && !(await this.#write(ledger.version, standing + 1, text))) return;
    await this.#raise(plans, next, { limits, views, version: standing + (writes ? 1 : 0) });
  }

  /** By cap and shard: what was used when the share was lowered. Null: a later lender has written to a shard. */
  async #lower(plans: readonly Plan[], views: readonly CapsView[], version: number) {
    const lowered = new Map<string, (number | undefined)[]>();
    for (const [shard, view] of views.entries()) {
      const falling = plans.filter(({ cap, targets, lent }) => {
        return (view.limits[cap] ?? unboundedBy(view, cap)) > targets[shard]! || (lent[shard] ?? 0) > targets[shard]!;
      });
      if (falling.length === 0) continue;
      const limits = Object.fromEntries(falling.map(({ cap, targets }) => [cap, targets[shard]!]));
      const reply = await this.#context.store.changeCaps(shard, { do: 'lower', limits, version });
      if (!reply.ok) return null;
      for (const { cap } of falling) {
        const used = lowered.get(cap) ?? views.map(() => undefined);
        used[shard] = reply.used[cap]!;
        lowered.set(cap, used);
      }
    }
    return lowered;
  }

  async #write(expect: number, version: number, text: string): Promise<boolean> {
    const { store, epoch, shard, onFenced } = this.#context;
    const reply = await store.writeLedger({ epoch, expect, version, text });
    if (reply !== 'fenced') return reply === 'written';
    onFenced();
    throw new OwnershipLost(shard);
  }

  /** Also what needs no lending: limits of keys, and those that are no more. */
  async #raise(
    plans: readonly Plan[],
    lent: Shares,
    {
      limits,
      views,
      version,
    }: { limits: Readonly<Record<string, number>>; views: readonly CapsView[]; version: number },
  ): Promise<void> {
    for (const [shard, view] of views.entries()) {
      const wanted: Record<string, number> = {};
      for (const [name, limit] of Object.entries(limits)) if (name.startsWith('k|')) wanted[name] = limit;
      // A tenant without a share has none; there is no share for everyone.
      if (limits.t !== undefined) wanted.t = 0;
      for (const { cap, targets } of plans) {
        const share = lent[cap]?.[shard];
        if (share !== undefined) wanted[cap] = Math.min(share, targets[shard]!);
      }
      const change: Record<string, number | null> = {};
      for (const [name, share] of Object.entries(wanted)) if (view.limits[name] !== share) change[name] = share;
      for (const name of Object.keys(view.limits)) if (!Object.hasOwn(wanted, name)) change[name] = null;
      if (Object.keys(change).length === 0) continue;
      await this.#context.store.changeCaps(shard, { do: 'set', limits: change, version });
    }
  }
}

interface Plan {
  cap: string;
  limit: number;
  lent: readonly number[];
  targets: number[];
}

/** Agents with a limit, and tenants that use or want something, or may still. */
function capsOf(limits: Readonly<Record<string, number>>, lent: Shares, views: readonly CapsView[]): string[] {
  const caps = new Set(Object.keys(limits).filter((name) => name.startsWith('a|')));
  if (limits.t === undefined) return [...caps];
  const tenants = views.flatMap(({ used }) => used.filter((use) => use.used > 0 || use.wantedBy > 0));
  for (const { cap } of tenants) if (cap.startsWith('t|')) caps.add(cap);
  for (const cap of Object.keys(lent)) if (cap.startsWith('t|')) caps.add(cap);
  return [...caps];
}

function planFor(
  cap: string,
  limits: Readonly<Record<string, number>>,
  held: readonly number[] | undefined,
  views: readonly CapsView[],
  turn: number,
): Plan {
  const limit = limits[cap] ?? limits.t ?? 0;
  const needs = views.map(({ used }): Need => {
    const use = used.find((one) => one.cap === cap);
    return { used: use?.used ?? 0, waits: (use?.wantedBy ?? 0) > 0 };
  });
  // Of a cap that the ledger does not know, a shard may be using what stands there.
  const lent = held ?? views.map((view) => view.limits[cap] ?? 0);
  // A tenant that does nothing keeps nothing: there may be many of them.
  const idle = cap.startsWith('t|') && needs.every(({ used, waits }) => used === 0 && !waits);
  return { cap, limit, lent, targets: idle ? views.map(() => 0) : planShares(limit, lent, needs, turn) };
}

function unboundedBy({ limits }: CapsView, cap: string): number {
  return cap.startsWith('t|') ? (limits.t ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY;
}

function parseShares(text: string): Shares {
  return text === '' ? {} : (JSON.parse(text) as Shares);
}
