import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StoreUnavailableError } from '../../src/errors.ts';
import { createMemoryStore } from '../../src/store/memory/memory-store.ts';
import { type Store, UNITS_MAX } from '../../src/store/store.ts';
import { type VirtualRuntime, virtualRuntime } from '../contract/virtual-runtime.ts';
import { World } from '../contract/world.ts';
import { T0 } from '../support/builders.ts';

describe('memory store', () => {
  let runtime: VirtualRuntime;
  let world: World;
  let store: Store;

  beforeEach(() => {
    runtime = virtualRuntime();
    store = createMemoryStore({ runtime, shards: 1, maxEventBytes: 1_000 });
    world = new World(1, { store, advance: runtime.advance, close: () => store.close() });
  });
  afterEach(() => store.close());

  it('is always connected and says that it keeps nothing', async () => {
    expect(store).toMatchObject({ kind: 'memory', connected: true });
    expect(await store.check()).toEqual({
      problems: [],
      warnings: [],
      durability: 'memory',
      description: 'embedded store',
    });
  });

  it('can begin with an identity', async () => {
    const identity = { uuid: 'u1', schema: 1, shards: 1 };
    const opened = createMemoryStore({ runtime, shards: 1, identity });
    expect(await opened.claimIdentity({ ...identity, uuid: 'u2' })).toEqual(identity);
  });

  it('has a clock and stream ids that do not fall when the local clock is set back', async () => {
    const first = await world.reported();
    runtime.setClock(T0 - 5_000);
    expect(await store.now()).toBe(T0);
    const second = await world.reported();
    expect([first, second]).toEqual([`${T0}-0`, `${T0}-1`]);
  });

  it('renews a reservation when its token is repeated, as the answer says', async () => {
    await world.create({});
    await world.take();
    await runtime.advance(1_500);
    await world.take();
    await runtime.advance(1_500);
    expect(await store.expireReservations(0)).toBe(0);
    await runtime.advance(500);
    expect(await store.expireReservations(0)).toBe(1);
  });

  it('leaves no timer behind when a waiting reader was answered or aborted', async () => {
    const stop = new AbortController();
    const request = { from: [{ stream: 'reports' as const, after: '$' }], count: 1, waitMs: 5_000 };
    const answered = store.readStreams(0, request);
    const aborted = store.readStreams(0, { ...request, signal: stop.signal });
    await runtime.advance(1);
    expect(runtime.pending).toBe(2);
    stop.abort();
    await world.reported();
    await Promise.all([answered, aborted]);
    expect(runtime.pending).toBe(0);
  });

  it('answers an aborted wait with nothing, even when an entry came in the same turn', async () => {
    const stop = new AbortController();
    const from = [{ stream: 'reports' as const, after: '$' }];
    const reading = store.readStreams(0, { from, count: 1, waitMs: 5_000, signal: stop.signal });
    await runtime.advance(1);
    stop.abort();
    void world.reported();
    expect(await reading).toEqual([]);
  });

  it('resolves without any timer, so that a simulation stays in step', async () => {
    let done = false;
    void world.create({}).then(() => {
      done = true;
    });
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    expect(done).toBe(true);
    expect(runtime.pending).toBe(0);
  });

  it('keeps the events of the newest commits when they outgrow their bound', async () => {
    const ids: string[] = [];
    for (let n = 0; n < 100; n++) ids.push(await world.createOne());
    const events = await world.fields('events');
    expect(events.at(-1)?.e).toContain(ids[99]);
    const size = events.reduce((sum, { e }) => sum + e!.length + 1, 0);
    expect(size).toBeLessThanOrEqual(1_000);
    expect(events.length).toBeGreaterThan(20);
  });

  it('hands out stream entries and registrations that are not its own', async () => {
    await world.reported('a');
    const read = () => store.readStreams(0, { from: [{ stream: 'reports', after: '0' }], count: 1, waitMs: 0 });
    (await read())[0]!.entries[0]!.fields.e = 'changed';
    expect((await read())[0]?.entries[0]?.fields.e).toBe('a');
    const facts = { list: [1] };
    const registered = {
      id: 'i',
      role: 'worker',
      host: 'h',
      pid: 1,
      version: '1',
      url: null,
      agents: [],
      metadata: {},
    };
    await store.register({ instance: { ...registered, facts }, nonce: 'n', ttlMs: 1_000 });
    facts.list.push(2);
    expect((await store.instances()).instances[0]?.facts).toEqual({ list: [1] });
  });

  it('refuses a commit of more units than it writes at once', async () => {
    const units = Array.from({ length: UNITS_MAX + 1 }, () => world.unit());
    await expect(world.commit({ units })).rejects.toThrow('has 501 units, at most 500');
    expect(await world.lanes()).toEqual({});
  });

  it('names the shards it has when another one is asked for', async () => {
    await expect(store.reportCursor(1)).rejects.toThrow('the store has no shard 1: wanted 0 to 0');
  });

  it('names what was wanted when a stream id is malformed', async () => {
    await expect(store.trim(0, 'reports', 'x')).rejects.toThrow('"x" is not the id of a stream entry');
  });

  it('ends every wait and refuses every call once it is closed', async () => {
    const reading = store.readStreams(0, { from: [{ stream: 'wake', after: '$' }], count: 1, waitMs: 5_000 });
    await runtime.advance(1);
    await store.close();
    expect(await reading).toEqual([]);
    expect(runtime.pending).toBe(0);
    await expect(world.commit({})).rejects.toThrow(StoreUnavailableError);
    await expect(store.instances()).rejects.toThrow('the embedded store is closed');
  });
});
