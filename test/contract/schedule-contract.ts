import { expect, it } from 'vitest';
import type { ScheduleWrite } from '../../src/store/store.ts';
import type { World } from './world.ts';

const KEY = '["default","nightly"]';

export function describeSchedules(here: () => World): void {
  const write = async (over: Partial<ScheduleWrite> = {}) => {
    const { store, shard } = here();
    return store.writeSchedule(shard, { key: KEY, expect: 0, text: '{"a b":1}', dueAt: null, ...over });
  };

  it('keeps a schedule under its key, in its shard only', async () => {
    const { store, shard, shards } = here();
    expect(await store.schedule(shard, KEY)).toBeNull();
    const { ok, now } = await write();
    expect(ok).toBe(true);
    expect(now).toBeGreaterThan(0);
    expect(await store.schedule(shard, KEY)).toEqual({ key: KEY, version: 1, text: '{"a b":1}' });
    expect(await store.schedules(shard)).toEqual([{ key: KEY, version: 1, text: '{"a b":1}' }]);
    if (shards > 1) expect(await store.schedules(0)).toEqual([]);
  });

  it('writes only over the version that must stand', async () => {
    const { store, shard } = here();
    await write();
    expect((await write({ text: 'other' })).ok).toBe(false);
    expect((await write({ expect: 1, text: 'second' })).ok).toBe(true);
    expect((await write({ expect: 1, text: 'third' })).ok).toBe(false);
    expect((await write({ expect: 3, text: 'third' })).ok).toBe(false);
    expect(await store.schedule(shard, KEY)).toMatchObject({ version: 2, text: 'second' });
  });

  it('takes a repeated write for done', async () => {
    const { store, shard } = here();
    await write();
    expect((await write()).ok).toBe(true);
    expect((await write({ expect: 1, text: null })).ok).toBe(true);
    expect((await write({ expect: 1, text: null })).ok).toBe(true);
    expect(await store.schedules(shard)).toEqual([]);
  });

  it('removes only the version that must stand, and takes the key anew from the first', async () => {
    await write();
    await write({ expect: 1, text: 'second' });
    expect((await write({ expect: 1, text: null })).ok).toBe(false);
    expect((await write({ expect: 2, text: null })).ok).toBe(true);
    expect((await write({ text: 'again' })).ok).toBe(true);
  });

  it('answers those that are due, the longest due first, and not those that never are', async () => {
    const { store, shard, advance } = here();
    const now = await store.now();
    await write({ key: 'later', dueAt: now + 60_000 });
    await write({ key: 'second', dueAt: now - 5 });
    await write({ key: 'first', dueAt: now - 10 });
    await write({ key: 'never', dueAt: null });
    await advance(1);
    const due = await store.dueSchedules(shard, 10);
    expect(due.schedules.map(({ key }) => key)).toEqual(['first', 'second']);
    expect(due.now).toBeGreaterThanOrEqual(now);
    expect((await store.dueSchedules(shard, 1)).schedules.map(({ key }) => key)).toEqual(['first']);
    await write({ key: 'first', expect: 1, text: 'x', dueAt: null });
    await write({ key: 'second', expect: 1, text: null });
    expect((await store.dueSchedules(shard, 10)).schedules).toEqual([]);
  });
}
