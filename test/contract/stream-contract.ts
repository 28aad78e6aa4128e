import { expect, it } from 'vitest';
import type { ReadStreams } from '../../src/store/store.ts';
import type { World } from './world.ts';

/** Long enough that a test which waits it out has failed. */
const LONG_MS = 20_000;

export function describeStreams(here: () => World): void {
  it('reads entries behind a place, in order, as many as asked for', async () => {
    const world = here();
    const ids = [await world.reported('a'), await world.reported('b'), await world.reported('c')];
    const [batch] = await read(world, { count: 2 });
    expect(batch).toEqual({
      stream: 'reports',
      entries: [
        { id: ids[0], fields: expect.objectContaining({ e: 'a' }) },
        { id: ids[1], fields: expect.objectContaining({ e: 'b' }) },
      ],
    });
    const [rest] = await read(world, { from: [{ stream: 'reports', after: ids[1]! }] });
    expect(rest?.entries.map(({ id }) => id)).toEqual([ids[2]]);
    expect(await read(world, { from: [{ stream: 'reports', after: ids[2]! }] })).toEqual([]);
  });

  it('reads several streams at once and leaves out those without entries', async () => {
    const world = here();
    await world.create({});
    await world.reported();
    const from = (['events', 'mail:w9@1-a', 'reports'] as const).map((stream) => ({ stream, after: '0' }));
    const batches = await read(world, { from });
    expect(batches.map(({ stream }) => stream).sort()).toEqual(['events', 'reports']);
  });

  it('gives ids that carry the time of the store and always rise', async () => {
    const world = here();
    const before = await world.store.now();
    const ids: string[] = [];
    for (let n = 0; n < 20; n++) ids.push(await world.reported());
    const after = await world.store.now();
    const places = ids.map((id) => id.split('-').map(Number) as [number, number]);
    for (const [ms] of places) {
      expect(ms).toBeGreaterThanOrEqual(before);
      expect(ms).toBeLessThanOrEqual(after);
    }
    const sorted = [...places].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    expect(places).toEqual(sorted);
    expect(new Set(ids).size).toBe(20);
  });

  it('names the last entry, 0-0 where there is none', async () => {
    const world = here();
    expect(await world.last('reports')).toBe('0-0');
    await world.reported();
    const id = await world.reported();
    expect(await world.last('reports')).toBe(id);
  });

  it('trims up to and with an entry, and goes on with greater ids', async () => {
    const world = here();
    const ids = [await world.reported('a'), await world.reported('b'), await world.reported('c')];
    await world.store.trim(world.shard, 'reports', ids[1]!);
    expect((await read(world))[0]?.entries.map(({ id }) => id)).toEqual([ids[2]]);
    await world.store.trim(world.shard, 'reports', ids[2]!);
    expect(await read(world)).toEqual([]);
    const next = await world.reported('d');
    const [batch] = await read(world, { from: [{ stream: 'reports', after: ids[2]! }] });
    expect(batch?.entries.map(({ id }) => id)).toEqual([next]);
    await world.store.trim(world.shard, 'mail:w9@1-a', '5-5');
  });

  it('does not wait when it may not', async () => {
    expect(await read(here(), { waitMs: 0 })).toEqual([]);
  });

  it('ends an idle wait with an empty answer', async () => {
    const world = here();
    const reading = read(world, { waitMs: 50 });
    await world.advance(80);
    expect(await reading).toEqual([]);
  });

  it('does not wait when there is something already', async () => {
    const world = here();
    const id = await world.reported();
    expect((await read(world, { waitMs: LONG_MS }))[0]?.entries[0]?.id).toBe(id);
  });

  it('answers a waiting reader as soon as something comes, on any of its streams', async () => {
    const world = here();
    const from = (['wake', 'reports'] as const).map((stream) => ({ stream, after: '$' }));
    const reading = read(world, { from, waitMs: LONG_MS });
    await world.advance(30);
    const id = await world.reported('late');
    const batches = await reading;
    expect(batches).toMatchObject([{ stream: 'reports', entries: [{ id, fields: { e: 'late' } }] }]);
  });

  it('wakes every reader that waits', async () => {
    const world = here();
    const readings = [1, 2, 3].map(() => read(world, { waitMs: LONG_MS }));
    await world.advance(30);
    const id = await world.reported();
    for (const batches of await Promise.all(readings)) expect(batches[0]?.entries[0]?.id).toBe(id);
  });

  it('shows from $ on only what comes later', async () => {
    const world = here();
    await world.reported('before');
    const reading = read(world, { from: [{ stream: 'reports', after: '$' }], waitMs: LONG_MS });
    await world.advance(30);
    await world.reported('behind');
    expect((await reading)[0]?.entries.map(({ fields }) => fields.e)).toEqual(['behind']);
  });

  it('brings a commit to the readers of its mailbox', async () => {
    const world = here();
    const from = [{ stream: 'mail:w1@100-aa' as const, after: '0' }];
    const reading = read(world, { from, waitMs: LONG_MS });
    await world.advance(30);
    const unit = world.unit();
    await world.commit({ units: [unit], post: [{ holder: 'w1@100-aa', envelope: 'assign', units: [0] }] });
    expect((await reading)[0]?.entries[0]?.fields).toEqual({ e: 'assign', w: unit.id });
  });

  it('ends a wait early when its signal aborts', async () => {
    const world = here();
    const stop = new AbortController();
    const reading = read(world, { waitMs: LONG_MS, signal: stop.signal });
    await world.advance(30);
    stop.abort();
    expect(await reading).toEqual([]);
    expect(await read(world, { waitMs: LONG_MS, signal: AbortSignal.abort() })).toEqual([]);
  });

  it('serves a new reader after an aborted one', async () => {
    const world = here();
    const stop = new AbortController();
    const first = read(world, { waitMs: LONG_MS, signal: stop.signal });
    await world.advance(30);
    stop.abort();
    await first;
    const second = read(world, { waitMs: LONG_MS });
    await world.advance(30);
    const id = await world.reported();
    expect((await second)[0]?.entries[0]?.id).toBe(id);
  });

  it('keeps the newest wake-ups when there are too many', async () => {
    const world = here();
    for (let n = 0; n < 1_300; n++) {
      await world.store.report(world.shard, { worker: 'w1', incarnation: '1-a', envelope: 'e', hint: `h${n}` });
    }
    const hints = await wakes(world);
    expect(hints.at(-1)).toBe('h1299');
    // Redis trims by whole nodes of a stream and so keeps a few more.
    expect(hints.length).toBeLessThan(1_250);
    expect(hints.length).toBeGreaterThanOrEqual(1_000);
  });
}

function read(world: World, over: Partial<ReadStreams> = {}) {
  const from = [{ stream: 'reports' as const, after: '0' }];
  return world.store.readStreams(world.shard, { from, count: 100, waitMs: 0, ...over });
}

async function wakes(world: World): Promise<string[]> {
  const [batch] = await read(world, { from: [{ stream: 'wake', after: '0' }], count: 2_000 });
  return (batch?.entries ?? []).map(({ fields }) => fields.h ?? '');
}
