/*
 * The two stores against each other: random sequences of calls must get equal answers, times and stream ids aside, and
 * leave equal state. What both get wrong alike is for the contract suite to find.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemRuntime } from '../../src/runtime/system-runtime.ts';
import { createMemoryStore } from '../../src/store/memory/memory-store.ts';
import { createRedisStore } from '../../src/store/redis/redis-store.ts';
import type {
  CapsChange,
  Commit,
  IndexChange,
  KeptResult,
  Store,
  StreamName,
  TakeRequest,
  Unit,
} from '../../src/store/store.ts';
import { TASK_STATES } from '../../src/task/task.ts';
import { anId, jsonOf, refTo, T0 } from '../support/builders.ts';
import { type RedisServer, startRedis } from '../support/redis-server.ts';

const RUNS = 250;
const STEPS_MAX = 30;
const IDS = [T0, T0, T0, T0 + 1e9, T0 + 1e9, T0 + 2e9].map((at) => anId(0, at));
const BLOCKS = [...new Set(IDS.map((id) => id.slice(0, 15)))];
const LANES = [
  ...['echo|a', 'echo|b|k=x', '!echo|a|r=x', 'other|a|r={"worker":"w1"}'],
  ...['echo|b|k=x|r={"worker":"w1"}', 'echo|r=c'],
];
const CAPS = ['a|echo', 'a|other', 't|a', 't|b', 'k|echo|b|x'];
const INDEXES = ['due', 'deadline', 'expiry', 'held:w1@1-a', 'held:w2@2-b', 'cap:a|echo', 'cap:k|echo|b|x'] as const;
const HOLDERS = ['w1@1-a', 'w2@2-b'];
const TOKENS = ['t1', 't2'];
const TEXTS = [jsonOf(20_000, 'x'), jsonOf(20_001, 'é')];
const KEPT = ['a1', 'a2'].map((attemptId) => ({ holder: HOLDERS[0]!, attemptId }));

/** A place in the report stream by number, since the stores give their entries different ids. */
type Place = number;
type AnyCommit = Omit<Commit, 'cursor' | 'epoch'> & {
  epoch: 'none' | 'standing' | 'other';
  cursor: { from: 'standing' | 'other'; entries: { at: Place; units: number[] }[] } | null;
};
type AnyCapsChange = { do: CapsChange['do']; limits: Record<string, number>; version: number; standing: boolean };
type Step =
  | { call: 'commit'; commit: AnyCommit }
  | { call: 'take'; request: TakeRequest; goOn: boolean }
  | { call: 'giveBack'; token: string; ids: string[] | undefined }
  | { call: 'setPaused'; agent: string; paused: boolean }
  | { call: 'changeCaps'; change: AnyCapsChange }
  | { call: 'report'; worker: string; incarnation: string; hint: string | null }
  | { call: 'beat'; worker: string; incarnation: string; wake: boolean }
  | { call: 'enlist' | 'retire'; worker: string; incarnation: string }
  | { call: 'trim'; at: Place }
  | { call: 'putResult'; kept: KeptResult; text: string }
  | { call: 'renewResults' | 'dropResults'; kept: KeptResult[] }
  | { call: 'claimEpoch' };

const aScore = fc.integer({ min: -2, max: 4 });
const aMember = fc.constantFrom('x', 'y', 'z');
const anIndexChange: fc.Arbitrary<IndexChange> = fc.oneof(
  fc.record({ do: fc.constantFrom('add', 'remove'), lane: fc.constant(''), score: aScore }),
  fc.record({
    do: fc.constantFrom('add', 'remove', 'min'),
    index: fc.constantFrom(...INDEXES),
    member: aMember,
    score: aScore,
  }),
) as fc.Arbitrary<IndexChange>;
const aText = fc.constantFrom('{}', '[]', '{"é":1e400}', '');
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 2 });
const rarely = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 7 });

const aPayload: fc.Arbitrary<Partial<Unit>> = fc.oneof(
  fc.constantFrom(...TEXTS).map((input) => ({ input: refTo(input), large: { input } })),
  fc.constantFrom(...TEXTS).map((result) => ({ result: refTo(result), large: { result } })),
  fc
    .tuple(fc.constantFrom(...TEXTS), fc.constantFrom(...KEPT))
    .map(([result, adopt]) => ({ result: refTo(result), adopt })),
);

