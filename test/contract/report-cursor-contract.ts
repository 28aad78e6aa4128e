import { expect, it } from 'vitest';
import { CONFLICT, WON, type World } from './world.ts';

export function describeReportCursor(here: () => World): void {
  it('begins at the start of the stream', async () => {
    const world = here();
    const cursor = await world.store.reportCursor(world.shard);
    const entry = await world.reported();
    const from = [{ stream: 'reports' as const, after: cursor }];
    const [batch] = await world.store.readStreams(world.shard, { from, count: 10, waitMs: 0 });
    expect(batch?.entries.map(({ id }) => id)).toEqual([entry]);
  });

  it('moves to the last entry when all units won, and an entry without units counts as applied', async () => {
    const world = here();
    const [first, second] = [await world.reported(), await world.reported()];
    const entries = [
      { id: first, units: [0, 1] },
      { id: second, units: [] },
    ];
    const reply = await move(world, entries, [world.unit(), world.unit()]);
    expect(reply).toMatchObject({ units: [WON, WON], cursor: second });
    expect(await world.store.reportCursor(world.shard)).toBe(second);
  });

  it('stops before the first entry that lost a unit, while the later winners stay written', async () => {
    const world = here();
    const [first, second, third] = [await world.reported(), await world.reported(), await world.reported()];
    const entries = [
      { id: first, units: [0] },
      { id: second, units: [0, 1] },
      { id: third, units: [2] },
    ];
    const units = [world.unit(), world.unit({ expect: 5 }), world.unit()];
    const reply = await move(world, entries, units);
    expect(reply).toMatchObject({ units: [WON, CONFLICT, WON], cursor: first });
    expect(await world.store.reportCursor(world.shard)).toBe(first);
    expect(await world.record(units[2]!.id)).not.toBeNull();
  });

  it('stays where it is when the first entry lost a unit', async () => {
    const world = here();
    const before = await world.store.reportCursor(world.shard);
    const entries = [{ id: await world.reported(), units: [0] }];
    expect(await move(world, entries, [world.unit({ expect: 5 })])).toMatchObject({ cursor: before });
    expect(await world.store.reportCursor(world.shard)).toBe(before);
  });

  it('counts a unit that was written before as won', async () => {
    const world = here();
    const unit = world.unit();
    await world.commit({ op: 'reports', units: [unit] });
    const id = await world.reported();
    const cursor = { from: await world.store.reportCursor(world.shard), entries: [{ id, units: [0] }] };
    expect(await world.commit({ op: 'reports', units: [unit], cursor })).toMatchObject({ cursor: id });
  });

  it('changes nothing at all when the cursor stands elsewhere, and says where', async () => {
    const world = here();
    const id = await world.reported();
    await move(world, [{ id, units: [] }], []);
    const unit = world.unit();
    const reply = await world.commit({ ...everything(unit), cursor: { from: '5-5', entries: [] } });
    expect(reply).toMatchObject({ fenced: 'cursor', units: [], cursor: id });
    await expectNothing(world, unit.id);
    expect(await world.store.reportCursor(world.shard)).toBe(id);
  });

  it('changes nothing at all under an epoch that does not stand', async () => {
    const world = here();
    const unit = world.unit();
    expect(await world.commit({ ...everything(unit), epoch: '1.none' })).toMatchObject({ fenced: 'epoch', units: [] });
    await expectNothing(world, unit.id);
  });

  it('writes under the epoch that stands, until the next one is claimed', async () => {
    const world = here();
    const lock = await world.store.lock(world.shard).acquire(60_000);
    const epoch = (await world.store.claimEpoch(world.shard, lock!.value, 'c1'))!;
    expect((await world.commit({ epoch, units: [world.unit()] })).units).toEqual([WON]);
    await world.store.claimEpoch(world.shard, lock!.value, 'c1');
    expect((await world.commit({ epoch, units: [world.unit()] })).fenced).toBe('epoch');
  });

  it('releases attempts whose unit won, and those that need none', async () => {
    const world = here();
    const attempts = [{ held: 'won', unit: 0 }, { held: 'lost', unit: 1 }, { held: 'refused' }];
    await world.commit({
      units: [world.unit(), world.unit({ expect: 5 })],
      release: [
        { holder: 'w1@100-aa', attempts },
        { holder: 'w2@100-bb', attempts: [{ held: 'other' }] },
      ],
    });
    const report = { worker: 'w1', incarnation: '100-aa', envelope: 'e', hint: null };
    expect((await world.store.report(world.shard, report)).released).toEqual(['won', 'refused']);
    expect((await world.store.report(world.shard, report)).released).toEqual([]);
  });

  it('quarantines what came with a commit, and directly', async () => {
    const world = here();
    const entry = { stream: 'reports', entry: '1-1', reason: 'signature', text: 'x' };
    await world.commit({ quarantine: [entry] });
    await world.store.quarantine(world.shard, [{ ...entry, entry: '2-2', text: 'y'.repeat(10_000) }]);
    const found = await world.store.quarantined(world.shard, 10);
    found.sort((a, b) => (a.entry < b.entry ? -1 : 1));
    expect(found).toMatchObject([entry, { stream: 'reports', entry: '2-2', reason: 'signature' }]);
    expect(found[1]!.text).toBe('y'.repeat(4_096));
    expect(new Set(found.map(({ id }) => id)).size).toBe(2);
    expect(await world.store.quarantined(world.shard, 1)).toHaveLength(1);
  });
}

function move(world: World, entries: { id: string; units: number[] }[], units: ReturnType<World['unit']>[]) {
  return world.store.reportCursor(world.shard).then((from) => world.commit({ units, cursor: { from, entries } }));
}

function everything(unit: ReturnType<World['unit']>) {
  return {
    units: [unit],
    post: [{ holder: 'w1@100-aa', envelope: 'e', units: [] }],
    release: [{ holder: 'w1@100-aa', attempts: [{ held: 'x' }] }],
    quarantine: [{ stream: 'reports', entry: '1-1', reason: 'signature', text: 'x' }],
  };
}

async function expectNothing(world: World, id: string): Promise<void> {
  expect(await world.record(id)).toBeNull();
  expect(await world.lanes()).toEqual({});
  expect(await world.fields('mail:w1@100-aa')).toEqual([]);
  expect(await world.fields('events')).toEqual([]);
  expect(await world.store.quarantined(world.shard, 10)).toEqual([]);
  const report = { worker: 'w1', incarnation: '100-aa', envelope: 'e', hint: null };
  expect((await world.store.report(world.shard, report)).released).toEqual([]);
}
