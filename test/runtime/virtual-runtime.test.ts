import { expect, it } from 'vitest';
import { pause } from '../../src/runtime/runtime.ts';
import { createVirtualRuntime, VIRTUAL_EPOCH_MS } from '../../src/runtime/virtual-runtime.ts';

it('runs timers at their time and in order, those set on the way as well, and promises in between', async () => {
  const runtime = createVirtualRuntime(1);
  const seen: [string, number][] = [];
  const note = (name: string) => seen.push([name, runtime.now() - VIRTUAL_EPOCH_MS]);
  runtime.after(20, () => note('c'));
  runtime.after(10, () => {
    note('a');
    runtime.after(5, () => note('b'));
    void Promise.resolve().then(() => note('promise'));
    runtime.soon(() => note('soon'));
  });
  runtime.after(15, () => note('not run'))();
  await runtime.advance(9);
  expect(seen).toEqual([]);
  await runtime.advance(100);
  expect(seen).toEqual([
    ['a', 10],
    ['promise', 10],
    ['soon', 10],
    ['b', 15],
    ['c', 20],
  ]);
  expect([runtime.now() - VIRTUAL_EPOCH_MS, runtime.pending]).toEqual([109, 0]);
});

it('keeps a thousand timers in order', async () => {
  const runtime = createVirtualRuntime(7);
  const ran: number[] = [];
  const delays = Array.from({ length: 1_000 }, () => Math.floor(runtime.random() * 500));
  for (const delay of delays) runtime.after(delay, () => ran.push(delay));
  await runtime.advance(500);
  expect(ran).toEqual([...delays].sort((a, b) => a - b));
});

it('repeats itself for the same seed, and not for another', () => {
  const draw = (seed: number) => {
    const runtime = createVirtualRuntime(seed);
    return [runtime.random(), runtime.id(12), runtime.random()];
  };
  expect(draw(5)).toEqual(draw(5));
  expect(draw(5)).not.toEqual(draw(6));
});

it('lets a pause end at its time', async () => {
  const runtime = createVirtualRuntime(1);
  let over = false;
  void pause(runtime, 50).then(() => {
    over = true;
  });
  await runtime.advance(49);
  expect(over).toBe(false);
  await runtime.advance(1);
  expect(over).toBe(true);
});
