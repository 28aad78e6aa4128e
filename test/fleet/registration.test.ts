import { describe, expect, it } from 'vitest';
import { ConfigurationError, StoreUnavailableError } from '../../src/errors.ts';
import { RegistrationKeeper, type RegistrationKeeperOptions } from '../../src/fleet/registration.ts';
import { createVirtualRuntime } from '../../src/runtime/virtual-runtime.ts';
import { createMemoryStore } from '../../src/store/memory/memory-store.ts';
import type { RegisteredInstance, Store } from '../../src/store/store.ts';

const TTL = 15_000;

function registry() {
  const runtime = createVirtualRuntime(1);
  const store = createMemoryStore({ runtime, shards: 1 });
  const alive = new Set([1, 2, 3]);
  const keeper = (pid: number, over: Partial<RegistrationKeeperOptions> = {}, host = 'h1') => {
    const waited: RegisteredInstance[] = [];
    const replaced: number[] = [];
    const made = new RegistrationKeeper({
      ...{ store, runtime, heartbeatIntervalMs: 5_000, instanceTtlMs: TTL },
      instance: {
        ...{ id: 'w1', role: 'worker', host, pid, version: '1' },
        ...{ url: null, agents: [], metadata: {}, facts: {} },
      },
      isAlive: (asked) => alive.has(asked),
      onWaiting: (holder) => waited.push(holder),
      onReplaced: () => replaced.push(pid),
      facts: () => ({ slots: pid }),
      ...over,
    });
    return { keeper: made, waited, replaced, register: () => made.register(new AbortController().signal) };
  };
  const stop = async (keeper: RegistrationKeeper) => {
    const stopped = keeper.stop();
    await runtime.advance(0);
    await stopped;
  };
  const instances = async () => (await store.instances()).instances;
  return { runtime, store, alive, keeper, stop, instances };
}

describe('registration', () => {
  it('takes a free id at once, keeps it, renews what changes, and leaves on stop', async () => {
    const { runtime, keeper, stop, instances } = registry();
    const one = keeper(1);
    const { incarnation } = await one.register();
    one.keeper.keep();
    await runtime.advance(60_000);
    expect(await instances()).toMatchObject([{ id: 'w1', incarnation, facts: { slots: 1 }, seenAt: runtime.now() }]);
    await stop(one.keeper);
    expect(await instances()).toEqual([]);
  });

  it('waits while a living process holds the id, says so once, and takes it when that one stops', async () => {
    const { runtime, keeper, stop } = registry();
    const [one, two] = [keeper(1), keeper(2)];
    const first = await one.register();
    one.keeper.keep();
    const second = two.register();
    await runtime.advance(10_000);
    expect(two.waited).toMatchObject([{ pid: 1, host: 'h1' }]);
    await stop(one.keeper);
    await runtime.advance(1_000);
    const later = await second;
    expect(later.pid).toBe(2);
    expect(Number.parseInt(later.incarnation, 10)).toBeGreaterThan(Number.parseInt(first.incarnation, 10));
  });

  it.each([
    ['is gone', 9, 2],
    ['is our own, given out again', 2, 2],
  ])('takes over at once when the holder’s pid on this host %s', async (_, dead, own) => {
    const { keeper } = registry();
    await keeper(dead).register();
    const next = keeper(own);
    expect(await next.register()).toMatchObject({ pid: own });
    expect(next.waited).toEqual([]);
  });

  it('does not judge pids of another host: it waits until that entry ends', async () => {
    const { runtime, keeper } = registry();
    await keeper(9, {}, 'h2').register();
    const next = keeper(2);
    const taken = next.register();
    await runtime.advance(TTL - 1_000);
    expect(next.waited).toMatchObject([{ host: 'h2' }]);
    await runtime.advance(2_000);
    expect(await taken).toMatchObject({ pid: 2 });
  });

  it('gives up after two INSTANCE_TTL with what is wrong and what to do', async () => {
    const { runtime, keeper, stop } = registry();
    const [one, two] = [keeper(1), keeper(2)];
    await one.register();
    one.keeper.keep();
    const refused = two.register().catch((error: unknown) => error);
    await runtime.advance(2 * TTL - 1_000);
    expect(two.waited).toHaveLength(1);
    await runtime.advance(3_000);
    const error = await refused;
    expect(error).toBeInstanceOf(ConfigurationError);
    expect((error as Error).message).toContain('pid 1 on h1');
    await stop(one.keeper);
  });

  it('ends its wait when it is stopped', async () => {
    const { runtime, keeper } = registry();
    await keeper(1).register();
    const abort = new AbortController();
    const ended = expect(keeper(2).keeper.register(abort.signal)).rejects.toBeInstanceOf(StoreUnavailableError);
    await runtime.advance(1_500);
    abort.abort();
    await runtime.advance(0);
    await ended;
  });

  it('comes back after an outage that outlasted its entry', async () => {
    const { runtime, store, keeper, stop, instances } = registry();
    let away = false;
    const flaky: Store = new Proxy(store, {
      get(target, name) {
        const value = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) =>
          away ? Promise.reject(new StoreUnavailableError('away')) : Reflect.apply(value, target, args);
      },
    });
    const one = keeper(1, { store: flaky });
    const { incarnation } = await one.register();
    one.keeper.keep();
    away = true;
    await runtime.advance(30_000);
    await store.deregister('w1', incarnation);
    away = false;
    await runtime.advance(5_000);
    expect(await instances()).toMatchObject([{ id: 'w1', pid: 1 }]);
    expect(one.replaced).toEqual([]);
    await stop(one.keeper);
  });

  it('says so when someone else was quicker', async () => {
    const { runtime, store, keeper, stop } = registry();
    const [one, two] = [keeper(1), keeper(2)];
    const { incarnation } = await one.register();
    one.keeper.keep();
    await store.deregister('w1', incarnation);
    await two.register();
    await runtime.advance(5_000);
    expect(one.replaced).toEqual([1]);
    await stop(one.keeper);
    expect((await store.instances()).instances).toMatchObject([{ pid: 2 }]);
  });
});
