import { describe, expect, it } from 'vitest';
import { ByteRetention } from '../../src/coordinator/byte-retention.ts';
import type { Store } from '../../src/store/store.ts';
import { blockOf } from '../../src/task/id.ts';
import { World } from './world.ts';

const cancel = { type: 'cancel', reason: 'r' } as const;
/** Every task is more than 10,000 and less than 12,000 characters. */
const INPUT = JSON.stringify('x'.repeat(10_000));
const TASK = 12_000;

async function keeping(retentionBytes: number | 'off', over = {}) {
  const asked: string[][] = [];
  const through = (store: Store): Store =>
    new Proxy(store, {
      get(target, name) {
        const value = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          if (name === 'blockSizes') asked.push(args[1] as string[]);
          return Reflect.apply(value, target, args);
        };
      },
    });
  const world = new World({ policy: { retentionBytes, ...over }, through });
  const context = await world.own();
  const retention = new ByteRetention(context);
  /** Tasks in blocks of their own, oldest first. */
  const submit = async (count: number) => {
    const ids: string[] = [];
    for (let i = 0; i < count; i++) {
      ids.push(await world.submit({}, { input: INPUT }));
      await world.advance(2_000);
    }
    return ids;
  };
  const end = async (ids: string[]) => {
    for (const id of ids) await world.give(id, cancel);
  };
  const states = (ids: string[]) => Promise.all(ids.map((id) => world.state(id)));
  return { world, retention, submit, end, states, asked };
}

describe('retention by bytes', () => {
  it('prunes the oldest ended tasks beyond the bound, and never one that lives', async () => {
    const { world, retention, submit, end, states } = await keeping(3 * TASK);
    const ids = await submit(6);
    await end(ids.filter((_, i) => i !== 1));
    await world.advance(5_000);
    expect(await retention.tick()).toBe(2);
    expect(await states(ids)).toEqual(['gone', 'queued', 'gone', 'cancelled', 'cancelled', 'cancelled']);
    expect(await world.members('expiry')).toEqual(ids.slice(3).map(blockOf));
    expect(world.observed('records.pruned')).toMatchObject([{ tasks: 2 }]);
    expect(await retention.tick()).toBe(0);
    // What lived in an old block goes once it has ended.
    await end([ids[1]!]);
    await world.advance(5_000);
    expect(await retention.tick()).toBe(1);
    expect(await states(ids.slice(0, 4))).toEqual(['gone', 'gone', 'gone', 'cancelled']);
  });

  it('counts only blocks with something ended in them: waiting work drives nothing out', async () => {
    const { world, retention, submit, end, states } = await keeping(2 * TASK);
    const ended = await submit(2);
    await end(ended);
    await submit(20);
    await world.advance(5_000);
    expect(await retention.tick()).toBe(0);
    expect(await states(ended)).toEqual(['cancelled', 'cancelled']);
  });

  it('leaves whoever waits for a task time to read it', async () => {
    const { world, retention, submit, end } = await keeping(TASK);
    const ids = await submit(3);
    await end(ids);
    await world.advance(4_999);
    expect(await retention.tick()).toBe(0);
    await world.advance(1);
    expect(await retention.tick()).toBe(2);
  });

  it('keeps the newest block, however large it is', async () => {
    const { world, retention, submit, end, states } = await keeping(5_000);
    const ids = await submit(2);
    await end(ids);
    await world.advance(5_000);
    expect(await retention.tick()).toBe(1);
    expect(await states(ids)).toEqual(['gone', 'cancelled']);
  });

  it('has no bound when it is off', async () => {
    const { world, retention, submit, end, asked } = await keeping('off');
    await end(await submit(5));
    await world.advance(5_000);
    expect(await retention.tick()).toBe(0);
    expect(asked).toEqual([]);
  });

  it('gives each shard its share of the bound', async () => {
    const { world, retention, submit, end } = await keeping(4 * TASK, { shards: 2 });
    await end(await submit(3));
    await world.advance(5_000);
    expect(await retention.tick()).toBe(1);
  });

  it('measures a block once, and again only when a task of it was committed here or it is young', async () => {
    const { world, retention, submit, end, asked } = await keeping(10 * TASK);
    const ids = await submit(4);
    await end(ids);
    await retention.tick();
    expect(asked.splice(0).flat()).toHaveLength(4);
    await world.advance(60_000);
    await retention.tick();
    expect(asked.splice(0).flat()).toHaveLength(4);
    await retention.tick();
    expect(asked).toEqual([]);
    retention.touched(ids[2]!);
    await retention.tick();
    expect(asked.splice(0)).toEqual([[blockOf(ids[2]!)]]);
    await retention.tick();
    expect(asked).toEqual([]);
  });

  it('walks through more blocks than one page holds', async () => {
    const { world, retention } = await keeping(100_000);
    const ids: string[] = [];
    for (let i = 0; i < 1_100; i++) {
      ids.push(await world.submit());
      await world.give(ids[i]!, cancel);
      await world.advance(1_000);
    }
    await world.advance(5_000);
    const pruned = await retention.tick();
    expect(pruned).toBeGreaterThan(800);
    expect(await world.members('expiry')).toEqual(ids.slice(pruned).map(blockOf));
    expect(await retention.tick()).toBe(0);
  });
});
