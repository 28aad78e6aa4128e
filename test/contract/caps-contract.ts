import fc from 'fast-check';
import { expect, it } from 'vitest';
import { capsOfLane, limitOf } from '../../src/scheduling/caps.ts';
import { RESERVATION_MS, type Unit } from '../../src/store/store.ts';
import { A_LANE, inLane } from '../support/builders.ts';
import type { World } from './world.ts';

const KEYED = 'echo|default|k=a';
const OTHER_KEY = 'echo|default|k=b';
const BOTH = { echo: 100, other: 100 };
const CAP = 'a|echo';

export function describeCaps(here: () => World): void {
  it('takes no more of an agent than its limit, and hides nobody behind it', async () => {
    const world = here();
    await limit(world, { [CAP]: 2 });
    const [one, two] = await world.create(at(1), at(2), at(3));
    const other = await world.createOne(at(9, 'other|default'));
    expect(await world.takeIds({ agents: BOTH })).toEqual([one, two, other]);
    expect(await world.takeIds({ token: 't2', agents: BOTH })).toEqual([]);
    expect((await world.store.queues(world.shard, 10)).queues).toEqual([
      { lane: A_LANE, length: 1, score: 3, paused: false, capped: CAP },
    ]);
  });

  it('counts a tenant over all agents, and each tenant for itself', async () => {
    const world = here();
    await limit(world, { t: 1 });
    const [mine] = await world.create(at(1, 'echo|x'), at(2, 'other|x'));
    const yours = await world.createOne(at(3, 'other|y'));
    expect(await world.takeIds({ agents: BOTH })).toEqual([mine, yours]);
  });

  it('runs tasks of one concurrency key one after another where the agent names no limit', async () => {
    const world = here();
    const [a, , b] = await world.create(at(1, KEYED), at(2, KEYED), at(3, OTHER_KEY), at(4, OTHER_KEY));
    expect(await world.takeIds()).toEqual([a, b]);
  });

  it('keeps the limit of an agent for each of its keys, whoever asks for priority or requires something', async () => {
    const world = here();
    await limit(world, { 'k|echo': 2 });
    const [one, two] = await world.create(at(1, `!${KEYED}`), at(2, `${KEYED}|r={}`), at(3, KEYED));
    expect(await world.takeIds({ requires: { 'echo|r={}': 10 } })).toEqual([one, two]);
  });

  it('gives a place on when a task ends, comes back, or its reservation runs out', async () => {
    const world = here();
    await limit(world, { [CAP]: 1 });
    const [one, two] = await world.create(at(1), at(2), at(3, 'echo|y'));
    const id = one!;
    expect(await world.takeIds({ token: 't1' })).toEqual([id]);
    expect(await world.takeIds({ token: 't2' })).toEqual([]);
    await world.commit({ units: [assigned(world, id, 't1')] });
    expect(await world.takeIds({ token: 't2' })).toEqual([]);
    const before = (await world.fields('wake')).length;
    await world.commit({ units: [ended(world, id)] });
    expect((await world.fields('wake')).slice(before)).toEqual([{ q: '1' }]);
    expect(await world.takeIds({ token: 't3' })).toEqual([two]);
    await world.store.giveBack(world.shard, 't3');
    expect(await world.takeIds({ token: 't4' })).toEqual([two]);
    expect(await world.takeIds({ token: 't5' })).toEqual([]);
    await world.advance(RESERVATION_MS + 50);
    expect(await world.takeIds({ token: 't6' })).toEqual([two]);
  });

  it('lets a task that was rejected instead of assigned leave its place', async () => {
    const world = here();
    await limit(world, { [CAP]: 1 });
    const [one, two] = await world.create(at(1), at(2));
    await world.take({ token: 't1' });
    await world.take({ token: 't2' });
    const unit = world.unit({ id: one!, expect: 1, state: 'failed', token: 't1', indexes: [] });
    await world.commit({ units: [unit] });
    expect(await world.takeIds({ token: 't3' })).toEqual([two]);
  });

  it('frees the place of a reserved task that was cancelled when the reservation ends', async () => {
    const world = here();
    await limit(world, { [CAP]: 1 });
    const [one, two] = await world.create(at(1), at(2));
    await world.take({ token: 't1' });
    await world.commit({ units: [world.unit({ id: one!, expect: 1, state: 'cancelled', indexes: [] })] });
    expect(await world.takeIds({ token: 't2' })).toEqual([]);
    await world.store.giveBack(world.shard, 't1', [one!]);
    expect(await world.takeIds({ token: 't3' })).toEqual([two]);
  });

  it('counts what was assigned past the cap, and keeps it when the reservation it stood in ends', async () => {
    const world = here();
    await limit(world, { [CAP]: 1 });
    const [one] = await world.create(at(1), at(2));
    await world.take({ token: 't1' });
    const byHand = assigned(world, one!, undefined);
    byHand.indexes = [{ do: 'add', index: `cap:${CAP}`, member: one!, score: 0 }];
    await world.commit({ units: [byHand] });
    await world.store.giveBack(world.shard, 't1');
    expect(await world.takeIds({ token: 't2' })).toEqual([]);
    expect((await world.store.caps(world.shard, 10)).used).toMatchObject([{ cap: CAP, used: 1, limit: 1 }]);
  });

  it('puts lanes back when a limit rises or goes, and wakes the distributors', async () => {
    const world = here();
    await limit(world, { [CAP]: 1 });
    await world.create(...[1, 2, 3, 4].map((score) => at(score, `echo|t${score}`)));
    expect(await world.takeIds({ token: 't1' })).toHaveLength(1);
    const before = (await world.fields('wake')).length;
    await limit(world, { [CAP]: 2 }, 2);
    expect((await world.fields('wake')).slice(before)).toEqual([{ q: '1' }]);
    expect(await world.takeIds({ token: 't2' })).toHaveLength(1);
    await world.store.changeCaps(world.shard, { do: 'set', limits: { [CAP]: null }, version: 3 });
    expect(await world.takeIds({ token: 't3' })).toHaveLength(2);
  });

  it('hands a place on when the lane it was given to meets another full cap', async () => {
    const world = here();
    await limit(world, { [CAP]: 1, t: 1 });
    // The tenant x is full through another agent, so its lane cannot use the place that the agent gets free.
    const [blocker] = await world.create(at(1, 'other|x'));
    const running = await world.createOne(at(2, 'echo|z'));
    expect(await world.takeIds({ token: 't1', agents: BOTH })).toEqual([blocker, running]);
    await world.create(at(3, 'echo|x'), at(4, 'echo|y'));
    const [, last] = await world.create(at(5, 'echo|x'), at(6, 'echo|w'));
    await world.store.giveBack(world.shard, 't1', [blocker!]);
    // Both wait for the agent now; the tenant fills up again before the agent gets free.
    expect(await world.takeIds({ token: 't2', agents: BOTH })).toEqual([blocker]);
    await world.commit({ units: [world.unit({ id: running, expect: 1, state: 'cancelled', indexes: [] })] });
    await world.store.giveBack(world.shard, 't1', [running]);
    const found: string[] = [];
    for (let round = 0; round < 3; round++) found.push(...(await world.takeIds({ token: `r${round}`, agents: BOTH })));
    expect(found).toHaveLength(1);
    expect(found).not.toContain(last);
  });

  it('does not lose a place to a lane that nobody serves', async () => {
    const world = here();
    await limit(world, { t: 1 });
    const [running] = await world.create(at(1, 'other|x'));
    await world.take({ token: 't1', agents: BOTH });
    await world.create(at(2, 'echo|x'));
    const wanted = await world.createOne(at(3, 'other|x'));
    await world.take({ token: 't2', agents: BOTH });
    await world.commit({ units: [world.unit({ id: running!, expect: 1, state: 'cancelled', indexes: [] })] });
    await world.store.giveBack(world.shard, 't1');
    // The best waiting lane came back, but this distributor has no worker for it.
    const found: string[] = [];
    for (let round = 0; round < 3; round++)
      found.push(...(await world.takeIds({ token: `r${round}`, agents: { other: 9 } })));
    expect(found).toEqual([wanted]);
  });

  it('parks a waiting lane with its agent, and lets it wait on afterwards', async () => {
    const world = here();
    await limit(world, { [CAP]: 1 });
    await world.create(at(1), at(2));
    await world.take({ token: 't1' });
    await world.take({ token: 't2' });
    await world.store.setPaused(world.shard, 'echo', true);
    expect((await world.store.queues(world.shard, 10)).queues).toEqual([
      { lane: A_LANE, length: 1, score: 2, paused: true },
    ]);
    await world.store.giveBack(world.shard, 't1');
    expect(await world.takeIds({ token: 't3' })).toEqual([]);
    await world.store.setPaused(world.shard, 'echo', false);
    expect(await world.takeIds({ token: 't4' })).toHaveLength(1);
    expect(await world.takeIds({ token: 't5' })).toEqual([]);
  });

  it('forgets a waiting lane whose last task was cancelled', async () => {
    const world = here();
    await limit(world, { [CAP]: 1 });
    const [, two] = await world.create(at(1), at(2, 'echo|y'));
    await world.take({ token: 't1' });
    await world.take({ token: 't2' });
    const gone = world.unit({
      id: two!,
      expect: 1,
      state: 'cancelled',
      indexes: [{ ...inLane('echo|y', 2), do: 'remove' }],
    });
    await world.commit({ units: [gone] });
    expect((await world.store.queues(world.shard, 10)).queues).toEqual([]);
    expect((await world.store.caps(world.shard, 10)).used).toMatchObject([{ cap: CAP, waitingLanes: 0 }]);
  });

  it('counts a repaired entry, takes out what does not belong, and never what is reserved', async () => {
    const world = here();
    await limit(world, { [CAP]: 1 });
    const running = await world.createOne({ state: 'running', indexes: [] });
    const ghost = await world.createOne({ state: 'completed', indexes: [capEntry('add', 'ghost')] });
    const repair = (id: string, state: Unit['state'], verb: 'add' | 'remove', member = id) =>
      world.unit({ id, expect: 1, state, repair: true, indexes: [capEntry(verb, member)] });
    const { units } = await world.commit({
      units: [repair(running, 'running', 'add'), repair(ghost, 'completed', 'remove', 'ghost')],
    });
    expect(units).toMatchObject([{ repaired: 1 }, { repaired: 1 }]);
    const waiting = await world.createOne(at(1));
    expect(await world.takeIds()).toEqual([]);
    await limit(world, { [CAP]: 2 }, 2);
    expect(await world.takeIds()).toEqual([waiting]);
    expect((await world.commit({ units: [repair(waiting, 'queued', 'remove')] })).units).toMatchObject([
      { repaired: 0 },
    ]);
  });

  it('introduces a limit only where none stands, and replaces them only for the owner', async () => {
    const world = here();
    const { store, shard } = world;
    await store.changeCaps(shard, { do: 'introduce', limits: { [CAP]: 3, t: 5 } });
    await store.changeCaps(shard, { do: 'introduce', limits: { [CAP]: 9 } });
    expect((await store.caps(shard, 10)).limits).toEqual({ [CAP]: 3, t: 5 });
    expect(await store.changeCaps(shard, { do: 'replace', limits: {}, epoch: '1.wrong' })).toMatchObject({ ok: false });
    const held = await store.lock(shard).acquire(10_000);
    const epoch = (await store.claimEpoch(shard, held!.value, 'c1'))!;
    expect(await store.changeCaps(shard, { do: 'replace', limits: { t: 2 }, epoch })).toMatchObject({ ok: true });
    expect((await store.caps(shard, 10)).limits).toEqual({ t: 2 });
  });

  it('refuses shares of an older ledger, lowers without raising, and says what is used', async () => {
    const world = here();
    const { store, shard } = world;
    await limit(world, { [CAP]: 3 }, 5);
    await world.create(at(1), at(2));
    await world.take({ token: 't1' });
    expect(await store.changeCaps(shard, { do: 'set', limits: { [CAP]: 9 }, version: 4 })).toEqual({
      ok: false,
      used: {},
    });
    const lower = (limits: Record<string, number>) => store.changeCaps(shard, { do: 'lower', limits, version: 5 });
    expect(await lower({ [CAP]: 1 })).toEqual({ ok: true, used: { [CAP]: 2 } });
    await lower({ [CAP]: 7, 'a|new': 0 });
    expect((await store.caps(shard, 10)).limits).toEqual({ [CAP]: 1, 'a|new': 0 });
  });

  it('keeps every cap over any sequence of calls, and comes to the end of every lane', async () => {
    const world = here();
    const runs = world.store.kind === 'memory' ? 60 : 15;
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ call: fc.constant('add' as const), lane: fc.nat(LANES.length - 1), score: fc.nat(9) }),
      },
      { weight: 5, arbitrary: fc.record({ call: fc.constant('take' as const), max: fc.nat(4), only: fc.nat(2) }) },
      { weight: 3, arbitrary: fc.record({ call: fc.constant('assign' as const), at: fc.nat(9) }) },
      { weight: 3, arbitrary: fc.record({ call: fc.constant('end' as const), at: fc.nat(9), how: fc.nat(2) }) },
      { weight: 2, arbitrary: fc.record({ call: fc.constant('giveBack' as const), at: fc.nat(9) }) },
      { weight: 1, arbitrary: fc.record({ call: fc.constant('pause' as const), paused: fc.boolean() }) },
      { weight: 1, arbitrary: fc.record({ call: fc.constant('repair' as const), at: fc.nat(9) }) },
    );
    let round = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        round += 1;
        const play = new CapPlay(world, round);
        await play.begin();
        for (const one of steps) await play.step(one);
        await play.finish();
      }),
      { numRuns: runs },
    );
  }, 60_000);
}

