import { randomBytes } from 'node:crypto';
import { BASE32 } from './base32.ts';
import type { Runtime } from './runtime.ts';

/** The real clock, timers and random numbers. */
export const systemRuntime: Runtime = {
  now: () => Date.now(),
  random: () => Math.random(),
  id: randomId,
  after,
  soon: (fn) => void setImmediate(fn),
};

/** Node fires a timer beyond 2^31 − 1 ms (24.8 days) at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

function after(ms: number, fn: () => void): () => void {
  let timer: NodeJS.Timeout;
  const sleep = (left: number) => {
    const nap = Math.min(left, TIMER_MS_MAX);
    timer = setTimeout(() => (left > nap ? sleep(left - nap) : fn()), nap);
  };
  sleep(ms);
  return () => clearTimeout(timer);
}

// Random bytes are drawn in one large piece: a draw per id costs more than the id.
let pool = randomBytes(4096);
let used = 0;

function randomId(length: number): string {
  if (used + length > pool.length) {
    pool = randomBytes(4096);
    used = 0;
  }
  let id = '';
  for (let i = 0; i < length; i++) id += BASE32[pool[used + i]! & 31];
  used += length;
  return id;
}
