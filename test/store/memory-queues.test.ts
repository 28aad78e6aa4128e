import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createMemoryStore } from '../../src/store/memory/memory-store.ts';
import { virtualRuntime } from '../contract/virtual-runtime.ts';
import { idsOf, World } from '../contract/world.ts';
import { inLane, outOfLane } from '../support/builders.ts';
import { type ModelTake, type ModelTask, QueueModel } from './queue-model.ts';

type Step =
  | { do: 'create'; lane: string; score: number }
  | ({ do: 'take' } & ModelTake)
  | { do: 'assign' | 'cancel' | 'requeue'; pick: number; score: number }
  | { do: 'giveBack'; token: string }
  | { do: 'wait'; ms: number }
  | { do: 'pause'; agent: string; paused: boolean }
  | { do: 'expire' };

const AGENTS = ['a', 'b', 'c'];
const token = fc.constantFrom('t1', 't2', 't3');
const lane = fc.constantFrom('a|x', 'a|y', 'b|x', 'c|x', '!a|x', '!b|x', 'b|y|k=1');
const score = fc.integer({ min: 0, max: 12 });
const room = fc.integer({ min: 0, max: 6 });
const create = fc.record({ do: fc.constant('create' as const), lane, score });
const take = fc.record({
  do: fc.constant('take' as const),
  token,
  max: fc.integer({ min: 0, max: 8 }),
  urgentMax: room,
  agents: fc.record({ a: room, b: room, c: room }, { requiredKeys: [] }) as fc.Arbitrary<Record<string, number>>,
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: create },
  { weight: 4, arbitrary: take },
  fc.record({
    do: fc.constantFrom('assign' as const, 'cancel' as const, 'requeue' as const),
    pick: fc.nat(1_000),
    score,
  }),
  fc.record({ do: fc.constant('giveBack' as const), token }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 1_500 }) }),
  fc.record({ do: fc.constant('pause' as const), agent: fc.constantFrom(...AGENTS), paused: fc.boolean() }),
  fc.record({ do: fc.constant('expire' as const) }),
);

describe('lanes, take and reservations of the memory store', () => {
  it('do what one sorted list would do', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 120, size: 'max' }), async (steps) => {
        const runtime = virtualRuntime();
        const opened = { store: createMemoryStore({ runtime, shards: 1 }), advance: runtime.advance };
        const world = new World(1, { ...opened, close: () => opened.store.close() });
        const model = new QueueModel();
        // The model knows no caps, and without a limit of its own a key has one.
        await world.store.changeCaps(0, { do: 'introduce', limits: { 'k|b': 1_000 } });
        for (const one of steps) {
          await apply(one, world, model);
          expect(await world.lanes()).toEqual(model.lengths());
        }
      }),
      { numRuns: 300 },
    );
  });
});

async function apply(step: Step, world: World, model: QueueModel): Promise<void> {
  const now = await world.store.now();
  switch (step.do) {
    case 'create':
      return model.add(await world.createOne({ indexes: [inLane(step.lane, step.score)] }), step.lane, step.score);
    case 'take': {
      const { do: _, ...request } = step;
      return expect(idsOf(await world.take(request))).toEqual(model.take(request, now));
    }
    case 'assign':
      return assign(world, model, step.pick);
    case 'cancel':
      return cancel(world, model.waiting(), step.pick);
    case 'requeue':
      return requeue(world, model, step);
    case 'giveBack':
      await world.store.giveBack(0, step.token);
      return model.giveBack(step.token);
    case 'wait':
      return world.advance(step.ms);
    case 'pause':
      if (step.paused) model.paused.add(step.agent);
      else model.paused.delete(step.agent);
      return world.store.setPaused(0, step.agent, step.paused);
    case 'expire':
      expect(await world.store.expireReservations(0)).toBe(model.expire(now));
  }
}

/** Any task may be named; only one that is reserved can be assigned under its token. */
async function assign(world: World, model: QueueModel, pick: number): Promise<void> {
  const task = model.tasks.filter((one) => one.queued)[pick % Math.max(1, model.tasks.length)];
  if (!task) return;
  const unit = { id: task.id, expect: task.version, state: 'assigned' as const, token: task.token ?? 't1' };
  const { units } = await world.commit({
    units: [world.unit({ ...unit, indexes: [outOfLane(task.lane, task.score)] })],
  });
  expect(units[0]!.ok).toBe(task.token !== null);
  if (task.token !== null) Object.assign(task, { queued: false, token: null, version: task.version + 1 });
}

async function cancel(world: World, tasks: ModelTask[], pick: number): Promise<void> {
  const task = tasks[pick % Math.max(1, tasks.length)];
  if (!task) return;
  const indexes = [outOfLane(task.lane, task.score)];
  await world.commit({ units: [world.unit({ id: task.id, expect: task.version, state: 'cancelled', indexes })] });
  Object.assign(task, { queued: false, version: task.version + 1 });
}

async function requeue(
  world: World,
  model: QueueModel,
  { pick, score }: { pick: number; score: number },
): Promise<void> {
  const ended = model.tasks.filter((task) => !task.queued);
  const task = ended[pick % Math.max(1, ended.length)];
  if (!task) return;
  await world.commit({
    units: [world.unit({ id: task.id, expect: task.version, indexes: [inLane(task.lane, score)] })],
  });
  Object.assign(task, { queued: true, score, version: task.version + 1 });
}
