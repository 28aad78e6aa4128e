import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createVirtualRuntime } from '../../src/runtime/virtual-runtime.ts';
import {
  BLOCK_OPEN_MS,
  BLOCK_SIZE,
  blockCreatedAt,
  blockOf,
  isTaskId,
  parseTaskId,
  SHARDS_MAX,
  shardOf,
  TASK_ID_LENGTH,
  TaskIds,
} from '../../src/task/id.ts';
import { T0 } from '../support/builders.ts';

const ids = (seed = 1, shard = 0) => new TaskIds(shard, createVirtualRuntime(seed).id);

describe('task ids', () => {
  it('rise with every call of one coordinator, also when its clock is set back', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -5_000, max: 5_000 }), { maxLength: 400 }), (steps) => {
        const source = ids();
        let now = T0;
        let last = '';
        for (const step of steps) {
          now += step;
          const id = source.next(now);
          expect(id > last).toBe(true);
          last = id;
        }
      }),
      { numRuns: 50 },
    );
  });

  it('of two coordinators sort by creation once their blocks have closed, and never meet', () => {
    const [one, two] = [ids(1), ids(2)];
    const early = Array.from({ length: 300 }, () => [one.next(T0), two.next(T0)]).flat();
    const late = Array.from({ length: 300 }, () => [one.next(T0 + 2_000), two.next(T0 + 2_000)]).flat();
    expect(new Set([...early, ...late]).size).toBe(1_200);
    expect(early.sort().at(-1)! < late.sort()[0]!).toBe(true);
  });

  it('say their shard, block and time, on every shard', () => {
    for (const shard of [0, 1, 31, 32, SHARDS_MAX - 1]) {
      const id = ids(1, shard).next(T0);
      expect(id).toHaveLength(TASK_ID_LENGTH);
      expect(shardOf(id)).toBe(shard);
      expect(parseTaskId(id)).toEqual({ block: blockOf(id), field: id.slice(15), shard, createdAt: T0 });
      expect(blockCreatedAt(id)).toBe(T0);
    }
  });

  it('of different shards sort by time before shard', () => {
    expect(ids(1, 1_000).next(T0) < ids(1, 3).next(T0 + 1)).toBe(true);
  });

  it('share a block until it is full or has been open for long', () => {
    const source = ids();
    const full = Array.from({ length: BLOCK_SIZE + 1 }, () => blockOf(source.next(T0)));
    expect(new Set(full.slice(0, BLOCK_SIZE)).size).toBe(1);
    expect(full[BLOCK_SIZE]).not.toBe(full[0]);
    expect(blockOf(source.next(T0 + BLOCK_OPEN_MS - 1))).toBe(full[BLOCK_SIZE]);
    expect(blockOf(source.next(T0 + BLOCK_OPEN_MS + 1))).not.toBe(full[BLOCK_SIZE]);
  });

  it('are told from other texts by their form', () => {
    const id = ids().next(T0);
    expect(isTaskId(id)).toBe(true);
    for (const other of ['', id.slice(1), `${id}0`, id.toUpperCase(), `${id.slice(1)}i`, `${id.slice(1)}\n`]) {
      expect(isTaskId(other)).toBe(false);
    }
  });
});
