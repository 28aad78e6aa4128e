import { describe, expect, it } from 'vitest';
import { DEMANDS_MAX, FORGOTTEN_AFTER_MS, KnownDemands } from '../../src/distributor/known-demands.ts';

const pin = (worker: number) => `echo|r={"worker":"w${worker}"}`;

describe('what a distributor remembers of requirements', () => {
  it('is what they ask for, read once', () => {
    const known = new KnownDemands();
    const kind = known.meet(pin(1), 0);
    expect(kind).toMatchObject({ agent: 'echo', requires: { worker: 'w1' } });
    expect(known.meet(pin(1), 1)).toBe(kind);
    expect(known.entries(1)).toEqual([[pin(1), kind]]);
  });

  it('is bounded: those met longest ago go first', () => {
    const known = new KnownDemands();
    for (let n = 0; n < DEMANDS_MAX; n++) known.meet(pin(n), n);
    known.meet(pin(0), 2_000);
    known.meet(pin(-1), 2_000);
    const left = known.entries(2_000).map(([demand]) => demand);
    expect(left).toHaveLength(DEMANDS_MAX);
    expect(left).toContain(pin(0));
    expect(left).not.toContain(pin(1));
  });

  it('is forgotten when it was not met for minutes', () => {
    const known = new KnownDemands();
    known.meet(pin(1), 0);
    known.meet(pin(2), 1);
    expect(known.entries(FORGOTTEN_AFTER_MS)).toHaveLength(2);
    expect(known.entries(FORGOTTEN_AFTER_MS + 1).map(([demand]) => demand)).toEqual([pin(2)]);
  });
});
