import { expect, it } from 'vitest';
import { A_LANE, inLane, outOfLane } from '../support/builders.ts';
import { ALREADY, CONFLICT, WON, type World } from './world.ts';

const HOLDER = 'w1@100-aa';

export function describeCommits(here: () => World): void {
  it('creates a record with version 1, its state, its operation and exactly the texts it was given', async () => {
    const world = here();
    const unit = world.unit({ spec: 'seal {"a":[],"b":1e400}', input: '{"é":"\\u0000 \n😀"}', trail: '{"t":{}}' });
    const { units } = await world.commit({ op: 'first', units: [unit] });
    expect(units).toEqual([WON]);
    expect(await world.record(unit.id)).toEqual({
      id: unit.id,
      version: 1,
      state: 'queued',
      op: 'first',
      spec: unit.spec,
      trail: unit.trail,
      input: unit.input,
    });
  });

  it('raises the version by one and leaves the parts alone that the unit does not bring', async () => {
    const world = here();
    const id = await world.createOne({ spec: 'seal {}', input: '[]', trail: '1' });
    const unit = { id, expect: 1, state: 'running' as const, trail: '2', indexes: [] };
    expect((await world.commit({ op: 'second', units: [unit] })).units).toEqual([WON]);
    const record = await world.record(id);
    expect(record).toEqual({
      id,
      version: 2,
      state: 'running',
      op: 'second',
      spec: 'seal {}',
      input: '[]',
      trail: '2',
    });
  });

  it('keeps a result until null removes it', async () => {
    const world = here();
    const id = await world.createOne();
    await world.commit({ units: [world.unit({ id, expect: 1, state: 'completed', result: '{"r":[]}' })] });
    expect((await world.record(id))?.result).toBe('{"r":[]}');
    await world.commit({ units: [world.unit({ id, expect: 2, state: 'completed' })] });
    expect((await world.record(id))?.result).toBe('{"r":[]}');
    await world.commit({ units: [world.unit({ id, expect: 3, state: 'queued', result: null })] });
    expect(await world.record(id)).not.toHaveProperty('result');
  });

  it('refuses a unit whose version does not stand, and changes nothing for it', async () => {
    const world = here();
    const id = await world.createOne();
    const before = await world.record(id);
    const stale = world.unit({ id, expect: 2, state: 'cancelled', indexes: [outOfLane(), inLane('other|default')] });
    expect((await world.commit({ units: [stale] })).units).toEqual([CONFLICT]);
    expect(await world.record(id)).toEqual(before);
    expect(await world.lanes()).toEqual({ [A_LANE]: 1 });
  });

  it('refuses to write a record that does not exist, and to create one that does', async () => {
    const world = here();
    const id = await world.createOne();
    const absent = world.unit({ expect: 1 });
    expect((await world.commit({ units: [absent, world.unit({ id })] })).units).toEqual([CONFLICT, CONFLICT]);
    expect(await world.record(absent.id)).toBeNull();
    expect((await world.record(id))?.version).toBe(1);
  });

  it('decides each unit for itself', async () => {
    const world = here();
    const [first, second] = await world.create({}, {});
    const { units } = await world.commit({
      units: [
        world.unit({ id: first!, expect: 1, state: 'cancelled' }),
        world.unit({ id: second!, expect: 7, state: 'cancelled' }),
        world.unit({ state: 'scheduled', indexes: [] }),
      ],
    });
    expect(units).toEqual([WON, CONFLICT, WON]);
    expect((await world.record(first!))?.state).toBe('cancelled');
    expect((await world.record(second!))?.state).toBe('queued');
  });

  it('answers already when the same operation comes again, and changes nothing', async () => {
    const world = here();
    const creation = { op: 'submit', units: [world.unit()] };
    const { id } = creation.units[0]!;
    await world.commit(creation);
    expect((await world.commit(creation)).units).toEqual([ALREADY]);
    const change = { op: 'cancel', units: [world.unit({ id, expect: 1, state: 'cancelled', indexes: [outOfLane()] })] };
    await world.commit(change);
    expect((await world.commit(change)).units).toEqual([ALREADY]);
    expect(await world.record(id)).toMatchObject({ version: 2, state: 'cancelled', op: 'cancel' });
    expect(await world.lanes()).toEqual({});
  });

  it('answers conflict to a repeated operation once another one has written on', async () => {
    const world = here();
    const creation = { op: 'submit', units: [world.unit()] };
    await world.commit(creation);
    await world.commit({ units: [world.unit({ id: creation.units[0]!.id, expect: 1, state: 'cancelled' })] });
    expect((await world.commit(creation)).units).toEqual([CONFLICT]);
  });

  it('writes what is missing when an operation is repeated of which a part had won', async () => {
    const world = here();
    const [won, open] = [world.unit(), world.unit()];
    await world.commit({ op: 'submit', units: [won] });
    expect((await world.commit({ op: 'submit', units: [won, open] })).units).toEqual([ALREADY, WON]);
    expect(await world.lanes()).toEqual({ [A_LANE]: 2 });
  });

  it('applies several units of one record in order', async () => {
    const world = here();
    const first = world.unit();
    const second = world.unit({ id: first.id, expect: 1, state: 'cancelled', indexes: [outOfLane()] });
    expect((await world.commit({ units: [first, second] })).units).toEqual([WON, WON]);
    expect(await world.record(first.id)).toMatchObject({ version: 2, state: 'cancelled' });
  });

  it('removes a record with its input and result, and answers already when it is gone', async () => {
    const world = here();
    const id = await world.createOne({ result: '1' });
    const removal = { op: 'prune', units: [world.unit({ id, expect: 1, remove: true, indexes: [outOfLane()] })] };
    expect((await world.commit(removal)).units).toEqual([WON]);
    expect(await world.record(id)).toBeNull();
    expect(await world.lanes()).toEqual({});
    expect((await world.commit(removal)).units).toEqual([ALREADY]);
  });

  it('does not remove a record that was written since', async () => {
    const world = here();
    const id = await world.createOne();
    await world.commit({ units: [world.unit({ id, expect: 1, state: 'running' })] });
    const removal = world.unit({ id, expect: 1, remove: true });
    expect((await world.commit({ units: [removal] })).units).toEqual([CONFLICT]);
    expect((await world.record(id))?.version).toBe(2);
  });

  it('lets one task live under a unique key, and names it to the others', async () => {
    const world = here();
    const unique = { key: 'default/order-1', digest: 'd1', ttlMs: 60_000 };
    const id = await world.createOne({ unique });
    const second = world.unit({ unique: { ...unique, digest: 'd2' } });
    const other = world.unit({ unique: { ...unique, key: 'default/order-2' } });
    const { units } = await world.commit({ units: [second, other] });
    expect(units).toEqual([{ ok: false, reason: 'exists', id, digest: 'd1' }, WON]);
    expect(await world.record(second.id)).toBeNull();
    expect(await world.lanes()).toEqual({ [A_LANE]: 2 });
  });

  it('holds two units of one commit to their unique key too', async () => {
    const world = here();
    const unique = { key: 'k', digest: 'd', ttlMs: 60_000 };
    const [first, second] = [world.unit({ unique }), world.unit({ unique })];
    const { units } = await world.commit({ units: [first, second] });
    expect(units).toEqual([WON, { ok: false, reason: 'exists', id: first.id, digest: 'd' }]);
  });

  it('answers already, not exists, when the creation under a key is repeated', async () => {
    const world = here();
    const creation = { op: 'submit', units: [world.unit({ unique: { key: 'k', digest: 'd', ttlMs: 60_000 } })] };
    await world.commit(creation);
    expect((await world.commit(creation)).units).toEqual([ALREADY]);
  });

  it('frees a unique key when its time is over', async () => {
    const world = here();
    const unique = { key: 'k', digest: 'd', ttlMs: 20 };
    await world.create({ unique });
    await world.advance(60);
    expect((await world.commit({ units: [world.unit({ unique })] })).units).toEqual([WON]);
  });

  it('posts an envelope with the ids of the units that won', async () => {
    const world = here();
    const units = [world.unit(), world.unit({ expect: 3 }), world.unit()];
    const { posted } = await world.commit({ units, post: [{ holder: HOLDER, envelope: 'signed', units: [0, 1, 2] }] });
    expect(posted).toEqual([await world.last(`mail:${HOLDER}`)]);
    const w = `${units[0]!.id} ${units[2]!.id}`;
    expect(await world.fields(`mail:${HOLDER}`)).toEqual([{ e: 'signed', w }]);
  });

  it('keeps an envelope back when none of its units won, and posts one that has none', async () => {
    const world = here();
    const post = [
      { holder: HOLDER, envelope: 'lost', units: [0] },
      { holder: 'w2@100-bb', envelope: 'control', units: [] },
    ];
    const { posted } = await world.commit({ units: [world.unit({ expect: 3 })], post });
    expect(posted).toEqual([null, await world.last('mail:w2@100-bb')]);
    expect(await world.fields(`mail:${HOLDER}`)).toEqual([]);
    expect(await world.fields('mail:w2@100-bb')).toEqual([{ e: 'control', w: '' }]);
  });

  it('posts again when the operation is repeated, since the first answer may be all that was lost', async () => {
    const world = here();
    const units = [world.unit()];
    const commit = { op: 'assign', units, post: [{ holder: HOLDER, envelope: 'signed', units: [0] }] };
    await world.commit(commit);
    const { posted } = await world.commit(commit);
    expect(posted[0]).toBe(await world.last(`mail:${HOLDER}`));
    expect((await world.fields(`mail:${HOLDER}`)).at(-1)).toEqual({ e: 'signed', w: units[0]!.id });
  });

  it('answers with the time of the store', async () => {
    const world = here();
    const before = await world.store.now();
    const { now } = await world.commit({ units: [world.unit()] });
    expect(now).toBeGreaterThanOrEqual(before);
    expect(now).toBeLessThanOrEqual(await world.store.now());
  });

  it('tells the event stream what was written, in one entry', async () => {
    const world = here();
    const [first, second] = await world.create({}, { state: 'scheduled', indexes: [] });
    await world.commit({
      units: [world.unit({ id: first!, expect: 1, state: 'cancelled' }), world.unit({ expect: 9 })],
    });
    expect(await world.fields('events')).toEqual([
      { e: `${first} 1 queued;${second} 1 scheduled` },
      { e: `${first} 2 cancelled` },
    ]);
  });

  it('has no event for what was written before, removed or repaired', async () => {
    const world = here();
    const creation = { op: 'submit', units: [world.unit()] };
    const { id } = creation.units[0]!;
    await world.commit(creation);
    const last = await world.last('events');
    await world.commit(creation);
    await world.commit({ units: [world.unit({ id, expect: 1, repair: true, indexes: [inLane()] })] });
    await world.commit({ units: [world.unit({ id, expect: 1, remove: true })] });
    expect(await world.fields('events', last)).toEqual([]);
  });

  it('wakes the distributors once when lanes get tasks, and not otherwise', async () => {
    const world = here();
    await world.create({}, {}, { indexes: [inLane('other|default')] });
    expect(await world.fields('wake')).toEqual([{ q: '1' }]);
    const last = await world.last('wake');
    await world.create({ state: 'scheduled', indexes: [{ do: 'add', index: 'due', member: 'x', score: 1 }] });
    expect(await world.fields('wake', last)).toEqual([]);
  });

  it('keeps the shards apart', async () => {
    const world = here();
    const id = await world.createOne();
    for (let shard = 0; shard < world.shards - 1; shard++) {
      expect((await world.store.read(shard, [id])).tasks).toEqual([null]);
      expect((await world.store.queues(shard, 10)).queues).toEqual([]);
      expect((await world.store.lastEntry(shard, 'events')).id).toBe('0-0');
    }
    expect((await world.store.read(world.shard, [id])).tasks).toHaveLength(1);
  });

  it('writes 500 units at once', async () => {
    const world = here();
    const units = Array.from({ length: 500 }, () => world.unit());
    const reply = await world.commit({
      units,
      post: [{ holder: HOLDER, envelope: 'e', units: units.map((_, at) => at) }],
    });
    expect(reply.units.every((unit) => unit.ok)).toBe(true);
    expect(await world.lanes()).toEqual({ [A_LANE]: 500 });
    expect((await world.fields(`mail:${HOLDER}`))[0]!.w!.split(' ')).toEqual(units.map((unit) => unit.id));
  });

  it('accepts a commit that has no units', async () => {
    const { units, posted } = await here().commit({});
    expect({ units, posted }).toEqual({ units: [], posted: [] });
  });
}