const LANES = ['echo|x', '!echo|x', 'echo|y', 'other|x', 'other|y', 'echo|x|k=1', 'echo|x|k=2', 'other|y|k=1'];
const LIMITS = new Map([
  ['a|echo', 3],
  ['t', 4],
  ['k|echo', 2],
]);

interface Played {
  id: string;
  lane: string;
  score: number;
  version: number;
  state: 'queued' | 'reserved' | 'running';
  token: string;
}

type CapStep =
  | { call: 'add'; lane: number; score: number }
  | { call: 'take'; max: number; only: number }
  | { call: 'assign' | 'giveBack' | 'repair'; at: number }
  | { call: 'end'; at: number; how: number }
  | { call: 'pause'; paused: boolean };

/** Tasks of its own agents, so that many plays may follow each other in one store. */
class CapPlay {
  readonly #world: World;
  readonly #round: number;
  readonly #tasks: Played[] = [];
  #tokens = 0;

  constructor(world: World, round: number) {
    this.#world = world;
    this.#round = round;
  }

  async begin(): Promise<void> {
    const limits: Record<string, number> = {};
    for (const [name, most] of LIMITS) limits[name === 't' ? name : `${name}${this.#round}`] = most;
    await limit(this.#world, limits, this.#round);
  }

  async step(step: CapStep): Promise<void> {
    switch (step.call) {
      case 'add':
        return this.#add(LANES[step.lane]!, step.score);
      case 'take':
        return this.#take(step.max, [['echo', 'other'], ['echo'], ['other']][step.only]!);
      case 'assign':
        return this.#assign(this.#pick('reserved', step.at));
      case 'giveBack':
        return this.#giveBack(this.#pick('reserved', step.at));
      case 'end':
        return this.#end(this.#pick('running', step.at), step.how);
      case 'repair':
        return this.#repair(this.#pick('queued', step.at));
      case 'pause':
        return this.#world.store.setPaused(this.#world.shard, `echo${this.#round}`, step.paused);
    }
  }

  /** Every task gets its turn, a place at a time. */
  async finish(): Promise<void> {
    await this.step({ call: 'pause', paused: false });
    for (let turn = 0; turn < 200 && this.#tasks.length > 0; turn++) {
      await this.#take(10, ['echo', 'other']);
      while (this.#pick('reserved', 0)) await this.#assign(this.#pick('reserved', 0));
      await this.#end(this.#pick('running', 0), 0);
    }
    expect(this.#tasks, 'left waiting for ever').toEqual([]);
  }

  #pick(state: Played['state'], at: number): Played | undefined {
    const found = this.#tasks.filter((task) => task.state === state);
    return found[at % found.length];
  }

  async #add(name: string, score: number): Promise<void> {
    // Tenants too belong to the round.
    const lane = name.replace(/^(!?)(\w+)\|(\w+)/, `$1$2${this.#round}|$3${this.#round}`);
    const id = await this.#world.createOne({ indexes: [inLane(lane, score)] });
    this.#tasks.push({ id, lane, score, version: 1, state: 'queued', token: '' });
  }

  async #take(max: number, agents: string[]): Promise<void> {
    this.#tokens += 1;
    const token = `p${this.#round}-${this.#tokens}`;
    const of = Object.fromEntries(agents.map((agent) => [`${agent}${this.#round}`, 100]));
    for (const id of await this.#world.takeIds({ token, max, agents: of })) {
      Object.assign(this.#tasks.find((task) => task.id === id)!, { state: 'reserved', token });
    }
    this.#expectWithinLimits();
  }

  async #assign(task: Played | undefined): Promise<void> {
    if (!task) return;
    const unit = { ...assigned(this.#world, task.id, task.token), expect: task.version };
    const { units } = await this.#world.commit({ units: [unit] });
    // A reservation runs out where time passes by itself.
    if (units[0]!.ok) Object.assign(task, { state: 'running', version: task.version + 1 });
    else task.state = 'queued';
  }

  async #giveBack(task: Played | undefined): Promise<void> {
    if (!task) return;
    await this.#world.store.giveBack(this.#world.shard, task.token, [task.id]);
    task.state = 'queued';
  }

  /** 0 = it ends, 1 = it is queued again, 2 = it is lost to a repair that finds it running and counts it. */
  async #end(task: Played | undefined, how: number): Promise<void> {
    if (!task) return;
    const out = capsOfLane(task.lane).map(
      (cap) => ({ do: 'remove', index: `cap:${cap}`, member: task.id, score: 0 }) as const,
    );
    const base = { id: task.id, expect: task.version };
    if (how === 2) {
      const indexes = out.filter(({ index }) => index !== 'cap:t').map((entry) => ({ ...entry, do: 'add' as const }));
      await this.#world.commit({ units: [this.#world.unit({ ...base, state: 'running', repair: true, indexes })] });
      return;
    }
    const state = how === 0 ? 'completed' : 'queued';
    const indexes = how === 0 ? out : [...out, inLane(task.lane, task.score)];
    await this.#world.commit({ units: [this.#world.unit({ ...base, state, indexes })] });
    if (how === 0) this.#tasks.splice(this.#tasks.indexOf(task), 1);
    else Object.assign(task, { state: 'queued', version: task.version + 1 });
  }

