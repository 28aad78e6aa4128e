/** Whatever was done to a store with a journal, it stands the same after reading back: closed, dropped, or compacting. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { capsOfLane } from '../../../src/scheduling/caps.ts';
import type { Commit, IndexChange, Store, Unit } from '../../../src/store/store.ts';
import { anId, T0 } from '../../support/builders.ts';
import { aFolder, copyOf, durableOf, openJournal } from './support.ts';

const RUNS = 60;
const SHARDS = 2;
const TASKS = [0, 0, 0, 1e9, 1e9, 2e9].map((later) => T0 + later);
const IDS = Array.from({ length: SHARDS }, (_, shard) => TASKS.map((at) => anId(shard, at)));
const LANES = ['echo|a', 'echo|b|k=x', '!echo|a', 'other|a'];
const INDEXES = ['due', 'deadline', 'expiry', 'held:w1@1-a', 'held:w2@2-b', 'cap:a|echo', 'cap:a|other'] as const;

const aText = fc.constantFrom('{}', '[]', '{"é":1e400}', '\ud800', '');
const aScore = fc.integer({ min: -2, max: 4 });
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

const aChange: fc.Arbitrary<IndexChange> = fc.record({
  do: fc.constantFrom('add', 'remove', 'min'),
  index: fc.constantFrom(...INDEXES),
  member: fc.constantFrom('x', 'y', 'z'),
  score: aScore,
});

/** What the state machine would make of it: a task stands in its lane while it is queued. */
interface Write {
  task: number;
  how: 'queue' | 'activate' | 'end' | 'remove' | 'reseal';
  token: string | undefined;
  parts: {
    spec?: string | undefined;
    input?: string | undefined;
    trail?: string | undefined;
    result?: string | null | undefined;
  };
  unique: boolean;
  score: number;
  more: IndexChange[];
}

const aWrite: fc.Arbitrary<Write> = fc.record({
  task: fc.nat(TASKS.length - 1),
  how: fc.constantFrom('queue', 'queue', 'queue', 'activate', 'activate', 'end', 'remove', 'reseal'),
  token: fc.option(fc.constantFrom('t1', 't2'), { nil: undefined, freq: 2 }),
  parts: fc.record({ spec: maybe(aText), input: maybe(aText), trail: maybe(aText), result: maybe(fc.option(aText)) }),
  unique: fc.boolean(),
  score: aScore,
  more: fc.array(aChange, { maxLength: 3 }),
}) as fc.Arbitrary<Write>;

type Step =
  | { call: 'write'; shard: number; writes: Write[] }
  | { call: 'take' | 'giveBack'; shard: number; token: string }
  | { call: 'pause'; shard: number; agent: string; paused: boolean }
  | { call: 'caps'; shard: number; limits: Record<string, number>; version: number }
  | { call: 'schedule'; shard: number; key: string; text: string | null; expect: number }
  | { call: 'announce'; name: string; card: string }
  | { call: 'cursor'; shard: number; to: number }
  | { call: 'retire'; shard: number }
  | { call: 'epoch'; shard: number }
  | { call: 'later' };

const aShard = fc.nat(SHARDS - 1);
const aStep = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      call: fc.constant('write'),
      shard: aShard,
      writes: fc.array(aWrite, { minLength: 1, maxLength: 4 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      call: fc.constantFrom('take', 'take', 'giveBack'),
      shard: aShard,
      token: fc.constantFrom('t1', 't2'),
    }),
  },
  fc.record({
    call: fc.constant('pause'),
    shard: aShard,
    agent: fc.constantFrom('echo', 'other'),
    paused: fc.boolean(),
  }),
  fc.record({
    call: fc.constant('caps'),
    shard: aShard,
    limits: fc.dictionary(fc.constantFrom('a|echo', 't|a'), fc.nat(2)),
    version: fc.nat(3),
  }),
  fc.record({
    call: fc.constant('schedule'),
    shard: aShard,
    key: fc.constantFrom('s1', 's2'),
    text: fc.option(aText),
    expect: fc.nat(2),
  }),
  fc.record({ call: fc.constant('announce'), name: fc.constantFrom('echo', 'other'), card: aText }),
  fc.record({ call: fc.constant('cursor'), shard: aShard, to: fc.nat(9) }),
  fc.record({ call: fc.constant('retire'), shard: aShard }),
  fc.record({ call: fc.constant('epoch'), shard: aShard }),
  fc.record({ call: fc.constant('later') }),
) as fc.Arbitrary<Step>;

