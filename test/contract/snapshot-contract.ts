import { expect, it } from 'vitest';
import { CUT_ENTRIES_MAX, type UniqueKey } from '../../src/store/store.ts';
import { anId, inLane } from '../support/builders.ts';
import { ALREADY, CONFLICT, WON, type World } from './world.ts';

/** What snapshots ask of a store. */
export function describeSnapshots(here: () => World): void {
  it('creates a record at the version it is given, and goes on from there', async () => {
    const world = here();
    const id = anId(world.shard);
    const unit = world.unit({ id, version: 7, state: 'completed', result: '"r"', indexes: [] });
    const create = { op: 'restore', units: [unit, world.unit()] };
    expect((await world.commit(create)).units).toEqual([WON, WON]);
    expect((await world.commit(create)).units).toEqual([ALREADY, ALREADY]);
    expect(await world.record(id)).toMatchObject({ version: 7, state: 'completed', result: '"r"', op: 'restore' });
    expect((await world.commit({ units: [world.unit({ id, version: 9 })] })).units).toEqual([CONFLICT]);
    expect((await world.commit({ units: [world.unit({ id, expect: 7, state: 'queued' })] })).units).toEqual([WON]);
    const told = (await world.fields('events')).map(({ e }) => e);
    expect(told[0]).toContain(`${id} 7 completed`);
    expect(told.at(-1)).toBe(`${id} 8 queued`);
  });

  it('cuts: what is named, what changed behind a place of the event stream, and where that ends', async () => {
    const world = here();
    expect(await world.store.cut(world.shard, { after: '0-0', ids: [] })).toEqual({ lastEvent: '0-0', tasks: [] });
    const [a, b] = await world.create({}, { indexes: [inLane('other|default')] });
    const after = await world.last('events');
    const none = anId(world.shard);
    const first = (await world.store.cut(world.shard, { after, ids: [b!, none, b!] }))!;
    expect(first.lastEvent).toBe(after);
    expect(first.tasks.map(([id, task]) => [id, task?.version ?? null])).toEqual([
      [b, 1],
      [none, null],
    ]);
    const stored = first.tasks[0]![1]!;
    expect(stored).toMatchObject({ state: 'queued', spec: 'seal {"a":[]}', trail: '{"n":1}' });
    expect(stored.input).toBeUndefined();
    await world.commit({ units: [world.unit({ id: a!, expect: 1, state: 'completed', result: '1' })] });
    const later = (await world.store.cut(world.shard, { after, ids: [b!] }))!;
    expect(later.lastEvent).toBe(await world.last('events'));
    expect(later.tasks.map(([id, task]) => [id, task?.version])).toEqual([
      [b, 1],
      [a, 2],
    ]);
  });

  it('cuts nothing when that would be too much for one call', async () => {
    const world = here();
    await world.create(...Array.from({ length: 400 }, () => ({ indexes: [] })));
    await world.create(...Array.from({ length: 101 }, () => ({ indexes: [] })));
    expect(await world.store.cut(world.shard, { after: '0-0', ids: [] })).toBeNull();
    const after = await world.last('events');
    expect(await world.store.cut(world.shard, { after, ids: [] })).toEqual({ lastEvent: after, tasks: [] });
    const id = await world.createOne();
    for (let version = 1; version <= CUT_ENTRIES_MAX; version++) {
      await world.commit({ units: [world.unit({ id, expect: version })] });
    }
    expect(await world.store.cut(world.shard, { after, ids: [] })).toBeNull();
  });

  it('walks all unique keys that stand', async () => {
    const world = here();
    const ids = Array.from({ length: 700 }, () => anId(world.shard));
    const units = ids.map((id, at) =>
      world.unit({ id, unique: { key: `key-${at}`, digest: `d${at}`, ttlMs: 60_000 } }),
    );
    for (let from = 0; from < units.length; from += 350) await world.commit({ units: units.slice(from, from + 350) });
    await world.create({ unique: { key: 'short', digest: 'd', ttlMs: 20 } });
    await world.advance(30);
    const keys = await walked(world);
    expect([...keys.keys()].sort()).toEqual(ids.map((_, at) => `key-${at}`).sort());
    expect(keys.get('key-5')).toMatchObject({ id: ids[5], digest: 'd5' });
    expect(keys.get('key-5')!.ttlMs).toBeGreaterThan(30_000);
    expect(keys.get('key-5')!.ttlMs).toBeLessThanOrEqual(60_000);
  });

  it('puts unique keys back, and leaves alone those that stand', async () => {
    const world = here();
    const standing = await world.createOne({ unique: { key: 'stands', digest: 'old', ttlMs: 60_000 } });
    const [put, id] = [anId(world.shard), anId(world.shard)];
    await world.store.putUnique(world.shard, []);
    await world.store.putUnique(world.shard, [
      { key: 'stands', id: put, digest: 'new', ttlMs: 60_000 },
      { key: 'put', id: put, digest: 'new', ttlMs: 60_000 },
    ]);
    const create = (key: string) => world.unit({ id, unique: { key, digest: 'x', ttlMs: 1_000 } });
    const exists = async (key: string) => (await world.commit({ units: [create(key)] })).units;
    expect(await exists('stands')).toEqual([{ ok: false, reason: 'exists', id: standing, digest: 'old' }]);
    expect(await exists('put')).toEqual([{ ok: false, reason: 'exists', id: put, digest: 'new' }]);
  });
}

async function walked(world: World): Promise<Map<string, UniqueKey>> {
  const found = new Map<string, UniqueKey>();
  let cursor: string | null = null;
  for (let step = 0; step < 1_000; step++) {
    const { next, keys }: { next: string | null; keys: UniqueKey[] } = await world.store.scanUnique(
      world.shard,
      cursor,
    );
    for (const key of keys) found.set(key.key, key);
    if (next === null) return found;
    cursor = next;
  }
  throw new Error('the walk over the keys did not end within 1000 steps');
}
