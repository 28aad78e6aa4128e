import { describe, expect, it } from 'vitest';
import type { Runtime } from '../../src/runtime/runtime.ts';
import { createVirtualRuntime } from '../../src/runtime/virtual-runtime.ts';
import { StoreClock } from '../../src/store/store-clock.ts';

const TRUE_TIME = 1_000_000;

/** A local clock set by hand over a true one that only moves forward. */
function world(offset: number) {
  const state = { now: TRUE_TIME, offset };
  const runtime: Runtime = { ...createVirtualRuntime(1), now: () => state.now + state.offset };
  const clock = new StoreClock(runtime);
  /** One call: the store reads its clock after `there` ms, the answer needs `back` ms. */
  const call = (there: number, back: number) =>
    clock.learn(async () => {
      state.now += there;
      const { now } = state;
      state.now += back;
      return { now };
    });
  const error = () => clock.now() - state.now;
  return { state, clock, call, error };
}

describe('the store’s clock', () => {
  it('is the local one until the first answer', () => expect(world(5).error()).toBe(5));

  it.each([6_000, -6_000, 86_400_000])('is right although the local clock is %i ms off', async (offset) => {
    const { call, error } = world(offset);
    await call(4, 4);
    expect(error()).toBe(0);
  });

  it('keeps the reading of the quickest call', async () => {
    const { call, error } = world(6_000);
    await call(1, 1);
    await call(200, 0);
    expect(error()).toBe(0);
    await call(10, 0);
    expect(error()).toBe(0);
  });

  it('takes a slow reading when the quick one is a minute old', async () => {
    const { call, error, state } = world(0);
    await call(0, 0);
    state.now += 59_000;
    // It drifts by 20 ms, which a call of 50 ms cannot show.
    state.offset += 20;
    await call(25, 25);
    expect(error()).toBe(20);
    state.now += 2_000;
    await call(25, 25);
    expect(error()).toBe(0);
  });

  it.each([6_000, -6_000, 3_600_000, -3_600_000])(
    'follows a local clock that is set by %i ms at the next answer',
    async (step) => {
      const { call, error, state } = world(0);
      await call(0, 0);
      state.offset += step;
      await call(20, 20);
      expect(error()).toBe(0);
      state.now += 30_000;
      await call(20, 20);
      expect(error()).toBe(0);
    },
  );

  it('learns nothing from a call during which the local clock was set back', async () => {
    const { clock, state, error } = world(0);
    await clock.learn(async () => {
      state.now += 10;
      state.offset -= 1_000;
      return { now: state.now };
    });
    expect(error()).toBe(-1_000);
  });

  it('answers whole milliseconds', async () => {
    const { clock, call } = world(0.4);
    await call(1, 2);
    expect(Number.isInteger(clock.now())).toBe(true);
  });
});
