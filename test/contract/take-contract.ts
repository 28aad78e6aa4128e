import { describe, expect, it } from 'vitest';
import { RESERVATION_MS, UNITS_MAX, UNKNOWN_MAX } from '../../src/store/store.ts';
import { A_LANE, inLane, outOfLane } from '../support/builders.ts';
import { ALREADY, CONFLICT, idsOf, WON, type World } from './world.ts';

const URGENT_LANE = '!echo|default';
const BOTH = { echo: 100, other: 100 };

export function describeTaking(here: () => World): void {
  it('takes the best tasks by score, ties by id, with record, input, lane and score', async () => {
    const world = here();
    const [third, first, second, last] = await world.create(at(5), at(1), at(5), at(9));
    const order = [first, ...[third, second].sort()];
    const { tasks, now, next } = await world.take({ max: 3 });
    expect(tasks.map(({ task }) => task.id)).toEqual(order);
    expect(tasks[0]).toEqual({ task: { ...(await world.record(first!)) }, lane: A_LANE, score: 1 });
    expect(tasks[0]!.task).toMatchObject({ state: 'queued', version: 1, input: '{"text":"hello"}' });
    expect(now).toBeLessThanOrEqual(await world.store.now());
    expect(next).toBeUndefined();
    expect(await world.takeIds({ token: 't2' })).toEqual([last]);
  });

  it('keeps the exact order across lanes, ties by id', async () => {
    const world = here();
    const lanes = ['echo|z', 'other|a', 'echo|m'];
    const places = Array.from({ length: 24 }, (_, n) => ({ lane: lanes[n % 3]!, score: (n * 7) % 5 }));
    const ids = await world.create(...places.map(({ lane, score }) => at(score, lane)));
    const wanted = ids
      .map((id, n) => ({ id, score: places[n]!.score }))
      .sort((a, b) => a.score - b.score || (a.id < b.id ? -1 : 1))
      .map(({ id }) => id);
    const first = await world.takeIds({ agents: BOTH, max: 10 });
    const rest = await world.takeIds({ agents: BOTH, token: 't2' });
    expect([...first, ...rest]).toEqual(wanted);
  });

  it('gives one task to one taker', async () => {
    const world = here();
    const ids = await world.create(...Array.from({ length: 40 }, (_, n) => at(n)));
    const tokens = ['a', 'b', 'c', 'd', 'e'];
    const taken = await Promise.all(tokens.map((token) => world.takeIds({ token, max: 10 })));
    expect(taken.flat().sort()).toEqual(ids);
  });

  it('takes only tasks of agents that can be served, and of each as many as it may', async () => {
    const world = here();
    const ids = await world.create(at(1), at(2), at(3), at(4, 'other|a'), at(5, 'other|b'), at(6, 'third|a'));
    expect(await world.takeIds({ agents: { echo: 2, other: 1, none: 5 } })).toEqual([ids[0], ids[1], ids[3]]);
    expect(await world.takeIds({ token: 't2', agents: { other: 0 } })).toEqual([]);
    expect(await world.takeIds({ token: 't3', agents: {} })).toEqual([]);
  });

  it('takes nothing when it may take nothing', async () => {
    const world = here();
    await world.create(at(1));
    expect(await world.takeIds({ max: 0 })).toEqual([]);
    expect(await world.lanes()).toEqual({ [A_LANE]: 1 });
  });

  it('takes at most 500 tasks at once', async () => {
    const world = here();
    await world.create(...Array.from({ length: 500 }, (_, n) => at(n)));
    await world.create(at(1_000));
    expect(await world.takeIds({ max: 10_000, agents: { echo: 10_000 } })).toHaveLength(UNITS_MAX);
    expect(await world.takeIds({ token: 't2' })).toHaveLength(1);
  });

  it('takes no more urgent tasks than it may, and fills up with others', async () => {
    const world = here();
    const urgent = await world.create(at(-9, URGENT_LANE), at(-8, URGENT_LANE), at(-7, '!other|a'));
    const [usual] = await world.create(at(4));
    expect(await world.takeIds({ agents: BOTH, urgentMax: 2 })).toEqual([urgent[0], urgent[1], usual]);
    expect(await world.takeIds({ agents: BOTH, urgentMax: 0, token: 't2' })).toEqual([]);
    expect(await world.takeIds({ agents: BOTH, urgentMax: 1, token: 't3' })).toEqual([urgent[2]]);
  });

  it('counts urgent and other lanes of one agent against the same bound', async () => {
    const world = here();
    const [urgent, usual] = await world.create(at(-9, URGENT_LANE), at(1), at(2));
    expect(await world.takeIds({ agents: { echo: 2 } })).toEqual([urgent, usual]);
  });

  it('ends at its bound of lanes, and continues behind it next time', async () => {
    const world = here();
    const lanes = ['a', 'b', 'c', 'd', 'e'].map((tenant) => `echo|${tenant}`);
    const ids = await world.create(...lanes.map((lane, n) => at(n, lane)));
    const first = await world.take({ lanesMax: 2, agents: { other: 1 } });
    expect(first).toMatchObject({ tasks: [], next: { lane: lanes[1], score: 1 } });
    const second = await world.take({ lanesMax: 2, after: first.next!, token: 't2' });
    expect(idsOf(second)).toEqual([ids[2], ids[3]]);
    const third = await world.take({ lanesMax: 2, after: second.next!, token: 't3' });
    expect(idsOf(third)).toEqual([ids[4]]);
    expect(third.next).toBeUndefined();
  });

  it('continues among lanes whose heads have one score', async () => {
    const world = here();
    const ids = await world.create(...['a', 'b', 'c'].map((tenant) => at(7, `echo|${tenant}`)));
    const first = await world.take({ lanesMax: 1 });
    expect(idsOf(first)).toEqual([ids[0]]);
    expect(await world.takeIds({ lanesMax: 2, after: first.next!, token: 't2' })).toEqual([ids[1], ids[2]]);
  });

  it('says that it has looked at all when the bound was just enough', async () => {
    const world = here();
    await world.create(at(1, 'echo|a'), at(2, 'echo|b'));
    expect((await world.take({ lanesMax: 2, agents: { other: 1 } })).next).toBeUndefined();
  });

  it('answers a repeated token with what it holds, and takes nothing more', async () => {
    const world = here();
    const ids = await world.create(at(1), at(2), at(3));
    const first = await world.take({ max: 2 });
    const again = await world.take({ max: 2 });
    expect(again.tasks).toEqual(first.tasks);
    expect(await world.takeIds({ token: 't2' })).toEqual([ids[2]]);
  });

  it('drops entries whose record is gone or no longer queued', async () => {
    const world = here();
    const [cancelled, removed, good] = await world.create(at(1), at(2), at(3));
    await world.commit({
      units: [
        world.unit({ id: cancelled!, expect: 1, state: 'cancelled' }),
        world.unit({ id: removed!, expect: 1, remove: true }),
      ],
    });
    expect(await world.lanes()).toEqual({ [A_LANE]: 3 });
    expect(await world.takeIds({ max: 1 })).toEqual([good]);
    expect(await world.lanes()).toEqual({});
  });

  it('lets a unit win by its token only while the task stands in that reservation', async () => {
    const world = here();
    const [taken, waiting] = await world.create(at(1), at(2));
    await world.take({ max: 1 });
    const assign = (id: string, token: string) =>
      world.unit({ id, expect: 1, state: 'assigned', token, indexes: [outOfLane()] });
    const NOT_RESERVED = { ok: false, reason: 'reservation' };
    const { units } = await world.commit({ units: [assign(taken!, 't2'), assign(waiting!, 't1')] });
    expect(units).toEqual([NOT_RESERVED, NOT_RESERVED]);
    const commit = { op: 'assign', units: [assign(taken!, 't1')] };
    expect((await world.commit(commit)).units).toEqual([WON]);
    expect((await world.commit(commit)).units).toEqual([ALREADY]);
    await world.store.giveBack(world.shard, 't1');
    expect(await world.lanes()).toEqual({ [A_LANE]: 1 });
  });

  it('ends the reservation with the unit that won by it', async () => {
    const world = here();
    const id = await world.createOne(at(1));
    await world.take();
    await world.commit({ units: [world.unit({ id, expect: 1, state: 'assigned', token: 't1' })] });
    await world.commit({ units: [world.unit({ id, expect: 2, state: 'queued' })] });
    const again = world.unit({ id, expect: 3, state: 'assigned', token: 't1' });
    expect((await world.commit({ units: [again] })).units).toEqual([{ ok: false, reason: 'reservation' }]);
    await world.store.giveBack(world.shard, 't1');
    expect(await world.lanes()).toEqual({});
  });

  it('lets a taken task be cancelled, which the assignment then loses to', async () => {
    const world = here();
    const id = await world.createOne(at(1));
    await world.take();
    await world.commit({ units: [world.unit({ id, expect: 1, state: 'cancelled', indexes: [outOfLane()] })] });
    const assign = world.unit({ id, expect: 1, state: 'assigned', token: 't1' });
    expect((await world.commit({ units: [assign] })).units).toEqual([CONFLICT]);
    await world.store.giveBack(world.shard, 't1');
    expect(await world.lanes()).toEqual({});
  });

  it('gives back those named or all of the token, to their old place', async () => {
    const world = here();
    const ids = await world.create(at(1), at(2, URGENT_LANE), at(3));
    await world.take({ urgentMax: 5 });
    const last = await world.last('wake');
    await world.store.giveBack(world.shard, 't1', [ids[1]!, 'unknown']);
    expect((await world.store.queues(world.shard, 10)).queues).toEqual([
      { lane: URGENT_LANE, length: 1, score: 2, paused: false },
    ]);
    expect(await world.fields('wake', last)).toEqual([{ q: '1' }]);
    await world.store.giveBack(world.shard, 't1');
    await world.store.giveBack(world.shard, 't1');
    const { tasks } = await world.take({ token: 't2' });
    expect(tasks.map(({ task, score, lane }) => [task.id, score, lane])).toEqual([
      [ids[0], 1, A_LANE],
      [ids[1], 2, URGENT_LANE],
      [ids[2], 3, A_LANE],
    ]);
  });

  it('does not give back what another token holds', async () => {
    const world = here();
    const id = await world.createOne(at(1));
    await world.take();
    await world.store.giveBack(world.shard, 't2', [id]);
    await world.store.giveBack(world.shard, 't2');
    expect(await world.lanes()).toEqual({});
  });

  it('leaves a task that entered its lane anew at its new place when it is given back', async () => {
    const world = here();
    const id = await world.createOne(at(5));
    await world.take();
    await world.commit({ units: [world.unit({ id, expect: 1, state: 'cancelled', indexes: [outOfLane(A_LANE, 5)] })] });
    await world.commit({ units: [world.unit({ id, expect: 2, indexes: [inLane(A_LANE, 8)] })] });
    await world.store.giveBack(world.shard, 't1');
    expect((await world.store.queues(world.shard, 10)).queues).toMatchObject([{ length: 1, score: 8 }]);
  });

  it('gives expired reservations back on request, and only those', async () => {
    const world = here();
    const ids = await world.create(at(1), at(2));
    await world.take();
    expect(await world.store.expireReservations(world.shard)).toBe(0);
    await world.advance(RESERVATION_MS + 50);
    expect(await world.store.expireReservations(world.shard)).toBe(2);
    expect(await world.store.expireReservations(world.shard)).toBe(0);
    const assign = world.unit({ id: ids[0]!, expect: 1, state: 'assigned', token: 't1' });
    expect((await world.commit({ units: [assign] })).units).toEqual([{ ok: false, reason: 'reservation' }]);
    expect(await world.lanes()).toEqual({ [A_LANE]: 2 });
  });

  it('gives expired reservations back before it takes', async () => {
    const world = here();
    const ids = await world.create(at(1), at(2));
    await world.take({ max: 1 });
    await world.advance(RESERVATION_MS + 50);
    expect(await world.takeIds({ token: 't2' })).toEqual(ids);
  });

  it('takes nothing of a paused agent, in any of its lanes, until it is resumed', async () => {
    const world = here();
    const ids = await world.create(at(-1, URGENT_LANE), at(1), at(2, 'echo|b'), at(3, 'echoes|a'));
    await world.store.setPaused(world.shard, 'echo', true);
    const [late] = await world.create(at(0, 'echo|c'));
    expect(await world.store.paused(world.shard)).toEqual(['echo']);
    const agents = { echo: 10, echoes: 10 };
    expect(await world.takeIds({ agents })).toEqual([ids[3]]);
    const { queues } = await world.store.queues(world.shard, 10);
    expect(queues.map(({ lane, paused }) => [lane, paused]).sort()).toEqual([
      [URGENT_LANE, true],
      ['echo|b', true],
      ['echo|c', true],
      [A_LANE, true],
    ]);
    await world.store.setPaused(world.shard, 'echo', false);
    expect(await world.store.paused(world.shard)).toEqual([]);
    expect(await world.takeIds({ agents, token: 't2' })).toEqual([ids[0], late, ids[1], ids[2]]);
  });

  it('parks what is given back while its agent is paused', async () => {
    const world = here();
    const id = await world.createOne(at(1));
    await world.take();
    await world.store.setPaused(world.shard, 'echo', true);
    await world.store.giveBack(world.shard, 't1');
    expect(await world.takeIds({ token: 't2' })).toEqual([]);
    expect((await world.store.queues(world.shard, 10)).queues).toMatchObject([{ lane: A_LANE, paused: true }]);
    await world.store.setPaused(world.shard, 'echo', false);
    expect(await world.takeIds({ token: 't3' })).toEqual([id]);
  });

  describe('of lanes that require something of a worker', () => {
    const GPU = 'echo|a|r={"resources":{"gpu":1}}';
    const EU = 'echo|a|r={"labels":{"zone":"eu"}}';
    const [GPU_DEMAND, EU_DEMAND] = ['echo|r={"resources":{"gpu":1}}', 'echo|r={"labels":{"zone":"eu"}}'];

    it('takes none that it was not told of, names them, best first, and goes on behind them', async () => {
      const world = here();
      const ids = await world.create(
        at(1, EU),
        at(2, GPU),
        at(3, EU.replace('|a', '|b|k=x')),
        at(4),
        at(5, 'other|a|r=x'),
      );
      const reply = await world.take({ max: 2 });
      expect(idsOf(reply)).toEqual([ids[3]]);
      expect(reply.unknown).toEqual([EU_DEMAND, GPU_DEMAND]);
      expect(await world.lanes()).toMatchObject({ [EU]: 1, [GPU]: 1 });
    });

    it('takes of each demand as many as it may, over all its lanes, within the bound of the agent', async () => {
      const world = here();
      const urgent = `!${GPU}`;
      const ids = await world.create(
        at(-5, urgent),
        at(1, GPU),
        at(2, GPU.replace('|a', '|b')),
        at(3, EU),
        at(4, EU),
        at(5),
      );
      const requires = { [GPU_DEMAND]: 2, [EU_DEMAND]: 9 };
      const reply = await world.take({ requires, urgentMax: 1, agents: { echo: 4 } });
      expect(idsOf(reply)).toEqual([ids[0], ids[1], ids[3], ids[4]]);
      expect(reply.unknown).toBeUndefined();
      expect(reply.tasks[0]).toMatchObject({ lane: urgent, score: -5 });
      const rest = await world.take({ token: 't2', requires: { [GPU_DEMAND]: 1 } });
      expect(idsOf(rest)).toEqual([ids[2], ids[5]]);
    });

    it('does not name what it was told of, nor lanes of agents that it cannot serve', async () => {
      const world = here();
      await world.create(at(1, GPU), at(2, 'other|a|r={"worker":"w1"}'), at(3, '!echo|a|r={"worker":"w2"}'));
      const reply = await world.take({ requires: { [GPU_DEMAND]: 0 }, urgentMax: 0 });
      expect(reply).toMatchObject({ tasks: [] });
      expect(reply.unknown).toBeUndefined();
    });

    it('names so many at most, and each once', async () => {
      const world = here();
      const lanes = Array.from({ length: UNKNOWN_MAX + 1 }, (_, n) => `echo|a|r={"worker":"w${n}"}`);
      await world.create(at(0, `!${lanes[0]}`), ...lanes.map((lane, n) => at(n, lane)));
      const { unknown, next } = await world.take({ lanesMax: 1_000 });
      expect(unknown).toEqual(lanes.slice(0, UNKNOWN_MAX).map((lane) => lane.replace('|a', '')));
      expect(next).toBeUndefined();
    });

    it('takes a tenant for what it is, whatever it is called', async () => {
      const world = here();
      const [id] = await world.create(at(1, 'echo|r=gpu'));
      expect(await world.takeIds()).toEqual([id]);
    });
  });

  it('lets pausing and resuming be repeated', async () => {
    const world = here();
    const id = await world.createOne(at(1));
    await world.store.setPaused(world.shard, 'echo', true);
    await world.store.setPaused(world.shard, 'echo', true);
    await world.store.setPaused(world.shard, 'echo', false);
    await world.store.setPaused(world.shard, 'echo', false);
    expect(await world.takeIds()).toEqual([id]);
  });
}

function at(score: number, lane = A_LANE) {
  return { indexes: [inLane(lane, score)] };
}
