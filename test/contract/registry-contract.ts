import { expect, it } from 'vitest';
import { type InstanceRecord, type Registration, STORE_SCHEMA } from '../../src/store/store.ts';
import type { World } from './world.ts';

export function describeRegistry(here: () => World): void {
  it('has no identity until one is claimed, and keeps the first', async () => {
    const { store, shards } = here();
    expect(await store.identity()).toBeNull();
    const proposal = { uuid: 'u1', schema: STORE_SCHEMA, shards };
    expect(await store.claimIdentity(proposal)).toEqual(proposal);
    expect(await store.claimIdentity({ ...proposal, uuid: 'u2' })).toEqual(proposal);
    expect(await store.identity()).toEqual(proposal);
  });

  it('says how it can be used', async () => {
    const { store } = here();
    const check = await store.check();
    expect(check.problems).toEqual([]);
    expect(check.description.length).toBeGreaterThan(0);
    expect(['memory', 'local', 'replicated']).toContain(check.durability);
    expect(store.connected).toBe(true);
  });

  it('registers an instance with an incarnation of its own', async () => {
    const world = here();
    const before = await world.store.now();
    const record = await registered(world);
    expect(record).toMatchObject({ ...INSTANCE, incarnation: expect.stringMatching(/^[0-9a-z]+-n1$/) });
    expect(record.startedAt).toBeGreaterThanOrEqual(before);
    const { instances, now } = await world.store.instances();
    expect(instances).toEqual([{ ...record, seenAt: expect.any(Number) }]);
    expect(instances[0]!.seenAt).toBeGreaterThanOrEqual(before);
    expect(instances[0]!.seenAt).toBeLessThanOrEqual(now);
  });

  it('makes incarnations without the sign that separates them from the worker', async () => {
    expect((await registered(here())).incarnation).not.toContain('@');
  });

  it('refuses an id that is alive under another incarnation, and says who holds it', async () => {
    const world = here();
    const record = await registered(world);
    const second = { ...INSTANCE, host: 'other' };
    const reply = await register(world, { instance: second, nonce: 'n2' });
    expect(reply).toMatchObject({ ok: false, holder: record });
    expect((await world.store.instances()).instances).toMatchObject([record]);
  });

  it('accepts a repeated registration as the same incarnation', async () => {
    const world = here();
    const record = await registered(world);
    expect(await register(world)).toMatchObject({ ok: true, instance: record });
    expect((await world.store.instances()).instances).toHaveLength(1);
  });

  it('takes over an entry that was not renewed for long', async () => {
    const world = here();
    const first = await registered(world);
    await world.advance(60);
    const second = await registered(world, { nonce: 'n2', ttlMs: 30 });
    expect(second.incarnation).not.toBe(first.incarnation);
    expect(await world.store.touch('i1', first.incarnation, {})).toMatchObject({ ok: false });
  });

  it('takes over from an incarnation that is known to be dead, and from no other', async () => {
    const world = here();
    const first = await registered(world);
    expect(await register(world, { nonce: 'n2', takeOver: '1-x' })).toMatchObject({ ok: false });
    const second = await registered(world, { nonce: 'm', takeOver: first.incarnation });
    expect(await world.store.enlist(world.shard, 'i1', first.incarnation)).toBe(true);
    expect(await world.store.enlist(world.shard, 'i1', second.incarnation)).toBe(true);
    expect(await world.store.enlist(world.shard, 'i1', first.incarnation)).toBe(false);
  });

  it('renews an entry and replaces its facts', async () => {
    const world = here();
    const { incarnation } = await registered(world);
    const { seenAt } = (await world.store.instances()).instances[0]!;
    await world.advance(30);
    expect(await world.store.touch('i1', incarnation, { slots: 8 })).toMatchObject({ ok: true });
    const [shown] = (await world.store.instances()).instances;
    expect(shown).toMatchObject({ id: 'i1', incarnation, facts: { slots: 8 } });
    expect(shown!.seenAt).toBeGreaterThan(seenAt);
  });

  it('does not renew what is gone or never was', async () => {
    const world = here();
    const { incarnation } = await registered(world);
    await world.store.deregister('i1', incarnation);
    expect(await world.store.touch('i1', incarnation, {})).toMatchObject({ ok: false });
    expect(await world.store.touch('i2', incarnation, {})).toMatchObject({ ok: false });
    expect((await world.store.instances()).instances).toEqual([]);
  });

  it('lets only its own incarnation leave, and the id be used again', async () => {
    const world = here();
    const { incarnation } = await registered(world);
    await world.store.deregister('i1', '1-x');
    expect((await world.store.instances()).instances).toHaveLength(1);
    await world.store.deregister('i1', incarnation);
    await world.store.deregister('i1', incarnation);
    await registered(world, { nonce: 'n2' });
  });

  it('lists all instances', async () => {
    const world = here();
    const ids = ['i1', 'i2', 'i3'];
    for (const id of ids) await registered(world, { instance: { ...INSTANCE, id } });
    const { instances } = await world.store.instances();
    expect(instances.map(({ id }) => id).sort()).toEqual(ids);
  });

  it('remembers agents, the newest card of each', async () => {
    const { store } = here();
    expect(await store.catalog()).toEqual([]);
    await store.announce([
      { name: 'echo', card: '{"v":1}' },
      { name: 'other', card: '{"list":[]}' },
    ]);
    await store.announce([{ name: 'echo', card: '{"v":2}' }]);
    await store.announce([]);
    const cards = await store.catalog();
    expect(cards.sort((a, b) => (a.name < b.name ? -1 : 1))).toEqual([
      { name: 'echo', card: '{"v":2}' },
      { name: 'other', card: '{"list":[]}' },
    ]);
  });
}

const INSTANCE: Registration['instance'] = {
  id: 'i1',
  role: 'worker',
  host: 'host',
  pid: 7,
  version: '0.1.0',
  url: null,
  agents: ['echo', 'other'],
  metadata: { zone: 'a' },
  facts: { slots: 4, list: [], nested: { deep: true } },
};

function register(world: World, over: Partial<Registration> = {}) {
  return world.store.register({ instance: INSTANCE, nonce: 'n1', ttlMs: 60_000, ...over });
}

async function registered(world: World, over: Partial<Registration> = {}): Promise<InstanceRecord> {
  const reply = await register(world, over);
  if (!reply.ok) throw new Error(`the registration was refused, held by ${reply.holder.incarnation}`);
  return reply.instance;
}
