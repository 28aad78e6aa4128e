import { expect, it } from 'vitest';
import type { Beat } from '../../src/store/store.ts';
import type { World } from './world.ts';

const HOLDER = 'w1@100-aa';

export function describeWorkers(here: () => World): void {
  it('refuses the heartbeat of a worker that is not registered', async () => {
    const world = here();
    expect(await beat(world)).toMatchObject({ ok: false, reason: 'unknown' });
    expect((await world.store.heartbeats(world.shard, 0)).beats).toEqual([]);
  });

  it('accepts the heartbeat of the registered incarnation and shows the last one, with its time', async () => {
    const world = here();
    await world.store.enlist(world.shard, 'w1', '100-aa');
    await beat(world, { toCoordinators: 'old' });
    const reply = await beat(world, { toCoordinators: 'c', toDistributors: 'd' });
    if (!reply.ok) throw new Error(`the heartbeat was refused: ${reply.reason}`);
    const { beats, now } = await world.store.heartbeats(world.shard, 0);
    const at = Number(reply.entry.split('-')[0]);
    const shown = { worker: 'w1', incarnation: '100-aa', entry: reply.entry, at };
    expect(beats).toEqual([{ ...shown, toCoordinators: 'c', toDistributors: 'd' }]);
    expect(at).toBeLessThanOrEqual(now);
  });

  it('gives every heartbeat an entry of its own', async () => {
    const world = here();
    await world.store.enlist(world.shard, 'w1', '100-aa');
    const entries = [];
    for (let n = 0; n < 5; n++) entries.push(await beat(world));
    expect(new Set(entries.map((reply) => reply.ok && reply.entry)).size).toBe(5);
  });

  it('shows only heartbeats at or after a time', async () => {
    const world = here();
    await world.store.enlist(world.shard, 'w1', '100-aa');
    await world.store.enlist(world.shard, 'w2', '100-bb');
    await beat(world);
    await world.advance(30);
    const reply = await beat(world, { worker: 'w2', incarnation: '100-bb' });
    const since = Number((reply.ok ? reply.entry : '').split('-')[0]);
    const later = (await world.store.heartbeats(world.shard, since)).beats;
    expect(later.map(({ worker }) => worker)).toEqual(['w2']);
    expect((await world.store.heartbeats(world.shard, 0)).beats).toHaveLength(2);
    expect((await world.store.heartbeats(world.shard, since + 60_000)).beats).toEqual([]);
  });

  it('registers a later incarnation and then refuses the one before', async () => {
    const world = here();
    expect(await world.store.enlist(world.shard, 'w1', '100-aa')).toBe(true);
    expect(await world.store.enlist(world.shard, 'w1', '200-bb')).toBe(true);
    expect(await beat(world)).toMatchObject({ ok: false, reason: 'replaced' });
    expect(await beat(world, { incarnation: '200-bb' })).toMatchObject({ ok: true });
  });

  it('keeps the later incarnation, and lets a registration be repeated', async () => {
    const world = here();
    await world.store.enlist(world.shard, 'w1', '200-bb');
    expect(await world.store.enlist(world.shard, 'w1', '100-cc')).toBe(false);
    expect(await world.store.enlist(world.shard, 'w1', '200-bb')).toBe(true);
    expect(await beat(world, { incarnation: '200-bb' })).toMatchObject({ ok: true });
  });

  it('compares incarnations as numbers, not as texts', async () => {
    const world = here();
    await world.store.enlist(world.shard, 'w1', '999-aa');
    expect(await world.store.enlist(world.shard, 'w1', '1000-aa')).toBe(true);
    expect(await world.store.enlist(world.shard, 'w1', '999-zz')).toBe(false);
  });

  it('trims the mailbox up to where the worker has read', async () => {
    const world = here();
    await world.store.enlist(world.shard, 'w1', '100-aa');
    await world.commit({ post: [{ holder: HOLDER, envelope: 'first', units: [] }] });
    const mailbox = await world.last(`mail:${HOLDER}`);
    await world.commit({ post: [{ holder: HOLDER, envelope: 'second', units: [] }] });
    await beat(world, { mailbox: '0' });
    expect(await world.fields(`mail:${HOLDER}`)).toHaveLength(2);
    await beat(world, { mailbox });
    expect(await world.fields(`mail:${HOLDER}`)).toEqual([{ e: 'second', w: '' }]);
  });

  it('hands out released attempts once, to their holder, with a heartbeat or a report', async () => {
    const world = here();
    await world.store.enlist(world.shard, 'w1', '100-aa');
    const release = (held: string) =>
      world.commit({ release: [{ holder: HOLDER, attempts: [{ held: `${held}~1` }, { held: `${held}~2` }] }] });
    await release('a');
    expect(await beat(world)).toMatchObject({ ok: true, released: ['a~1', 'a~2'] });
    expect(await beat(world)).toMatchObject({ ok: true, released: [] });
    await release('b');
    const other = { worker: 'w1', incarnation: '200-bb', envelope: 'e', hint: null };
    expect((await world.store.report(world.shard, other)).released).toEqual([]);
    const own = { ...other, incarnation: '100-aa' };
    expect((await world.store.report(world.shard, own)).released).toEqual(['b~1', 'b~2']);
  });

  it('hands out at most 1,000 released attempts at once and loses none', async () => {
    const world = here();
    const attempts = Array.from({ length: 1_200 }, (_, n) => ({ held: `x~${n}` }));
    await world.commit({ release: [{ holder: HOLDER, attempts }] });
    const report = { worker: 'w1', incarnation: '100-aa', envelope: 'e', hint: null };
    const first = (await world.store.report(world.shard, report)).released;
    const second = (await world.store.report(world.shard, report)).released;
    expect(first.length).toBeLessThanOrEqual(1_000);
    expect([...first, ...second]).toEqual(attempts.map(({ held }) => held));
  });

  it('wakes the distributors when a heartbeat asks for it or a report has a hint', async () => {
    const world = here();
    await world.store.enlist(world.shard, 'w1', '100-aa');
    await beat(world, { wake: false });
    await world.reported();
    expect(await world.fields('wake')).toEqual([]);
    await beat(world, { wake: true });
    await world.store.report(world.shard, { worker: 'w1', incarnation: '100-aa', envelope: 'e', hint: 'free:2' });
    expect(await world.fields('wake')).toEqual([{ b: 'w1' }, { h: 'free:2' }]);
  });

  it('appends a report and says where', async () => {
    const world = here();
    const report = { worker: 'w1', incarnation: '100-aa', envelope: 'signed.report', hint: null };
    const { entry, now } = await world.store.report(world.shard, report);
    expect(entry).toBe(await world.last('reports'));
    expect(Number(entry.split('-')[0])).toBeLessThanOrEqual(now);
    expect((await world.fields('reports'))[0]).toMatchObject({ e: 'signed.report' });
  });

  it('retires an incarnation only when it holds nothing', async () => {
    const world = here();
    await world.store.enlist(world.shard, 'w1', '100-aa');
    await beat(world);
    const entry = { index: `held:${HOLDER}` as const, member: 'x~1', score: 1 };
    await world.create({ indexes: [{ do: 'add', ...entry }] });
    await world.commit({
      post: [{ holder: HOLDER, envelope: 'e', units: [] }],
      release: [{ holder: HOLDER, attempts: [{ held: 'y~1' }] }],
    });
    expect(await world.store.retire(world.shard, 'w1', '100-aa')).toBe(false);
    expect(await world.store.holders(world.shard)).toEqual([HOLDER]);
    expect(await world.fields(`mail:${HOLDER}`)).toHaveLength(1);

    await world.create({ indexes: [{ do: 'remove', ...entry }] });
    expect(await world.store.retire(world.shard, 'w1', '100-aa')).toBe(true);
    expect(await world.store.holders(world.shard)).toEqual([]);
    expect(await world.fields(`mail:${HOLDER}`)).toEqual([]);
    expect((await world.store.heartbeats(world.shard, 0)).beats).toEqual([]);
    expect(await beat(world)).toMatchObject({ ok: false, reason: 'unknown' });
    const report = { worker: 'w1', incarnation: '100-aa', envelope: 'e', hint: null };
    expect((await world.store.report(world.shard, report)).released).toEqual([]);
    expect(await world.store.retire(world.shard, 'w1', '100-aa')).toBe(true);
  });

  it('leaves the successor alone when its predecessor is retired', async () => {
    const world = here();
    await world.store.enlist(world.shard, 'w1', '100-aa');
    await world.store.enlist(world.shard, 'w1', '200-bb');
    await beat(world, { incarnation: '200-bb' });
    expect(await world.store.retire(world.shard, 'w1', '100-aa')).toBe(true);
    expect((await world.store.heartbeats(world.shard, 0)).beats).toMatchObject([{ incarnation: '200-bb' }]);
    expect(await beat(world, { incarnation: '200-bb' })).toMatchObject({ ok: true });
  });
}

function beat(world: World, over: Partial<Beat> = {}) {
  const usual = {
    worker: 'w1',
    incarnation: '100-aa',
    toCoordinators: '',
    toDistributors: '',
    mailbox: '0',
    wake: false,
  };
  return world.store.beat(world.shard, { ...usual, ...over });
}