  async #repair(task: Played | undefined): Promise<void> {
    if (!task) return;
    const base = { id: task.id, expect: task.version, state: 'queued', repair: true } as const;
    await this.#world.commit({ units: [this.#world.unit({ ...base, indexes: [inLane(task.lane, task.score)] })] });
  }

  #expectWithinLimits(): void {
    const used = new Map<string, number>();
    for (const { state, lane } of this.#tasks) {
      if (state === 'queued') continue;
      for (const cap of capsOfLane(lane)) used.set(cap, (used.get(cap) ?? 0) + 1);
    }
    for (const [cap, count] of used) {
      const most = limitOf(cap.replace(new RegExp(`^(k\\|[a-z]+|a\\|[a-z]+)${this.#round}`), '$1'), LIMITS);
      expect(count, `tasks in ${cap}`).toBeLessThanOrEqual(most ?? count);
    }
  }
}

function at(score: number, lane = A_LANE): Partial<Unit> {
  return { indexes: [inLane(lane, score)] };
}

function capEntry(verb: 'add' | 'remove', member: string) {
  return { do: verb, index: `cap:${CAP}`, member, score: 0 } as const;
}

async function limit(world: World, limits: Record<string, number>, version = 1): Promise<void> {
  await world.store.changeCaps(world.shard, { do: 'set', limits, version });
}

function assigned(world: World, id: string, token: string | undefined): Unit {
  return world.unit({ id, expect: 1, state: 'assigned', indexes: [], ...(token === undefined ? {} : { token }) });
}

function ended(world: World, id: string): Unit {
  return world.unit({ id, expect: 2, state: 'completed', indexes: [capEntry('remove', id)] });
}
