import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { demandOfLane, laneOf } from '../../src/scheduling/lane.ts';
import { type Ageing, comparePlaces, scoreOf } from '../../src/scheduling/order.ts';
import { placeTasks, type WorkerCapacity } from '../../src/scheduling/placement.ts';
import { kindOfDemand, planAssignments, planTake } from '../../src/scheduling/plan.ts';
import { addAmounts, type Requirements, requirementsText } from '../../src/scheduling/requirements.ts';
import { aWorker } from './builders.ts';

const NOW = 10_000_000;
const AGEING = 60_000;

interface Waiting {
  id: string;
  agent: string;
  tenant: string;
  priority: number;
  queuedAt: number;
  score: number;
  require?: Requirements;
  requirements?: string;
}

function aTask(over: Partial<Waiting> & { id: string }, ageing: Ageing = AGEING): Waiting {
  const task = { agent: 'echo', tenant: 'default', priority: 5, queuedAt: NOW, ...over };
  const requirements = task.require && requirementsText(task.require);
  return { ...task, requirements, score: scoreOf(task, ageing) };
}

const tasksOf = (count: number, over: Partial<Waiting> = {}) =>
  Array.from({ length: count }, (_, at) => aTask({ id: `t${String(at).padStart(4, '0')}`, ...over }));

function lanesOf(tasks: readonly Waiting[]): Map<string, Waiting[]> {
  const lanes = new Map<string, Waiting[]>();
  for (const task of tasks) lanes.set(laneOf(task), [...(lanes.get(laneOf(task)) ?? []), task]);
  for (const lane of lanes.values()) lane.sort(comparePlaces);
  return lanes;
}

function plan(tasks: readonly Waiting[], workers: readonly WorkerCapacity[], paused: string[] = []) {
  return planAssignments({ lanes: lanesOf(tasks), paused: new Set(paused), workers, now: NOW });
}

const pairs = (assignments: { task: { id: string }; worker: WorkerCapacity }[]) =>
  assignments.map(({ task, worker }) => [task.id, worker.ref]);

/** The rule in its plainest form: sort everything, then for each task look at every worker. Shares nothing with the code. */
function naivePlan(tasks: readonly Waiting[], workers: readonly WorkerCapacity[], paused: readonly string[]) {
  const held = workers.map((worker) => ({
    ...{ worker, occupied: worker.occupied, last: worker.lastAssignedAt },
    used: new Map(Object.entries(worker.used ?? {})),
  }));
  const slots = workers.reduce((sum, worker) => sum + worker.slots, 0);
  const urgentNow = workers.reduce((sum, worker) => sum + (worker.urgent ?? 0), 0);
  let urgentLeft = slots - Math.floor(slots / 10) - urgentNow;
  const chosen: [string, string][] = [];
  const sorted = [...tasks].sort((a, b) => (a.score === b.score ? (a.id < b.id ? -1 : 1) : a.score < b.score ? -1 : 1));
  for (const task of sorted) {
    if (paused.includes(task.agent)) continue;
    if (task.priority === 10 && urgentLeft <= 0) continue;
    const { worker: pin, labels = {}, resources = {} } = task.require ?? {};
    const able = held.filter(({ worker, occupied, used }) => {
      if (!worker.agents.has(task.agent) || worker.slots === 0) return false;
      if (pin !== undefined && worker.worker !== pin) return false;
      for (const name in labels) if (worker.labels?.[name] !== labels[name]) return false;
      for (const name in resources)
        if ((used.get(name) ?? 0) + resources[name]! > (worker.resources?.[name] ?? 0)) return false;
      return occupied < worker.slots + (worker.quick.has(task.agent) ? worker.extra : 0);
    });
    const busy = (worker: WorkerCapacity) =>
      worker.load ? Math.max(worker.load.cpu ?? 0, worker.load.memory ?? 0) : 1;
    const best = able.sort(
      (a, b) =>
        a.occupied / a.worker.slots - b.occupied / b.worker.slots ||
        busy(a.worker) - busy(b.worker) ||
        a.last - b.last ||
        (a.worker.ref < b.worker.ref ? -1 : 1),
    )[0];
    if (!best) continue;
    best.occupied += 1;
    for (const name in resources) best.used.set(name, (best.used.get(name) ?? 0) + resources[name]!);
    best.last = Math.max(best.last, NOW);
    if (task.priority === 10) urgentLeft -= 1;
    chosen.push([task.id, best.worker.ref]);
  }
  return chosen;
}

