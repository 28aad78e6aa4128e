import { expect, it } from 'vitest';
import type { Unit } from '../../src/store/store.ts';
import { isRef, LARGE_PAYLOAD_BYTES } from '../../src/task/payload.ts';
import { anId, jsonOf, refTo } from '../support/builders.ts';
import { ALREADY, CONFLICT, WON, type World } from './world.ts';

const KEPT = { holder: 'w1@100-aa', attemptId: 'a1' };
const MISSING = { ok: false, reason: 'missing' };
const TTL_MS = 60_000;

function withInput(input: string): Partial<Unit> {
  return { input: refTo(input), large: { input } };
}

export function describePayloads(here: () => World): void {
  const TEXT = jsonOf(LARGE_PAYLOAD_BYTES + 1);
  const RESULT = jsonOf(2 * LARGE_PAYLOAD_BYTES, 'r');

  /** A record whose attempt has put its result aside. */
  async function withKept(text = RESULT, ttlMs = TTL_MS): Promise<string> {
    const id = await here().createOne();
    await here().store.putResult(here().shard, KEPT, text, ttlMs);
    return id;
  }

  function adoption(id: string, text = RESULT, over: Partial<Unit> = {}): Unit {
    const result = refTo(text);
    return here().unit({ id, expect: 1, state: 'completed', result, adopt: KEPT, indexes: [], ...over });
  }

  const payload = (id: string, part: 'input' | 'result' = 'input') => here().store.payload(here().shard, id, part);
  const sizeOf = async (id: string) => (await here().store.blockSizes(here().shard, [id.slice(0, 15)]))[0]!;

  it('stores a large input with the record, and answers it whole', async () => {
    const id = await here().createOne(withInput(TEXT));
    expect((await here().record(id))?.input).toBe(TEXT);
    expect(await payload(id)).toBe(TEXT);
  });

  it('answers the reference to a large input where only that is asked for, and the input where it is small', async () => {
    const { shard, store } = here();
    const large = await here().createOne(withInput(TEXT));
    const small = await here().createOne({ input: '{"a":1}' });
    const { tasks } = await store.read(shard, [large, small], { input: 'ref' });
    expect(tasks.map((task) => task?.input)).toEqual([refTo(TEXT), '{"a":1}']);
  });

  it('hands out references when tasks are taken', async () => {
    await here().createOne(withInput(TEXT));
    const { tasks } = await here().take();
    expect(tasks.map(({ task }) => task.input)).toEqual([refTo(TEXT)]);
    const again = await here().take();
    expect(again.tasks.map(({ task }) => isRef(task.input!))).toEqual([true]);
  });

  it('keeps every character', async () => {
    const input = JSON.stringify(`é😀\u0000\u2028"\\${'日'.repeat(LARGE_PAYLOAD_BYTES)}`);
    const id = await here().createOne(withInput(input));
    expect((await here().record(id))?.input).toBe(input);
  });

  it('stores many in one commit, each under its own task', async () => {
    const texts = Array.from({ length: 30 }, (_, i) => jsonOf(LARGE_PAYLOAD_BYTES + 1 + i, String(i % 10)));
    const ids = await here().create(...texts.flatMap((text) => [withInput(text), { input: '[]' }]));
    const { tasks } = await here().store.read(here().shard, ids, { input: true });
    expect(tasks.map((task) => task?.input)).toEqual(texts.flatMap((text) => [text, '[]']));
  });

  it('keeps no input of a unit that lost', async () => {
    const id = await here().createOne({ input: '1' });
    const { units } = await here().commit({ units: [here().unit({ id, ...withInput(TEXT) })] });
    expect(units).toEqual([CONFLICT]);
    expect((await here().record(id))?.input).toBe('1');
  });

  it('keeps no input of a unit whose key is taken', async () => {
    const unique = { key: 'k', digest: 'd', ttlMs: TTL_MS };
    const first = await here().createOne({ ...withInput(TEXT), unique });
    const second = here().unit({ ...withInput(RESULT), unique });
    expect((await here().commit({ units: [second] })).units).toEqual([
      { ok: false, reason: 'exists', id: first, digest: 'd' },
    ]);
    expect(await here().record(second.id)).toBeNull();
    expect(await payload(second.id)).toBeNull();
  });

  it('leaves the input as it is when the creation is repeated', async () => {
    const unit = here().unit(withInput(TEXT));
    const commit = { op: 'once', units: [unit] };
    expect((await here().commit(commit)).units).toEqual([WON]);
    expect((await here().commit(commit)).units).toEqual([ALREADY]);
    expect((await here().record(unit.id))?.input).toBe(TEXT);
  });

  it('creates a record with a large result, as it comes from a snapshot', async () => {
    const id = await here().createOne({
      input: refTo(TEXT),
      result: refTo(RESULT),
      large: { input: TEXT, result: RESULT },
      state: 'completed',
      indexes: [],
    });
    expect(await here().record(id)).toMatchObject({ input: TEXT, result: RESULT });
  });

  it('adopts the result that a worker put aside', async () => {
    const id = await withKept();
    expect((await here().commit({ units: [adoption(id)] })).units).toEqual([WON]);
    expect(await here().record(id)).toMatchObject({ state: 'completed', result: RESULT });
    expect(await payload(id, 'result')).toBe(RESULT);
    expect(await here().store.renewResults(here().shard, [KEPT], TTL_MS)).toEqual([false]);
  });

  it('answers that an adoption is done when it is repeated', async () => {
    const id = await withKept();
    const commit = { op: 'once', units: [adoption(id)] };
    await here().commit(commit);
    expect((await here().commit(commit)).units).toEqual([ALREADY]);
    expect((await here().record(id))?.result).toBe(RESULT);
  });

  it('refuses a unit that adopts what is not there, and changes nothing for it', async () => {
    const id = await here().createOne();
    const before = await here().record(id);
    const other = here().unit();
    const { units } = await here().commit({ units: [adoption(id), other] });
    expect(units).toEqual([MISSING, WON]);
    expect(await here().record(id)).toEqual(before);
  });

  it('refuses to adopt a text of another length', async () => {
    const id = await withKept(jsonOf(2 * LARGE_PAYLOAD_BYTES - 1));
    expect((await here().commit({ units: [adoption(id)] })).units).toEqual([MISSING]);
    expect(await here().store.renewResults(here().shard, [KEPT], TTL_MS)).toEqual([true]);
  });

  it('leaves a result where it is when its unit loses', async () => {
    const id = await withKept();
    expect((await here().commit({ units: [adoption(id, RESULT, { expect: 7 })] })).units).toEqual([CONFLICT]);
    expect(await here().store.renewResults(here().shard, [KEPT], TTL_MS)).toEqual([true]);
    expect((await here().commit({ units: [adoption(id)] })).units).toEqual([WON]);
  });

  it('gives a result to one unit only', async () => {
    const [first, second] = await here().create({}, {});
    await here().store.putResult(here().shard, KEPT, RESULT, TTL_MS);
    const { units } = await here().commit({ units: [adoption(first!), adoption(second!)] });
    expect(units).toEqual([WON, MISSING]);
  });

  it('holds the cursor before an entry whose result is missing, and releases nothing', async () => {
    const id = await here().createOne();
    const entry = await here().reported();
    const reply = await here().commit({
      units: [adoption(id)],
      cursor: { from: '0-0', entries: [{ id: entry, units: [0] }] },
      release: [{ holder: KEPT.holder, attempts: [{ held: `${id}~a1`, unit: 0 }] }],
    });
    expect(reply).toMatchObject({ units: [MISSING], cursor: '0-0' });
    const { released } = await here().store.report(here().shard, {
      worker: 'w1',
      incarnation: '100-aa',
      envelope: 'e',
      hint: null,
    });
    expect(released).toEqual([]);
  });

  it('forgets a result that nobody adopts or renews', async () => {
    const id = await withKept(RESULT, 60);
    const other = { ...KEPT, attemptId: 'a2' };
    await here().store.putResult(here().shard, other, RESULT, 60);
    expect(await here().store.renewResults(here().shard, [other], TTL_MS)).toEqual([true]);
    await here().advance(120);
    expect(await here().store.renewResults(here().shard, [KEPT, other], TTL_MS)).toEqual([false, true]);
    expect((await here().commit({ units: [adoption(id)] })).units).toEqual([MISSING]);
  });

  it('drops results that nobody needs, and those that are gone already', async () => {
    await withKept();
    await here().store.dropResults(here().shard, [KEPT, { ...KEPT, attemptId: 'a2' }]);
    expect(await here().store.renewResults(here().shard, [KEPT], TTL_MS)).toEqual([false]);
    await here().store.dropResults(here().shard, []);
  });

  it('keeps what was put last where the same attempt puts twice', async () => {
    const id = await withKept(jsonOf(LARGE_PAYLOAD_BYTES + 5));
    await here().store.putResult(here().shard, KEPT, RESULT, TTL_MS);
    expect((await here().commit({ units: [adoption(id)] })).units).toEqual([WON]);
    expect((await here().record(id))?.result).toBe(RESULT);
  });

  it('removes large payloads with their record', async () => {
    const id = await here().createOne(withInput(TEXT));
    await here().store.putResult(here().shard, KEPT, RESULT, TTL_MS);
    await here().commit({ units: [adoption(id)] });
    expect(await sizeOf(id)).toBeGreaterThan(TEXT.length + RESULT.length);
    await here().commit({ units: [here().unit({ id, expect: 2, remove: true, indexes: [] })] });
    expect(await payload(id)).toBeNull();
    expect(await payload(id, 'result')).toBeNull();
    expect(await sizeOf(id)).toBe(0);
  });

  it('removes those of many records, and leaves those of the others in the block', async () => {
    const block = anId(here().shard).slice(0, 15);
    const ids = Array.from({ length: 6 }, (_, i) => `${block}${String(i).padStart(10, '0')}`);
    await here().create(...ids.map((id, i) => ({ id, ...(i % 2 ? withInput(TEXT) : {}) })));
    const gone = ids.slice(0, 4).map((id) => here().unit({ id, expect: 1, remove: true as const, indexes: [] }));
    await here().commit({ units: gone });
    expect(await Promise.all(ids.map((id) => payload(id).then((text) => text?.length ?? 0)))).toMatchObject([
      0,
      0,
      0,
      0,
      expect.any(Number),
      TEXT.length,
    ]);
  });

  it('removes a large result when null takes its place', async () => {
    const id = await withKept();
    await here().commit({ units: [adoption(id)] });
    await here().commit({ units: [here().unit({ id, expect: 2, state: 'queued', result: null })] });
    expect(await here().record(id)).not.toHaveProperty('result');
    expect(await payload(id, 'result')).toBeNull();
    expect(await sizeOf(id)).toBeLessThan(RESULT.length);
  });

  it('keeps payloads of one shard apart from those of another', async () => {
    const id = await here().createOne(withInput(TEXT));
    const other = (here().shard + 1) % here().shards;
    if (other !== here().shard) expect(await here().store.payload(other, id, 'input')).toBeNull();
    expect(await payload(anId(here().shard))).toBeNull();
  });
}
