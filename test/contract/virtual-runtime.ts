import { BASE32 } from '../../src/runtime/base32.ts';
import type { Runtime } from '../../src/runtime/runtime.ts';
import { T0 } from '../support/builders.ts';

/** A runtime whose time stands still until `advance`, and whose chance is the same in every run. */
export interface VirtualRuntime extends Runtime {
  advance(ms: number): Promise<void>;
  /** Sets the clock, forwards or back, without running what is due. */
  setClock(now: number): void;
  /** Timers that have neither run nor been cancelled. */
  readonly pending: number;
}

export function virtualRuntime(): VirtualRuntime {
  let now = T0;
  let seed = 1;
  const timers = new Set<{ at: number; fn: () => void }>();
  const random = () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 2 ** 32;
  };
  const runNext = (until: number): boolean => {
    const [next] = [...timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
    if (!next) return false;
    timers.delete(next);
    now = Math.max(now, next.at);
    next.fn();
    return true;
  };
  return {
    now: () => now,
    random,
    id: (length) => Array.from({ length }, () => BASE32[Math.floor(random() * 32)]).join(''),
    after: (ms, fn) => {
      const timer = { at: now + ms, fn };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    soon: (fn) => queueMicrotask(fn),
    advance: async (ms) => {
      const until = now + ms;
      await settle();
      while (runNext(until)) await settle();
      now = until;
    },
    setClock: (at) => {
      now = at;
    },
    get pending() {
      return timers.size;
    },
  };
}

/** Lets everything run that waits for nothing but its turn. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}
