import { afterEach, describe, expect, it } from 'vitest';
import { Elector } from '../../src/coordinator/elector.ts';
import { StoreUnavailableError } from '../../src/errors.ts';
import type { Observation } from '../../src/runtime/observer.ts';
import { createVirtualRuntime } from '../../src/runtime/virtual-runtime.ts';
import { createMemoryStore } from '../../src/store/memory/memory-store.ts';
import type { LockPort } from '../../src/store/store.ts';

const LEADER_TTL_MS = 5_000;

type Waiting = Extract<Observation, { type: 'leader.waiting' }>;

const started: Elector[] = [];
afterEach(() => {
  for (const one of started.splice(0)) void one.stop();
});

function electing() {
  const runtime = createVirtualRuntime(1);
  const store = createMemoryStore({ runtime, shards: 1 });
  const outage = { on: false };
  const lock = store.lock(0);
  const acquire = async (ttlMs: number) => {
    if (outage.on) throw new StoreUnavailableError('it is away');
    return lock.acquire(ttlMs);
  };
  const port: LockPort = {
    acquire,
    extend: (held, ttlMs) => lock.extend(held, ttlMs),
    release: (held) => lock.release(held),
  };
  const spoilt = new Proxy(store, {
    get: (target, name) => {
      const member = Reflect.get(target, name, target);
      if (name === 'lock') return () => port;
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  const start = (instance: string) => {
    const told: Observation[] = [];
    const elector = new Elector({
      store: spoilt,
      runtime,
      shard: 0,
      instance,
      leaderTtlMs: LEADER_TTL_MS,
      observe: (observation) => told.push(observation),
      own: (_, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve())),
    });
    started.push(elector);
    elector.start();
    return { elector, waits: () => told.filter((one): one is Waiting => one.type === 'leader.waiting') };
  };
  return { runtime, start, outage };
}

describe('an elector that does not get the lock', () => {
  it('tells of each try, and that another holds it once: when a whole lease has gone by', async () => {
    const { runtime, start } = electing();
    start('c1');
    await runtime.advance(1_000);
    const { waits } = start('c2');
    await runtime.advance(LEADER_TTL_MS * 10);
    expect(waits().length).toBeGreaterThan(100);
    expect(waits().map(({ tried }) => tried)).toEqual(waits().map((_, i) => i + 1));
    const due = waits().filter((one) => one.due);
    expect(due).toHaveLength(1);
    expect(due[0]!.waitedMs).toBeGreaterThanOrEqual(LEADER_TTL_MS);
    expect(due[0]!.reason).toBeUndefined();
  });

  it('tells at once, and once, that the store does not answer, and again after it did', async () => {
    const { runtime, start, outage } = electing();
    start('c1');
    await runtime.advance(1_000);
    const { waits } = start('c2');
    for (const outages of [1, 2]) {
      outage.on = true;
      await runtime.advance(2_000);
      const due = waits().filter((one) => one.due && one.reason === 'it is away');
      expect(due).toHaveLength(outages);
      expect(due.at(-1)).toMatchObject({ tried: 1, waitedMs: 0 });
      outage.on = false;
      await runtime.advance(2_000);
    }
  });
});