class Driver {
  readonly #store: Store;
  readonly #versions = new Map<string, number>();
  #ops = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  async step(step: Step, later: (ms: number) => Promise<void>): Promise<void> {
    const store = this.#store;
    switch (step.call) {
      case 'write':
        return this.#write(step.shard, step.writes);
      case 'take': {
        const request = { token: step.token, max: 3, urgentMax: 3, agents: { echo: 2, other: 1 }, lanesMax: 10 };
        await store.take(step.shard, request);
        return;
      }
      case 'giveBack':
        return store.giveBack(step.shard, step.token);
      case 'pause':
        return store.setPaused(step.shard, step.agent, step.paused);
      case 'caps':
        await store.changeCaps(step.shard, { do: 'set', limits: step.limits, version: step.version });
        return;
      case 'schedule':
        await store.writeSchedule(step.shard, { key: step.key, expect: step.expect, text: step.text, dueAt: T0 + 5 });
        return;
      case 'announce':
        return store.announce([{ name: step.name, card: step.card }]);
      case 'cursor': {
        const from = await store.reportCursor(step.shard);
        const cursor = { from, entries: [{ id: `${T0 + step.to}-0`, units: [] }] };
        await store.commit(step.shard, { op: `o${this.#ops++}`, units: [], cursor });
        return;
      }
      case 'retire':
        await store.retire(step.shard, 'w1', '1-a');
        return;
      case 'epoch': {
        const held = await store.lock(step.shard).acquire(1);
        if (held) await store.claimEpoch(step.shard, held.value, 'c1');
        return;
      }
      case 'later':
        return later(2_100);
    }
  }

  async #write(shard: number, writes: Write[]): Promise<void> {
    const commit: Commit = { op: `o${this.#ops++}`, units: writes.map((write) => this.#unit(shard, write)) };
    const { units } = await this.#store.commit(shard, commit);
    units.forEach((outcome, at) => {
      const unit = commit.units[at]!;
      if (!outcome.ok || unit.repair) return;
      this.#versions.set(unit.id, unit.remove ? 0 : unit.expect + 1);
    });
  }

  #unit(shard: number, { task, how, token, parts, unique, score, more }: Write): Unit {
    const id = IDS[shard]![task]!;
    const expect = this.#versions.get(id) ?? 0;
    const lane = LANES[task % LANES.length]!;
    if (how === 'reseal') return { id, expect, state: 'queued', repair: true, reseal: 'new', indexes: [] };
    const state = how === 'queue' ? 'queued' : how === 'activate' ? 'running' : 'completed';
    const inLane: IndexChange = { do: how === 'queue' ? 'add' : 'remove', lane, score };
    const caps = capsOfLane(lane).map((cap): IndexChange => {
      return { do: how === 'activate' ? 'add' : 'remove', index: `cap:${cap}`, member: id, score: 0 };
    });
    const unit: Unit = { id, expect, state, ...parts, indexes: [inLane, ...caps, ...more] };
    if (how === 'remove') unit.remove = true;
    if (unique) unit.unique = { key: `k${task % 2}`, digest: 'd', ttlMs: 60_000 };
    if (token !== undefined && how === 'activate') {
      unit.token = token;
      unit.indexes = more.filter((change) => !('index' in change && change.index.startsWith('cap:')));
    }
    return unit;
  }
}

async function run(steps: Step[], compactBeyond: number): Promise<void> {
  const folder = await aFolder();
  const { store, runtime } = await openJournal(folder, { shards: SHARDS, compactBeyond });
  await store.claimIdentity({ uuid: 'u', schema: 1, shards: SHARDS });
  const driver = new Driver(store);
  for (const step of steps) await driver.step(step, runtime.advance);
  // While files come and go, a copy of them all is of no one moment: `stops.test.ts` stops at each.
  const dropped = compactBeyond > 1e6 ? [await copyOf(folder)] : [];
  for (let shard = 0; shard < SHARDS; shard++) for (const token of ['t1', 't2']) await store.giveBack(shard, token);
  const before = await durableOf(store, SHARDS);
  await store.close();
  for (const place of [...dropped, folder]) {
    const again = await openJournal(place, { shards: SHARDS });
    expect(again.problems).toEqual([]);
    expect(await durableOf(again.store, SHARDS)).toEqual(before);
    await again.store.close();
  }
}

it('stands the same after it was closed, and after it was dropped', async () => {
  const steps = fc.array(aStep, { maxLength: 40, size: 'max' });
  await fc.assert(
    fc.asyncProperty(steps, (list) => run(list, 1e9)),
    { numRuns: RUNS },
  );
}, 60_000);

it('stands the same when it was compacted all the time', async () => {
  const steps = fc.array(aStep, { maxLength: 40, size: 'max' });
  await fc.assert(
    fc.asyncProperty(steps, (list) => run(list, 200)),
    { numRuns: RUNS },
  );
}, 60_000);
