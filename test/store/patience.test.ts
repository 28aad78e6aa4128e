import { describe, expect, it } from 'vitest';
import { StoreUnavailableError } from '../../src/errors.ts';
import { createVirtualRuntime } from '../../src/runtime/virtual-runtime.ts';
import { backoffMs, patiently } from '../../src/store/patience.ts';

function failing(times: number, error: () => Error = () => new StoreUnavailableError('away')) {
  const runtime = createVirtualRuntime(1);
  const calls: number[] = [];
  const call = async () => {
    calls.push(runtime.now());
    if (calls.length <= times) throw error();
    return 'done';
  };
  return { runtime, calls, call };
}

describe('patience with a store that is away', () => {
  it('repeats the call with growing pauses until it answers, and tells of each repetition', async () => {
    const { runtime, calls, call } = failing(8);
    let told = 0;
    const answer = patiently(call, { runtime, tries: 20, onAway: () => (told += 1) });
    await runtime.advance(10_000);
    expect(await answer).toBe('done');
    expect(told).toBe(8);
    const pauses = calls.slice(1).map((at, i) => at - calls[i]!);
    for (const [i, ms] of pauses.entries()) {
      const full = Math.min(1_000, 50 * 2 ** i);
      expect(ms).toBeGreaterThanOrEqual(full / 2);
      expect(ms).toBeLessThanOrEqual(full);
    }
  });

  it('gives up after the tries it has, with the last failure', async () => {
    const { runtime, calls, call } = failing(9);
    const answer = expect(patiently(call, { runtime, tries: 3 })).rejects.toThrow('away');
    await runtime.advance(10_000);
    await answer;
    expect(calls).toHaveLength(3);
  });

  it('does not repeat what failed for another reason', async () => {
    const { runtime, calls, call } = failing(1, () => new Error('too large'));
    await expect(patiently(call, { runtime, tries: 3 })).rejects.toThrow('too large');
    expect(calls).toHaveLength(1);
  });

  it('ends with its signal, also in the middle of a pause', async () => {
    const { runtime, calls, call } = failing(1_000);
    const stop = new AbortController();
    const answer = patiently(call, { runtime, tries: Number.POSITIVE_INFINITY, signal: stop.signal });
    const ended = expect(answer).rejects.toThrow('away');
    await runtime.advance(2_000);
    stop.abort();
    await ended;
    const count = calls.length;
    await runtime.advance(10_000);
    expect(calls).toHaveLength(count);
  });

  it('waits a second at most, however often it has tried', () => {
    expect([1, 2, 3].map((tried) => backoffMs(tried, 0))).toEqual([25, 50, 100]);
    expect(backoffMs(1_000_000, 0.999_999)).toBeLessThanOrEqual(1_000);
    expect(backoffMs(1_000_000, 0)).toBe(500);
  });
});