const aUnit: fc.Arbitrary<Unit> = fc
  .record({
    id: fc.constantFrom(...IDS),
    expect: fc.constantFrom(0, 0, 0, 1, 1, 2, 3),
    state: fc.oneof(fc.constant('queued' as const), fc.constantFrom(...TASK_STATES)),
    spec: maybe(aText),
    input: maybe(aText),
    trail: maybe(aText),
    result: maybe(fc.option(aText)),
    reseal: maybe(aText),
    kind: fc.constantFrom('write', 'write', 'write', 'write', 'remove', 'repair'),
    token: rarely(fc.constantFrom(...TOKENS)),
    unique: rarely(
      fc.record({ key: fc.constantFrom('k1', 'k2'), digest: fc.constant('d'), ttlMs: fc.constant(60_000) }),
    ),
    indexes: fc.array(anIndexChange, { maxLength: 4 }),
    payloads: rarely(aPayload),
  })
  .map(({ kind, payloads, ...unit }) => ({
    ...unit,
    ...payloads,
    indexes: unit.indexes.map((change) => inItsLane(unit.id, change)),
    ...(kind === 'write' ? {} : { [kind]: true }),
  }));

/** A task has one lane for life: its specification never changes. */
function inItsLane(id: string, change: IndexChange): IndexChange {
  return 'lane' in change ? { ...change, lane: LANES[IDS.indexOf(id) % LANES.length]! } : change;
}

const aWorker = { worker: fc.constantFrom('w1', 'w2'), incarnation: fc.constantFrom('1-a', '2-b') };

const aCommit: fc.Arbitrary<AnyCommit> = fc.array(aUnit, { maxLength: 5 }).chain((units) => {
  const places = fc.uniqueArray(fc.nat(Math.max(0, units.length - 1)), { maxLength: units.length });
  return fc.record({
    op: fc.constantFrom('o1', 'o2', 'o3'),
    units: fc.constant(units),
    epoch: fc.constantFrom('none', 'none', 'none', 'standing', 'other'),
    cursor: fc.option(
      fc.record({
        from: fc.constantFrom('standing', 'standing', 'standing', 'other'),
        entries: fc.array(fc.record({ at: fc.nat(5), units: places }), { maxLength: 3 }),
      }),
      { freq: 1 },
    ),
    post: fc.array(fc.record({ holder: fc.constantFrom(...HOLDERS), envelope: fc.constant('e'), units: places }), {
      maxLength: 2,
    }),
    release: fc.array(
      fc.record({
        holder: fc.constantFrom(...HOLDERS),
        attempts: places.chain((at) =>
          fc.tuple(
            ...at.map((unit) => fc.record({ held: fc.constant(`h${unit}`), unit: fc.constantFrom(unit, undefined) })),
          ),
        ),
      }),
      { maxLength: 1 },
    ),
    quarantine: fc.array(fc.constant({ stream: 's', entry: '1-1', reason: 'r', text: 't' }), { maxLength: 1 }),
  }) as fc.Arbitrary<AnyCommit>;
});

const aTake = fc.record({
  token: fc.constantFrom(...TOKENS),
  max: fc.nat(4),
  urgentMax: fc.nat(2),
  agents: fc.constantFrom<TakeRequest['agents']>({ echo: 3 }, { echo: 1, other: 2 }, { other: 1 }, { echo: 0 }),
  lanesMax: fc.constantFrom(1, 2, 10),
  requires: fc.constantFrom<TakeRequest['requires']>(
    undefined,
    {},
    { 'echo|r={"worker":"w1"}': 1, 'other|r={"worker":"w1"}': 0 },
    { 'other|r={"worker":"w1"}': 2, 'echo|r=x': 1, 'echo|r={"worker":"w1"}': 3 },
  ),
});

const aStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ call: fc.constant('commit'), commit: aCommit }) },
  { weight: 5, arbitrary: fc.record({ call: fc.constant('take'), request: aTake, goOn: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      call: fc.constant('giveBack'),
      token: fc.constantFrom(...TOKENS),
      ids: fc.option(fc.uniqueArray(fc.constantFrom(...IDS)), { nil: undefined }),
    }),
  },
  fc.record({ call: fc.constant('setPaused'), agent: fc.constantFrom('echo', 'other'), paused: fc.boolean() }),
  {
    weight: 2,
    arbitrary: fc.record({
      call: fc.constant('changeCaps'),
      change: fc.record({
        do: fc.constantFrom('introduce', 'replace', 'lower', 'set'),
        limits: fc.dictionary(fc.constantFrom('a|echo', 'a|other', 't', 't|a', 'k|echo'), fc.nat(2), { maxKeys: 3 }),
        version: fc.nat(3),
        standing: fc.boolean(),
      }),
    }),
  },
  fc.record({ call: fc.constant('report'), ...aWorker, hint: fc.option(fc.constant('h')) }),
  fc.record({ call: fc.constant('beat'), ...aWorker, wake: fc.boolean() }),
  fc.record({ call: fc.constantFrom('enlist', 'retire'), ...aWorker }),
  fc.record({ call: fc.constant('trim'), at: fc.nat(5) }),
  {
    weight: 2,
    arbitrary: fc.record({
      call: fc.constant('putResult'),
      kept: fc.constantFrom(...KEPT),
      text: fc.constantFrom(...TEXTS),
    }),
  },
  fc.record({ call: fc.constantFrom('renewResults', 'dropResults'), kept: fc.subarray(KEPT) }),
  fc.record({ call: fc.constant('claimEpoch') }),
) as fc.Arbitrary<Step>;

let server: RedisServer;
let opened = 0;

beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

describe('the stores', () => {
  it('give equal answers to any sequence of calls, and end in equal states', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(aStep, { minLength: 5, maxLength: STEPS_MAX }), async (steps) => {
        opened += 1;
        const redis = createRedisStore({ connection: { port: server.port }, prefix: `d${opened}`, shards: 1 });
        const players = [
          new Player(createMemoryStore({ runtime: systemRuntime, shards: 1 })),
          new Player(redis),
        ] as const;
        try {
          for (const step of steps) {
            const [one, other] = await Promise.all(players.map((player) => player.play(step)));
            expect(other).toEqual(one);
          }
          const [one, other] = await Promise.all(players.map((player) => player.state()));
          expect(other).toEqual(one);
        } finally {
          await redis.close();
        }
      }),
      { numRuns: RUNS },
    );
  }, 120_000);
});

/** Plays steps on one store; what each store names by itself (entries, epochs) it keeps by number. */
class Player {
  readonly #store: Store;
  readonly #reports: string[] = [];
  #epoch = 'no epoch';
  #next: TakeRequest['after'];

  constructor(store: Store) {
    this.#store = store;
  }

