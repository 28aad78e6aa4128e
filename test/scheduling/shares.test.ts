import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lend, planShares } from '../../src/scheduling/shares.ts';

const waits = { used: 0, waits: true };
const idle = { used: 0, waits: false };

describe('shares of a limit', () => {
  it('are spread over all shards while nobody waits', () => {
    expect(planShares(5, [0, 0], [idle, idle], 0)).toEqual([3, 2]);
  });

  it('stay where they are while nobody waits', () => {
    expect(planShares(4, [4, 0], [idle, { used: 0, waits: false }], 1)).toEqual([4, 0]);
  });

  it('follow the demand: what others do not use goes to the shards where lanes wait', () => {
    expect(planShares(10, [5, 5, 0], [{ used: 2, waits: false }, idle, waits], 0)).toEqual([2, 0, 8]);
    expect(planShares(10, [], [waits, { used: 9, waits: true }, idle], 0)).toEqual([5, 5, 0]);
  });

  it('of one place come round to every shard that waits, and of all caps to the same one', () => {
    const turns = [0, 1, 2].map((turn) => planShares(1, [], [waits, waits, waits], turn).indexOf(1));
    expect(turns.sort()).toEqual([0, 1, 2]);
    for (const turn of [0, 1, 2, 3]) {
      const one = planShares(1, [], [waits, waits, idle], turn).indexOf(1);
      const other = planShares(1, [], [idle, waits, waits], turn).indexOf(1);
      if (turn % 3 === 1) expect([one, other]).toEqual([1, 1]);
    }
  });

  const aNeed = fc.record({ used: fc.nat(6), waits: fc.boolean() });
  const aCap = fc.record({
    limit: fc.integer({ min: 1, max: 12 }),
    shards: fc.array(fc.record({ need: aNeed, lent: fc.nat(6), lowered: fc.boolean() }), {
      minLength: 1,
      maxLength: 5,
    }),
    turn: fc.nat(20),
  });

  it('never sum to more than the limit, and leave nothing of it when lanes wait', () => {
    fc.assert(
      fc.property(aCap, ({ limit, shards, turn }) => {
        const needs = shards.map(({ need }) => need);
        const lent = shards.map((shard) => shard.lent);
        const targets = planShares(limit, lent, needs, turn);
        const idleUse = needs.reduce((sum, { used, waits: want }) => sum + (want ? 0 : used), 0);
        expect(targets.every((share) => share >= 0)).toBe(true);
        expect(total(targets)).toBeLessThanOrEqual(Math.max(limit, idleUse));
        if (needs.some(({ waits: want }) => want)) expect(total(targets)).toBe(Math.max(limit, idleUse));
      }),
    );
  });

  it('are lent only from what no shard may still be using', () => {
    fc.assert(
      fc.property(aCap, ({ limit, shards, turn }) => {
        const lent = shards.map((shard) => shard.lent);
        const needs = shards.map(({ need }) => need);
        const targets = planShares(limit, lent, needs, turn);
        const lowered = needs.map(({ used }, at) => (lent[at]! > targets[at]! ? Math.min(used, lent[at]!) : undefined));
        const next = lend(limit, lent, targets, lowered);
        expect(total(next)).toBeLessThanOrEqual(Math.max(limit, total(lent)));
        for (const [at, share] of next.entries()) expect(share).toBeGreaterThanOrEqual(lowered[at] ?? lent[at]!);
      }),
    );
  });
});

function total(shares: readonly number[]): number {
  return shares.reduce((sum, share) => sum + share, 0);
}
