import { describe, expect, it } from 'vitest';
import { ServiceWorld } from './world.ts';

const CARDS = [{ name: 'narrow', methods: { run: {} }, concurrency: 2, concurrencyPerKey: 3 }];

async function serving(policy = {}): Promise<ServiceWorld> {
  const world = new ServiceWorld({ policy });
  await world.announce();
  await world.store.announce(CARDS.map((card) => ({ name: card.name, card: JSON.stringify(card) })));
  return world;
}

describe('the limits of an agent', () => {
  it('stand before its first task does', async () => {
    const world = await serving({ tenantConcurrency: 4 });
    await world.post({ agent: 'narrow', input: {} });
    expect((await world.store.caps(0, 10)).limits).toEqual({ 'a|narrow': 2, 'k|narrow': 3, t: 4 });
  });

  it('are left as they stand, for they are kept by the owner', async () => {
    const world = await serving();
    await world.store.changeCaps(0, { do: 'introduce', limits: { 'a|narrow': 9 } });
    await world.post({ agent: 'narrow', input: {} });
    expect((await world.store.caps(0, 10)).limits).toMatchObject({ 'a|narrow': 9 });
  });

  it('let nothing through in one of several shards before a part is lent to it', async () => {
    const world = await serving({ shards: 2, tenantConcurrency: 4 });
    for (let n = 0; n < 2; n++) await world.post({ agent: 'narrow', input: {} });
    for (const shard of [0, 1]) {
      expect((await world.store.caps(shard, 10)).limits).toEqual({ 'a|narrow': 0, 'k|narrow': 3, t: 0 });
    }
  });
});

describe('a concurrency key', () => {
  it('is kept and shown, and its tasks stand in one lane', async () => {
    const world = await serving();
    const { task } = await world.call(
      world.tasks.submit({ agent: 'echo', input: { text: 'hi' }, concurrencyKey: 'doc 7' }),
    );
    expect(task.concurrencyKey).toBe('doc 7');
    expect(await world.lanes()).toEqual({ 'echo|default|k=doc 7': 1 });
  });

  it('brings all its tasks to one shard, so that its limit is exact', async () => {
    const world = await serving({ shards: 4 });
    const shardsOf = async (concurrencyKey: string) => {
      const ids = [];
      for (let n = 0; n < 8; n++) ids.push(await world.post({ concurrencyKey }));
      return new Set(ids.map((id) => world.shardOf(id))).size;
    };
    expect(await shardsOf('a')).toBe(1);
    expect(await shardsOf('b')).toBe(1);
  });

  it('is refused beside a key where there are several shards, and taken where there is one', async () => {
    const both = { key: 'k', concurrencyKey: 'c' };
    await expect((await serving({ shards: 2 })).post(both)).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      details: { fields: [{ field: 'concurrencyKey' }] },
    });
    await (await serving()).post(both);
  });

  it.each(['', 'x'.repeat(257)])('has 1 to 256 characters', async (concurrencyKey) => {
    await expect((await serving()).post({ concurrencyKey })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  });
});
