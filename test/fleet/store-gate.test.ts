import { describe, expect, it } from 'vitest';
import { StoreUnavailableError } from '../../src/errors.ts';
import { type GateState, StoreGate } from '../../src/fleet/store-gate.ts';
import { createVirtualRuntime } from '../../src/runtime/virtual-runtime.ts';
import { createMemoryStore } from '../../src/store/memory/memory-store.ts';
import type { Store, StoreIdentity } from '../../src/store/store.ts';

const IDENTITY: StoreIdentity = { uuid: 'u1', schema: 1, shards: 1 };

async function gated() {
  const runtime = createVirtualRuntime(1);
  const real = createMemoryStore({ runtime, shards: 1 });
  const found: { identity: StoreIdentity | null | Error } = { identity: IDENTITY };
  const store: Store = new Proxy(real, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (name !== 'identity') return typeof value === 'function' ? value.bind(target) : value;
      return async () => {
        if (found.identity instanceof Error) throw found.identity;
        return found.identity;
      };
    },
  });
  const changes: GateState[] = [];
  const gate = new StoreGate(store, runtime, (state) => changes.push(state));
  const isOpen = async () =>
    gate.store.now().then(
      () => true,
      (error: unknown) => {
        expect(error).toBeInstanceOf(StoreUnavailableError);
        return false;
      },
    );
  return { gate, runtime, found, changes, isOpen };
}

async function watched() {
  const set = await gated();
  set.gate.open(IDENTITY);
  set.gate.watch();
  return set;
}

describe('the gate before the store', () => {
  it('lets nothing through until the store is known', async () => {
    const { gate, isOpen } = await gated();
    expect(await isOpen()).toBe(false);
    gate.open(IDENTITY);
    expect(await isOpen()).toBe(true);
    expect(gate.state).toEqual({ open: true, identity: IDENTITY });
  });

  it('closes loudly when the identity is gone, and opens when a coordinator was started anew', async () => {
    const { runtime, found, changes, isOpen } = await watched();
    await runtime.advance(3_000);
    expect(changes).toEqual([]);
    found.identity = null;
    await runtime.advance(1_000);
    expect(await isOpen()).toBe(false);
    expect(changes).toMatchObject([{ open: false, reason: expect.stringContaining('lost its identity (was u1)') }]);
    await runtime.advance(5_000);
    expect(changes).toHaveLength(1);
    found.identity = { ...IDENTITY, uuid: 'u2' };
    await runtime.advance(1_000);
    expect(await isOpen()).toBe(true);
    expect(changes[1]).toMatchObject({ open: true, identity: { uuid: 'u2' } });
  });

  it('tells of another identity that came between two looks', async () => {
    const { runtime, found, changes } = await watched();
    found.identity = { ...IDENTITY, uuid: 'u2' };
    await runtime.advance(1_000);
    expect(changes).toMatchObject([{ open: true, identity: { uuid: 'u2' } }]);
  });

  it.each([
    ['another number of shards', { shards: 4 }],
    ['another schema', { schema: 2 }],
  ])('closes before a store with %s, until the right one is back', async (_, over) => {
    const { runtime, found, changes, isOpen } = await watched();
    found.identity = { ...IDENTITY, uuid: 'u2', ...over };
    await runtime.advance(2_000);
    expect(await isOpen()).toBe(false);
    expect(changes).toMatchObject([{ open: false, reason: expect.stringContaining('another one now (u2') }]);
    found.identity = IDENTITY;
    await runtime.advance(1_000);
    expect(await isOpen()).toBe(true);
  });

  it('stays as it is while the store is away: away is not another store', async () => {
    const { runtime, found, changes, isOpen } = await watched();
    found.identity = new StoreUnavailableError('away');
    await runtime.advance(5_000);
    expect(changes).toEqual([]);
    expect(await isOpen()).toBe(true);
  });

  it('always lets locks and the end through, and stops its look', async () => {
    const { gate, runtime, found, changes } = await watched();
    found.identity = null;
    await runtime.advance(1_000);
    expect(await gate.store.lock(0).acquire(1_000)).not.toBeNull();
    const stopped = gate.stop();
    await runtime.advance(0);
    await stopped;
    found.identity = IDENTITY;
    await runtime.advance(5_000);
    expect(changes).toHaveLength(1);
    await gate.store.close();
  });
});
