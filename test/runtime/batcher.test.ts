import { describe, expect, it } from 'vitest';
import { Batcher, type BatcherOptions } from '../../src/runtime/batcher.ts';
import { createVirtualRuntime } from '../../src/runtime/virtual-runtime.ts';

interface Flight {
  items: number[];
  land: (answers: (string | Error)[]) => void;
  crash: (error: Error) => void;
}

function world(o: Partial<BatcherOptions<number, string>> = {}) {
  const runtime = createVirtualRuntime(1);
  const flights: Flight[] = [];
  const run = (items: number[]) =>
    new Promise<(string | Error)[]>((land, crash) => flights.push({ items, land, crash }));
  const batcher = new Batcher<number, string>({ runtime, sizeMax: 10, flightsMax: 1, run, ...o });
  return { batcher, flights, turn: () => runtime.advance(0) };
}

describe('a batcher', () => {
  it('sends a single call alone at the end of the turn', async () => {
    const { batcher, flights, turn } = world();
    const answer = batcher.add(1);
    expect(flights).toEqual([]);
    await turn();
    expect(flights.map(({ items }) => items)).toEqual([[1]]);
    flights[0]!.land(['one']);
    expect(await answer).toBe('one');
  });

  it('sends what came in the same turn together, and each caller gets its own answer', async () => {
    const { batcher, flights, turn } = world();
    const answers = Promise.all([1, 2, 3].map((item) => batcher.add(item)));
    await turn();
    flights[0]!.land(['one', 'two', 'three']);
    expect(await answers).toEqual(['one', 'two', 'three']);
    expect(flights).toHaveLength(1);
  });

  it('gathers while all flights are under way, so batches grow with the load', async () => {
    const { batcher, flights, turn } = world({ flightsMax: 2 });
    void batcher.add(1);
    await turn();
    void batcher.add(2);
    await turn();
    for (const item of [3, 4, 5]) void batcher.add(item);
    await turn();
    expect(flights).toHaveLength(2);
    flights[1]!.land(['two']);
    await turn();
    expect(flights.map(({ items }) => items)).toEqual([[1], [2], [3, 4, 5]]);
  });

  it('sends no more than fits one batch, and the rest at once if it may', async () => {
    const { batcher, flights, turn } = world({ sizeMax: 2, flightsMax: 2 });
    for (const item of [1, 2, 3, 4, 5]) void batcher.add(item);
    await turn();
    expect(flights.map(({ items }) => items)).toEqual([
      [1, 2],
      [3, 4],
    ]);
    flights[0]!.land(['', '']);
    await turn();
    expect(flights[2]!.items).toEqual([5]);
  });

  it('rejects one item alone when its answer is an error', async () => {
    const { batcher, flights, turn } = world();
    const [good, bad] = [batcher.add(1), batcher.add(2)];
    const refused = expect(bad).rejects.toThrow('full');
    await turn();
    flights[0]!.land(['one', new Error('full')]);
    expect(await good).toBe('one');
    await refused;
  });

  it('rejects the whole batch when the flight failed, and goes on', async () => {
    const { batcher, flights, turn } = world();
    const failed = Promise.all([1, 2].map((item) => expect(batcher.add(item)).rejects.toThrow('away')));
    await turn();
    flights[0]!.crash(new Error('away'));
    await failed;
    const answer = batcher.add(3);
    await turn();
    flights[1]!.land(['three']);
    expect(await answer).toBe('three');
  });

  it('bounds what flies together by weight too, and lets a heavier item fly alone', async () => {
    const { batcher, flights, turn } = world({ flightsMax: 9, weight: { of: (item) => item, max: 10 } });
    for (const item of [4, 6, 1, 30, 5, 5, 5]) void batcher.add(item);
    await turn();
    expect(flights.map(({ items }) => items)).toEqual([[4, 6], [1], [30], [5, 5], [5]]);
  });
});
