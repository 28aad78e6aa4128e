import { afterEach, describe, expect, it, vi } from 'vitest';
import { pause } from '../../src/runtime/runtime.ts';
import { systemRuntime } from '../../src/runtime/system-runtime.ts';
import { createVirtualRuntime } from '../../src/runtime/virtual-runtime.ts';

describe('the real runtime', () => {
  afterEach(() => void vi.useRealTimers());

  it('makes ids of the alphabet that sorts, of any length, and no two alike', () => {
    const ids = Array.from({ length: 2_000 }, (_, i) => systemRuntime.id(8 + (i % 20)));
    expect(new Set(ids).size).toBe(2_000);
    for (const [i, id] of ids.entries()) expect(id).toMatch(new RegExp(`^[0-9a-hjkmnp-tv-z]{${8 + (i % 20)}}$`));
  });

  it('waits longer than one timer of Node can', () => {
    vi.useFakeTimers();
    const month = 31 * 86_400_000;
    let ran = 0;
    systemRuntime.after(3 * month, () => (ran += 1));
    const cancel = systemRuntime.after(3 * month, () => (ran += 100));
    vi.advanceTimersByTime(3 * month - 1);
    expect(ran).toBe(0);
    cancel();
    vi.advanceTimersByTime(1);
    expect(ran).toBe(1);
  });

  it('runs what is to be done soon after what came in with it', async () => {
    const order: string[] = [];
    systemRuntime.soon(() => order.push('soon'));
    await Promise.resolve().then(() => order.push('microtask'));
    await new Promise<void>((resolve) => systemRuntime.soon(resolve));
    expect(order).toEqual(['microtask', 'soon']);
  });
});

describe('a pause', () => {
  it('ends after its time, or at once with its signal, and leaves no timer behind', async () => {
    const runtime = createVirtualRuntime(1);
    const stop = new AbortController();
    const ended: string[] = [];
    void pause(runtime, 100).then(() => ended.push('by time'));
    void pause(runtime, 10_000, stop.signal).then(() => ended.push('by signal'));
    await runtime.advance(100);
    expect(ended).toEqual(['by time']);
    stop.abort();
    await runtime.advance(0);
    expect(ended).toEqual(['by time', 'by signal']);
    expect(runtime.pending).toBe(0);
    await pause(runtime, 10_000, stop.signal);
  });
});
