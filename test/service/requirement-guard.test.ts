import { describe, expect, it } from 'vitest';
import { RequirementGuard } from '../../src/service/requirement-guard.ts';
import { ServiceWorld } from './world.ts';

const MINUTES_10 = 600_000;

describe('different requirements', () => {
  it('are bounded per tenant, while those that were named go on', () => {
    const guard = new RequirementGuard();
    for (let n = 0; n < 500; n++) guard.admit('a', `r${n}`, 0);
    expect(() => guard.admit('a', 'one more', 1)).toThrow('named 500 different requirements within 10 minutes');
    expect(() => guard.admit('a', 'r7', 1)).not.toThrow();
    expect(() => guard.admit('b', 'one more', 1)).not.toThrow();
  });

  it('are forgotten when nobody has named them for long', () => {
    const guard = new RequirementGuard();
    for (let n = 0; n < 500; n++) guard.admit('a', `r${n}`, 0);
    guard.admit('a', 'r0', MINUTES_10);
    expect(() => guard.admit('a', 'new', MINUTES_10 + 1)).not.toThrow();
    for (let n = 0; n < 498; n++) guard.admit('a', `s${n}`, MINUTES_10 + 1);
    expect(() => guard.admit('a', 'one more', MINUTES_10 + 1)).toThrow('no more are taken');
  });

  it('beyond the bound are refused before anything is stored', async () => {
    const world = await new ServiceWorld().announce();
    const post = (n: number) => world.post({ require: { labels: { x: `v${n}` } } });
    for (let n = 0; n < 500; n++) await post(n);
    await expect(post(500)).rejects.toMatchObject({ code: 'TOO_MANY_REQUIREMENTS', retryable: true });
    expect(Object.keys(await world.lanes())).toHaveLength(500);
    expect(await post(3)).toBeTruthy();
  });
});
