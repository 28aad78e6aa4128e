import { expect, it } from 'vitest';
import { BLOCK_SIZE, blockOf } from '../../src/task/id.ts';
import { anId, T0 } from '../support/builders.ts';
import type { World } from './world.ts';

export function describeReading(here: () => World): void {
  it('answers in the order of the question, null for what does not exist, and again for what was asked twice', async () => {
    const world = here();
    const [a, b] = await world.create({}, {});
    const { tasks, now } = await world.store.read(world.shard, [b!, anId(world.shard), a!, b!]);
    expect(tasks.map((task) => task?.id ?? null)).toEqual([b, null, a, b]);
    expect(now).toBeLessThanOrEqual(await world.store.now());
    expect((await world.store.read(world.shard, [])).tasks).toEqual([]);
  });

  it('brings input and result only on request', async () => {
    const world = here();
    const id = await world.createOne({ result: '"r"' });
    const parts = async (asked?: object) => {
      const [task] = (await world.store.read(world.shard, [id], asked)).tasks;
      return { input: task?.input, result: task?.result, spec: task?.spec };
    };
    const spec = 'seal {"a":[]}';
    expect(await parts()).toEqual({ input: undefined, result: undefined, spec });
    expect(await parts({ input: true })).toEqual({ input: '{"text":"hello"}', result: undefined, spec });
    expect(await parts({ result: true })).toEqual({ input: undefined, result: '"r"', spec });
  });

  it('hands out copies', async () => {
    const world = here();
    const id = await world.createOne();
    (await world.record(id))!.state = 'failed';
    expect((await world.record(id))?.state).toBe('queued');
  });

  it('lists blocks newest first, page by page', async () => {
    const world = here();
    const ids = Array.from({ length: 5 }, (_, at) => anId(world.shard, T0 + 1e9 + at * 2_000));
    await world.create(...ids.map((id) => ({ id })));
    const blocks = [...new Set(ids.map(blockOf))].reverse();
    expect(blocks).toHaveLength(5);
    expect(await world.store.blocks(world.shard, null, 3)).toEqual(blocks.slice(0, 3));
    expect(await world.store.blocks(world.shard, blocks[2]!, 3)).toEqual(blocks.slice(3));
    expect(await world.store.blocks(world.shard, blocks[4]!, 3)).toEqual([]);
  });

  it('reads all records of a block, each with its own id', async () => {
    const world = here();
    const ids = Array.from({ length: BLOCK_SIZE * 2 }, () => anId(world.shard));
    const block = blockOf(ids[BLOCK_SIZE]!);
    const inside = ids.filter((id) => blockOf(id) === block);
    await world.create(...ids.map((id) => ({ id })));
    const tasks = await world.store.readBlock(world.shard, block);
    expect(tasks.map((task) => task.id).sort()).toEqual(inside);
    expect(tasks[0]).toMatchObject({ version: 1, state: 'queued', spec: 'seal {"a":[]}', trail: '{"n":1}' });
    expect(await world.store.readBlock(world.shard, 'nosuchblock0000')).toEqual([]);
  });

  it('tells how much memory blocks take, about: more with more in them, nothing for those that do not exist', async () => {
    const world = here();
    const at = T0 + 2e9;
    const [small, large] = [anId(world.shard, at), anId(world.shard, at + 5_000)];
    await world.create({ id: small }, { id: large, input: JSON.stringify('x'.repeat(50_000)) });
    const blocks = [blockOf(small), 'nosuchblock0000', blockOf(large)];
    const [less, none, more] = await world.store.blockSizes(world.shard, blocks);
    expect(none).toBe(0);
    expect(less).toBeGreaterThan(20);
    expect(less).toBeLessThan(2_000);
    expect(more! - less!).toBeGreaterThan(45_000);
    expect(more).toBeLessThan(80_000);
    const result = JSON.stringify('y'.repeat(20_000));
    await world.commit({ units: [world.unit({ id: small, expect: 1, state: 'completed', result })] });
    const [grown] = await world.store.blockSizes(world.shard, blocks);
    expect(grown! - less!).toBeGreaterThan(18_000);
    expect(await world.store.blockSizes(world.shard, [])).toEqual([]);
  });

  it('forgets a block with its last record', async () => {
    const world = here();
    const ids = [anId(world.shard), anId(world.shard, T0 + 2e9)];
    await world.create(...ids.map((id) => ({ id })));
    await world.commit({ units: [world.unit({ id: ids[0]!, expect: 1, remove: true })] });
    expect(await world.store.blocks(world.shard, null, 10)).toEqual([blockOf(ids[1]!)]);
    expect(await scanned(world)).toEqual([blockOf(ids[1]!)]);
  });

  it('walks all blocks and ends', async () => {
    const world = here();
    const ids = Array.from({ length: 230 }, (_, at) => anId(world.shard, T0 + 3e9 + at * 2_000));
    await world.create(...ids.map((id) => ({ id, indexes: [] })));
    expect(await scanned(world)).toEqual(ids.map(blockOf).sort());
  });

  it('finds nothing in an empty store', async () => {
    const world = here();
    expect(await world.store.blocks(world.shard, null, 10)).toEqual([]);
    expect(await scanned(world)).toEqual([]);
  });

  it('has a clock that does not fall', async () => {
    const world = here();
    const first = await world.store.now();
    await world.advance(20);
    expect(await world.store.now()).toBeGreaterThanOrEqual(first + 19);
  });
}

async function scanned(world: World): Promise<string[]> {
  const found = new Set<string>();
  let cursor: string | null = null;
  for (let step = 0; step < 1_000; step++) {
    const { next, blocks }: { next: string | null; blocks: string[] } = await world.store.scanBlocks(
      world.shard,
      cursor,
    );
    for (const block of blocks) found.add(block);
    if (next === null) return [...found].sort();
    cursor = next;
  }
  throw new Error('the walk over the blocks did not end within 1000 steps');
}