const AGENTS = ['a', 'b', 'c', 'd'];
const someAgents = fc.uniqueArray(fc.constantFrom(...AGENTS), { maxLength: 4 });

const workerList = fc
  .array(
    fc.record({
      agents: someAgents.map((names) => new Set(names)),
      slots: fc.integer({ min: 0, max: 9 }),
      extra: fc.integer({ min: 0, max: 5 }),
      quick: fc.oneof(fc.constant<string[]>([]), someAgents).map((names) => new Set(names)),
      occupied: fc.integer({ min: 0, max: 6 }),
      urgent: fc.integer({ min: 0, max: 2 }),
      lastAssignedAt: fc.constantFrom(0, 1, 2, NOW + 5),
      load: fc.option(fc.record({ cpu: fc.constantFrom(0, 0.5) }), { nil: undefined }),
      labels: fc.constantFrom<Record<string, string>>({}, { zone: 'eu' }, { zone: 'us' }, { zone: 'eu', disk: 'ssd' }),
      resources: fc.constantFrom<Record<string, number>>({}, { gpu: 1 }, { gpu: 3, ram: 8 }, { ram: 2 }),
      used: fc.constantFrom<Record<string, number>>({}, {}, { gpu: 1 }, { ram: 9 }),
    }),
    { maxLength: 8 },
  )
  .map((list) => list.map((worker, at) => ({ ...worker, ref: `w${at}@1`, worker: `w${at}` })));

const aRequirement: fc.Arbitrary<Requirements | undefined> = fc.constantFrom<Requirements | undefined>(
  ...[undefined, undefined, undefined, {}],
  ...[{ labels: { zone: 'eu' } }, { labels: { zone: 'eu', disk: 'ssd' } }, { worker: 'w1' }, { worker: 'gone' }],
  ...[{ resources: { gpu: 1 } }, { resources: { gpu: 2 } }, { resources: { gpu: 1, ram: 4 }, labels: { zone: 'eu' } }],
  ...[{ resources: { ram: 1 }, worker: 'w2' }],
);

const taskList = (priorities: fc.Arbitrary<number>) =>
  fc
    .array(
      fc.record({
        agent: fc.constantFrom(...AGENTS),
        tenant: fc.constantFrom('x', 'y'),
        priority: priorities,
        queuedAt: fc.integer({ min: 0, max: 12 }).map((steps) => NOW - steps * (AGEING / 2)),
        require: aRequirement,
      }),
      { maxLength: 60 },
    )
    .chain((list) => fc.shuffledSubarray([...list.keys()], { minLength: list.length }).map((ids) => ({ list, ids })))
    .map(({ list, ids }) => list.map((task, at) => aTask({ ...task, id: `t${ids[at]}` })));

