import { describe, expect, it } from 'vitest';
import { RecentCache } from '../../src/message/recent-cache.ts';

describe('a cache of what was used recently', () => {
  it('stays within twice its size', () => {
    const cache = new RecentCache<number, number>(10);
    for (let i = 0; i < 1000; i++) {
      cache.set(i, i);
      expect(cache.size).toBeLessThanOrEqual(20);
    }
    expect(cache.get(999)).toBe(999);
    expect(cache.get(0)).toBeUndefined();
  });

  it('keeps what is asked for while other entries come and go', () => {
    const cache = new RecentCache<string, string>(10);
    cache.set('kept', 'value');
    for (let i = 0; i < 1000; i++) {
      cache.set(`other ${i}`, '');
      expect(cache.get('kept')).toBe('value');
    }
  });

  it('holds the last entries up to its size', () => {
    const cache = new RecentCache<number, number>(10);
    for (let i = 0; i < 95; i++) cache.set(i, i);
    for (let i = 85; i < 95; i++) expect(cache.get(i)).toBe(i);
  });
});
