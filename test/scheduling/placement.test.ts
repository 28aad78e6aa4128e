import { describe, expect, it } from 'vitest';
import { placeTasks, type WorkerCapacity } from '../../src/scheduling/placement.ts';
import { aWorker } from './builders.ts';

const NOW = 1_000;
const echoes = (count: number) => Array.from({ length: count }, (_, at) => ({ id: at, agent: 'echo' }));

function counts(assignments: { worker: WorkerCapacity }[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const { worker } of assignments) found[worker.ref] = (found[worker.ref] ?? 0) + 1;
  return found;
}

const chosen = (workers: WorkerCapacity[], agent = 'echo') =>
  placeTasks([{ agent }], workers, NOW).assignments[0]?.worker.ref;

describe('placeTasks', () => {
  it.each([
    [4, { one: 1, two: 1, five: 1, eight: 1 }],
    [8, { one: 1, two: 1, five: 2, eight: 4 }],
    [16, { one: 1, two: 2, five: 5, eight: 8 }],
  ])('shares %i tasks among workers of 1, 2, 5 and 8 slots by how full they are', (tasks, shares) => {
    const workers = Object.entries({ one: 1, two: 2, five: 5, eight: 8 }).map(([ref, slots]) =>
      aWorker({ ref, slots }),
    );
    expect(counts(placeTasks(echoes(tasks), workers, NOW).assignments)).toEqual(shares);
  });

  it('fills every slot and hands back the rest in order', () => {
    const { assignments, unplaced } = placeTasks(echoes(10), [aWorker(), aWorker({ ref: 'w2', occupied: 1 })], NOW);
    expect(assignments.map(({ task }) => task.id)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(unplaced.map((task) => task.id)).toEqual([7, 8, 9]);
  });

  it('prefers the lower occupied ÷ slots to the lower count', () => {
    expect(chosen([aWorker({ ref: 'a', slots: 2, occupied: 1 }), aWorker({ ref: 'b', slots: 8, occupied: 3 })])).toBe(
      'b',
    );
  });

  it('breaks ties by resources, then by idle time, then by ref', () => {
    const a = aWorker({ ref: 'a', load: { cpu: 0.2, memory: 0.9 }, lastAssignedAt: 1 });
    const b = aWorker({ ref: 'b', load: { cpu: 0.5, memory: 0.5 }, lastAssignedAt: 9 });
    expect(chosen([a, b])).toBe('b');
    expect(chosen([aWorker({ ref: 'silent' }), b])).toBe('b');
    expect(chosen([aWorker({ ref: 'a', lastAssignedAt: 5 }), aWorker({ ref: 'b', lastAssignedAt: 4 })])).toBe('b');
    expect(chosen([aWorker({ ref: 'b' }), aWorker({ ref: 'a' })])).toBe('a');
  });

  it('gives a task only to a worker that has its agent', () => {
    const workers = [aWorker({ ref: 'a', agents: new Set(['other']) }), aWorker({ ref: 'b', occupied: 3 })];
    expect(chosen(workers)).toBe('b');
    expect(chosen(workers, 'unknown')).toBeUndefined();
  });

  it('sends ahead to quick agents only, and only as far as the extra credit', () => {
    const worker = aWorker({ agents: new Set(['echo', 'slow']), slots: 2, extra: 3, quick: new Set(['echo']) });
    const tasks = [...echoes(3), { id: 3, agent: 'slow' }, ...echoes(4).map((task) => ({ ...task, id: task.id + 4 }))];
    const { assignments, unplaced } = placeTasks(tasks, [worker], NOW);
    expect(assignments.map(({ task }) => task.id)).toEqual([0, 1, 2, 4, 5]);
    expect(unplaced.map((task) => task.id)).toEqual([3, 6, 7]);
  });

  it('counts what one agent took against the room of another on the same worker', () => {
    const both = aWorker({ ref: 'both', agents: new Set(['echo', 'slow']), slots: 2 });
    const tasks = [{ agent: 'slow' }, { agent: 'echo' }, { agent: 'slow' }, { agent: 'echo' }];
    const { assignments, unplaced } = placeTasks(tasks, [both, aWorker({ ref: 'echo', slots: 1 })], NOW);
    expect(assignments.map(({ worker }) => worker.ref)).toEqual(['both', 'echo', 'both']);
    expect(unplaced).toEqual([{ agent: 'echo' }]);
  });

  it.each([
    ['no slots', { slots: 0, extra: 5, quick: new Set(['echo']) }],
    ['more than it should hold', { slots: 2, occupied: 9 }],
  ])('gives nothing to a worker with %s', (_, over) => {
    expect(chosen([aWorker(over)])).toBeUndefined();
  });

  it('leaves the workers as they were', () => {
    const worker = Object.freeze(aWorker());
    placeTasks(echoes(3), [worker], NOW);
    expect(worker.occupied).toBe(0);
  });

  it.each([
    ['equal workers', () => true],
    ['workers of many kinds', (worker: number, agent: number) => (worker * 7 + agent * 3) % 10 < 5],
  ])('places 1,000 tasks of 10 agents over 1,000 %s within a few milliseconds', (_, has) => {
    const names = Array.from({ length: 10 }, (_, at) => `agent-${at}`);
    const tasks = Array.from({ length: 1_000 }, (_, at) => ({ agent: names[at % 10]! }));
    const workers = Array.from({ length: 1_000 }, (_, at) =>
      aWorker({
        ref: `w${at}`,
        slots: 1 + (at % 8),
        agents: new Set(names.filter((_, agent) => has(at, agent))),
        lastAssignedAt: at % 7,
      }),
    );
    const times: number[] = [];
    for (let round = 0; round < 20; round++) {
      const start = performance.now();
      expect(placeTasks(tasks, workers, NOW).unplaced).toHaveLength(0);
      times.push(performance.now() - start);
    }
    // Measured 1 and 2 ms; a scan of all workers for each task 12. The best run leaves out what else the machine did.
    expect(Math.min(...times)).toBeLessThan(8);
  });
});