describe('planAssignments', () => {
  it('equals a naive reference on 1,000 random plans', () => {
    let assigned = 0;
    fc.assert(
      fc.property(
        taskList(fc.oneof(fc.integer({ min: 0, max: 10 }), fc.constant(10))),
        workerList,
        fc.uniqueArray(fc.constantFrom(...AGENTS), { maxLength: 2 }),
        (tasks, workers, paused) => {
          const found = pairs(plan(tasks, workers, paused).assignments);
          assigned += found.length;
          expect(found).toEqual(naivePlan(tasks, workers, paused));
        },
      ),
      { numRuns: 1_000 },
    );
    expect(assigned).toBeGreaterThan(1_000);
  });

  it('assigns exactly 64 of 1,000 tasks to 64 free slots, in the order of their scores', () => {
    const tasks = tasksOf(1_000).map((task, at) =>
      aTask({ ...task, priority: (at * 7) % 10, tenant: `tenant-${at % 5}` }),
    );
    const workers = Array.from({ length: 16 }, (_, at) => aWorker({ ref: `w${at}` }));
    const { assignments } = plan(tasks, workers);
    const expected = [...tasks].sort(comparePlaces).slice(0, 64);
    expect(assignments.map(({ task }) => task.id)).toEqual(expected.map((task) => task.id));
    expect(planTake(workers)).toEqual({ max: 64, urgentMax: 58, agents: { echo: 64 }, requires: {} });
  });

  it('keeps the order across agents and tenants', () => {
    const tasks = [
      aTask({ id: 'third', agent: 'echo', queuedAt: NOW + 2 }),
      aTask({ id: 'first', agent: 'sleep', tenant: 'x', queuedAt: NOW }),
      aTask({ id: 'second', agent: 'echo', tenant: 'x', queuedAt: NOW + 1 }),
    ];
    const { assignments } = plan(tasks, [aWorker({ agents: new Set(['echo', 'sleep']), slots: 2 })]);
    expect(assignments.map(({ task }) => task.id)).toEqual(['first', 'second']);
  });

  it.each([
    ['a paused agent', 'paused', { agent: 'echo' }, aWorker(), ['echo']],
    ['an agent no worker has', 'no_worker', { agent: 'none' }, aWorker(), []],
    ['a task for a worker that is gone', 'no_worker', { require: { worker: 'w9' } }, aWorker({ worker: 'w1' }), []],
    ['a task with labels no worker has', 'no_worker', { require: { labels: { zone: 'eu' } } }, aWorker(), []],
    [
      'a task whose resources are in use',
      'no_room',
      { require: { resources: { gpu: 1 } } },
      aWorker({ resources: { gpu: 1 }, used: { gpu: 1 } }),
      [],
    ],
    ['an agent whose workers are full', 'no_room', { agent: 'echo' }, aWorker({ occupied: 4 }), []],
    ['urgent tasks beyond their share', 'urgent_share', { priority: 10 }, aWorker({ slots: 10, urgent: 10 }), []],
  ])('names why %s waits, and serves the lanes behind it', (_, reason, over, worker, paused) => {
    const blocked = aTask({ id: 'blocked', queuedAt: NOW - 5, ...over });
    const other = aWorker({ ref: 'w2', agents: new Set(['other']), slots: 1 });
    const found = plan([blocked, aTask({ id: 'free', agent: 'other' })], [worker, other], paused);
    expect(pairs(found.assignments)).toEqual([['free', 'w2']]);
    expect(found.blocked).toEqual([{ lane: laneOf(blocked), reason }]);
  });

  it.each([
    [1, 1],
    [9, 9],
    [10, 9],
    [19, 18],
    [64, 58],
  ])('with %i slots and urgent tasks waiting gives them %i, the rest to the others', (slots, urgent) => {
    const tasks = [...tasksOf(100, { priority: 10 }), aTask({ id: 'x1' })];
    const more = Array.from({ length: 20 }, (_, at) => aTask({ id: `y${at}` }));
    const { assignments } = plan([...tasks, ...more], [aWorker({ slots })]);
    expect(assignments.filter(({ task }) => task.priority === 10)).toHaveLength(urgent);
    expect(assignments).toHaveLength(slots);
  });

  it('counts urgent tasks that run already against their share', () => {
    const { assignments } = plan(tasksOf(100, { priority: 10 }), [aWorker({ slots: 20, occupied: 15, urgent: 15 })]);
    expect(assignments).toHaveLength(3);
  });
});

