import { BASE32 } from './base32.ts';
import type { Runtime } from './runtime.ts';

/** Where virtual time begins: any real-looking date will do, as long as it is always the same. */
export const VIRTUAL_EPOCH_MS = 1_700_000_000_000;
/** Timers run by one `advance`; more means that something schedules itself without letting time pass. */
const STEPS_MAX = 5_000_000;

/** A clock that only moves when told to, and chance that repeats: the same seed gives the same run. */
export interface VirtualRuntime extends Runtime {
  /**
   * Moves time on by `ms`, running every timer on the way at its own time, in order, ties by when they were set.
   * Between two timers all promises that can settle do.
   */
  advance(ms: number): Promise<void>;
  /** Timers waiting. */
  readonly pending: number;
}

interface Timer {
  at: number;
  order: number;
  /** Null once it ran or was cancelled. */
  fn: (() => void) | null;
}

export function createVirtualRuntime(seed: number): VirtualRuntime {
  let now = VIRTUAL_EPOCH_MS;
  let order = 0;
  let pending = 0;
  const random = seededRandom(seed);
  const timers: Timer[] = [];

  function after(ms: number, fn: () => void): () => void {
    const timer: Timer = { at: now + Math.max(0, ms), order: order++, fn };
    push(timers, timer);
    pending += 1;
    return () => void takeFn(timer);
  }

  function takeFn(timer: Timer): (() => void) | null {
    const { fn } = timer;
    if (fn) pending -= 1;
    timer.fn = null;
    return fn;
  }

  /** Runs the next timer due by `until`; false when there is none. */
  function step(until: number): boolean {
    while (timers.length > 0 && timers[0]!.at <= until) {
      const timer = pop(timers);
      const fn = takeFn(timer);
      if (!fn) continue;
      now = Math.max(now, timer.at);
      fn();
      return true;
    }
    return false;
  }

  return {
    now: () => now,
    random,
    id: (length) => {
      let id = '';
      for (let i = 0; i < length; i++) id += BASE32[Math.floor(random() * 32)];
      return id;
    },
    after,
    soon: (fn) => void after(0, fn),
    advance: async (ms) => {
      const until = now + ms;
      await settle();
      for (let steps = 0; step(until); steps++) {
        if (steps > STEPS_MAX) throw new Error(`more than ${STEPS_MAX} timers ran within ${ms} ms of virtual time`);
        await settle();
      }
      now = until;
    },
    get pending() {
      return pending;
    },
  };
}

/** Every microtask, however long the chain, runs before the next turn of the event loop. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** mulberry32 (public domain, T. Ettinger): 32 bits of state, enough to choose between the branches of a test. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function before(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function push(heap: Timer[], timer: Timer): void {
  let at = heap.push(timer) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!before(timer, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = timer;
}

function pop(heap: Timer[]): Timer {
  const first = heap[0]!;
  const last = heap.pop()!;
  if (heap.length === 0) return first;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
    if (!before(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return first;
}