  async play(step: Step): Promise<unknown> {
    const store = this.#store;
    switch (step.call) {
      case 'commit':
        return this.#commit(step.commit);
      case 'take': {
        const after = step.goOn ? this.#next : undefined;
        const { tasks, next, unknown } = await store.take(0, after ? { ...step.request, after } : step.request);
        this.#next = next;
        return { tasks, next, unknown };
      }
      case 'giveBack':
        return store.giveBack(0, step.token, step.ids);
      case 'setPaused':
        return store.setPaused(0, step.agent, step.paused);
      case 'changeCaps': {
        const { do: how, limits, version, standing } = step.change;
        if (how === 'introduce') return store.changeCaps(0, { do: how, limits });
        if (how === 'replace') {
          return store.changeCaps(0, { do: how, limits, epoch: standing ? this.#epoch : '0.none' });
        }
        return store.changeCaps(0, { do: how, limits, version });
      }
      case 'report': {
        const { worker, incarnation, hint } = step;
        const { entry, released } = await store.report(0, { worker, incarnation, envelope: 'e', hint });
        this.#reports.push(entry);
        return released;
      }
      case 'beat': {
        const { worker, incarnation, wake } = step;
        const mailbox = await store.lastEntry(0, `mail:${worker}@${incarnation}`);
        const beat = { worker, incarnation, wake, mailbox: mailbox.id, toCoordinators: 'c', toDistributors: 'd' };
        const reply = await store.beat(0, beat);
        return reply.ok ? reply.released : reply.reason;
      }
      case 'enlist':
      case 'retire':
        return store[step.call](0, step.worker, step.incarnation);
      case 'trim':
        return store.trim(0, 'reports', this.#entry(step.at));
      case 'putResult':
        return store.putResult(0, step.kept, step.text, 60_000);
      case 'renewResults':
        return store.renewResults(0, step.kept, 60_000);
      case 'dropResults':
        return store.dropResults(0, step.kept);
      case 'claimEpoch': {
        const lock = store.lock(0);
        const held = await lock.acquire(60_000);
        this.#epoch = (await store.claimEpoch(0, held!.value, 'c1'))!;
        return lock.release(held!);
      }
    }
  }

  async state(): Promise<unknown> {
    const store = this.#store;
    const { beats } = await store.heartbeats(0, 0);
    const owner = await store.owner(0);
    return {
      tasks: (await store.read(0, IDS, { input: true, result: true })).tasks,
      kept: await store.renewResults(0, KEPT, 60_000),
      blocks: [await store.blocks(0, null, 100), await this.#scanned()],
      byBlock: await Promise.all(BLOCKS.map((block) => store.readBlock(0, block))),
      queues: (await store.queues(0, 100)).queues,
      caps: await this.#caps(),
      indexes: await Promise.all(INDEXES.map(async (index) => (await store.range(0, index, 100, 100)).entries)),
      contains: await store.contains(0, 'due', ['x', 'y', 'z']),
      holders: await store.holders(0),
      paused: await store.paused(0),
      streams: await Promise.all(
        ['events', 'wake', 'reports', ...HOLDERS.map((holder) => `mail:${holder}`)].map((name) =>
          this.#fields(name as StreamName),
        ),
      ),
      quarantined: (await store.quarantined(0, 100)).map(({ id, ...entry }) => entry),
      cursor: this.#placeOf(await store.reportCursor(0)),
      beats: beats.map(({ worker, incarnation }) => `${worker}@${incarnation}`).sort(),
      owner: owner && { instance: owner.instance, until: owner.until, number: Number.parseInt(owner.epoch, 10) },
      left: await this.play({ call: 'take', request: { ...EVERYTHING, token: 'last' }, goOn: false }),
    };
  }

  async #commit({ epoch, cursor, ...commit }: AnyCommit): Promise<unknown> {
    const whole: Commit = { ...commit };
    if (epoch !== 'none') whole.epoch = epoch === 'standing' ? this.#epoch : '0.none';
    if (cursor) {
      const from = cursor.from === 'standing' ? await this.#store.reportCursor(0) : '7-7';
      whole.cursor = { from, entries: cursor.entries.map(({ at, units }) => ({ id: this.#entry(at), units })) };
    }
    const { units, fenced, posted, cursor: stands } = await this.#store.commit(0, whole);
    return { units, fenced, posted: posted.map((id) => id !== null), cursor: stands && this.#placeOf(stands) };
  }

  async #caps(): Promise<unknown> {
    const { limits, used, version } = await this.#store.caps(0, 100);
    const tasks = CAPS.map(async (cap) => (await this.#store.range(0, `cap:${cap}`, 10, 100)).entries);
    return { limits, version, used: used.sort((a, b) => (a.cap < b.cap ? -1 : 1)), tasks: await Promise.all(tasks) };
  }

  async #scanned(): Promise<string[]> {
    const found = new Set<string>();
    let cursor: string | null = null;
    do {
      const step: Awaited<ReturnType<Store['scanBlocks']>> = await this.#store.scanBlocks(0, cursor);
      for (const block of step.blocks) found.add(block);
      cursor = step.next;
    } while (cursor !== null);
    return [...found].sort();
  }

  #entry(at: Place): string {
    return this.#reports[at] ?? '0-0';
  }

  #placeOf(id: string): Place {
    return this.#reports.indexOf(id);
  }

  async #fields(stream: StreamName): Promise<unknown[]> {
    const [batch] = await this.#store.readStreams(0, { from: [{ stream, after: '0' }], count: 1_000, waitMs: 0 });
    return batch?.entries.map(({ fields }) => (fields.s === 'leader.changed' ? ofEpoch(fields) : fields)) ?? [];
  }
}

/** The tail of an epoch is random. */
function ofEpoch(fields: Record<string, string>) {
  return { ...fields, n: Number.parseInt(fields.n ?? '', 10) };
}

const EVERYTHING = { max: 100, urgentMax: 100, agents: { echo: 100, other: 100 }, lanesMax: 100 };