describe('planTake', () => {
  it('asks for the free slots, and for what may be sent ahead to quick agents only', () => {
    const workers = [
      aWorker({ ref: 'w1', agents: new Set(['echo', 'slow']), extra: 6, quick: new Set(['echo']), occupied: 1 }),
      aWorker({ ref: 'w2', agents: new Set(['slow']), occupied: 2 }),
      aWorker({ ref: 'w3', agents: new Set(['full']), occupied: 5 }),
    ];
    expect(planTake(workers)).toEqual({ max: 11, urgentMax: 11, agents: { echo: 9, slow: 5 }, requires: {} });
  });

  it.each([
    [1, 0, 1],
    [9, 0, 9],
    [10, 0, 9],
    [64, 0, 58],
    [64, 60, 0],
  ])('with %i slots of which %i run urgent tasks, takes at most %i urgent ones', (slots, urgent, urgentMax) => {
    expect(planTake([aWorker({ slots, urgent, occupied: urgent })]).urgentMax).toBe(urgentMax);
  });

  it('asks of each demand for as much as has room at the workers that meet it and have its agent', () => {
    const demandOf = (require: Requirements, agent = 'echo') =>
      demandOfLane(laneOf({ agent, tenant: 'x', priority: 10, require }))!;
    const workers = [
      aWorker({ worker: 'w1', labels: { zone: 'eu' }, resources: { gpu: 2 }, used: { gpu: 1 } }),
      aWorker({ ref: 'w2', worker: 'w2', agents: new Set(['other']), labels: { zone: 'eu' }, resources: { gpu: 9 } }),
      aWorker({ ref: 'w3', worker: 'w3', labels: { zone: 'us' }, resources: { gpu: 9 }, occupied: 3 }),
    ];
    const wanted: [string, number][] = [
      [demandOf({ worker: 'w1' }), 4],
      [demandOf({ worker: 'w2' }), 0],
      [demandOf({ worker: 'w9' }), 0],
      [demandOf({ labels: { zone: 'eu' } }), 4],
      [demandOf({ labels: { zone: 'eu' } }, 'other'), 4],
      [demandOf({ resources: { gpu: 1 } }), 2],
      [demandOf({ resources: { gpu: 4 } }, 'other'), 2],
      [demandOf({ resources: { gpu: 1 }, worker: 'w1' }), 1],
      ['echo|r=nonsense', 0],
    ];
    const { requires } = planTake(
      workers,
      wanted.map(([demand]) => [demand, kindOfDemand(demand)]),
    );
    expect(requires).toEqual(Object.fromEntries(wanted));
  });

  it('asks for nothing without workers', () => {
    expect(planTake([])).toEqual({ max: 0, urgentMax: 0, agents: {}, requires: {} });
  });

  it('ends, taken and placed in rounds, at the plan that one task at a time would make', () => {
    fc.assert(
      fc.property(taskList(fc.integer({ min: 0, max: 9 })), workerList, (tasks, workers) => {
        const expected = pairs(plan(tasks, workers).assignments);
        expect(takeInRounds(tasks, workers).sort()).toEqual(expected.sort());
      }),
      { numRuns: 300 },
    );
  });
});

/** What the distributor does: take within the caps, place, give back what did not fit, again until nothing is placed. */
function takeInRounds(tasks: readonly Waiting[], workers: readonly WorkerCapacity[]): string[][] {
  const done: string[][] = [];
  let fleet = [...workers];
  let waiting = [...tasks].sort(comparePlaces);
  for (let round = 0; round <= tasks.length; round++) {
    const demands = new Set(waiting.flatMap((task) => demandOfLane(laneOf(task)) ?? []));
    const caps = planTake(
      fleet,
      [...demands].map((demand) => [demand, kindOfDemand(demand)]),
    );
    const taken: Waiting[] = [];
    for (const task of waiting) {
      const demand = demandOfLane(laneOf(task));
      if (taken.length === caps.max || !caps.agents[task.agent] || (demand && !caps.requires[demand])) continue;
      caps.agents[task.agent]! -= 1;
      if (demand) caps.requires[demand]! -= 1;
      taken.push(task);
    }
    const { assignments } = placeTasks(taken, fleet, NOW);
    // Whatever was taken, its first task has a place: else it would be given back and taken again without end.
    if (taken.length > 0 && assignments[0]?.task !== taken[0]) throw new Error(`${taken[0]?.id} was taken for nothing`);
    if (assignments.length === 0) return done;
    done.push(...pairs(assignments));
    waiting = waiting.filter((task) => !assignments.some((one) => one.task.id === task.id));
    fleet = fleet.map((worker) => {
      const mine = assignments.filter((one) => one.worker.ref === worker.ref);
      const got = mine.length;
      if (got === 0) return worker;
      const used = { ...worker.used };
      for (const { task } of mine) addAmounts(used, task.require?.resources);
      return { ...worker, used, occupied: worker.occupied + got, lastAssignedAt: Math.max(worker.lastAssignedAt, NOW) };
    });
  }
  return done;
}
