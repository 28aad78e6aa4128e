import { describe, expect, it } from 'vitest';
import { RecentMap } from '../../src/runtime/recent-map.ts';

describe('what is remembered for a while', () => {
  it('is there for that long, and gone when twice that is over', () => {
    const map = new RecentMap<number>({ keepMs: 100 });
    map.set('a', 1, 1_000);
    map.set('b', 2, 1_099);
    map.set('c', 3, 1_100);
    expect(['a', 'b', 'c'].map((key) => map.get(key))).toEqual([1, 2, 3]);
    map.set('d', 4, 1_199);
    expect(map.get('b')).toBe(2);
    map.set('e', 5, 1_200);
    expect(['a', 'b', 'c', 'd', 'e'].map((key) => map.get(key))).toEqual([undefined, undefined, 3, 4, 5]);
  });

  it('is bounded, and the oldest go first', () => {
    const map = new RecentMap<number>({ keepMs: 1_000_000, sizeMax: 10 });
    for (let n = 0; n < 1_000; n++) map.set(String(n), n, n);
    expect(map.size).toBeLessThanOrEqual(10);
    expect([995, 996, 997, 998, 999].map((n) => map.get(String(n)))).toEqual([995, 996, 997, 998, 999]);
  });

  it('does not stay for good when the clock is set back', () => {
    const map = new RecentMap<number>({ keepMs: 100 });
    map.set('a', 1, 1_000_000);
    for (let now = 0; now <= 200; now += 50) map.set(`b${now}`, now, now);
    expect(map.get('a')).toBeUndefined();
  });

  it('costs no more where much is remembered', () => {
    const map = new RecentMap<number>({ keepMs: 60_000, sizeMax: 250_000 });
    for (let n = 0; n < 1_000_000; n++) map.set(`attempt-${n}`, n, n);
    expect(map.size).toBeLessThanOrEqual(250_000);
    expect(map.get('attempt-999999')).toBe(999_999);
  });
});
