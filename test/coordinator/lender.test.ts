import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Lender } from '../../src/coordinator/lender.ts';
import type { OwnerContext } from '../../src/coordinator/owner-context.ts';
import type { Store } from '../../src/store/store.ts';
import { World } from './world.ts';

const SHARDS = 2;
const LIMITS = { 'a|echo': 4, t: 3 };
const CAPS = ['a|echo', 't|x', 't|y'];
const TAKEN_MAX = 3;

type Act =
  | { do: 'submit'; shard: number; tenant: string }
  | { do: 'take'; shard: number }
  | { do: 'end'; at: number }
  /** One of two lenders, whose process may end at any of its calls, before or after the call took effect. */
  | { do: 'lend'; who: number; endsAt: number | null; after: boolean }
  /** A call that a lender made arrives once more. */
  | { do: 'repeat'; at: number };

const anAct: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('submit'), shard: fc.nat(SHARDS - 1), tenant: fc.constantFrom('x', 'y') }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('take'), shard: fc.nat(SHARDS - 1) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('end'), at: fc.nat(20) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('lend'),
      who: fc.nat(1),
      endsAt: fc.option(fc.nat(12), { freq: 1 }),
      after: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('repeat'), at: fc.nat(30) }) },
) as fc.Arbitrary<Act>;

describe('limits lent to shards', () => {
  it('are never exceeded, whoever stops in the middle and whatever comes twice', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anAct, { minLength: 5, maxLength: 60 }), async (acts) => {
        const play = await Play.begin();
        for (const act of acts) await play.act(act);
        await play.finish();
      }),
      { numRuns: 150 },
    );
  }, 60_000);
});

class Play {
  readonly #world = new World({ policy: { shards: SHARDS, tenantConcurrency: LIMITS.t } });
  readonly #running: { id: string; shard: number; tenant: string }[] = [];
  readonly #calls: (() => Promise<unknown>)[] = [];
  #context!: OwnerContext;
  #waiting = 0;
  #tokens = 0;

  static async begin(): Promise<Play> {
    const play = new Play();
    play.#context = await play.#world.own();
    for (let shard = 0; shard < SHARDS; shard++) {
      // As the first submit does.
      await play.#world.store.changeCaps(shard, { do: 'introduce', limits: { 'a|echo': 0, t: 0 } });
    }
    for (let shard = 0; shard < SHARDS; shard++) {
      for (const tenant of ['x', 'y', 'x', 'y', 'x', 'y']) await play.act({ do: 'submit', shard, tenant });
    }
    return play;
  }

  async act(act: Act): Promise<void> {
    if (act.do === 'submit') {
      await this.#world.submit({ tenant: act.tenant }, { shard: act.shard });
      this.#waiting += 1;
    }
    if (act.do === 'take') await this.#take(act.shard);
    if (act.do === 'end') await this.#end(act.at);
    if (act.do === 'lend') await this.#lend(act.endsAt, act.after);
    if (act.do === 'repeat') await this.#calls[act.at % Math.max(1, this.#calls.length)]?.();
    await this.#look();
  }

  /** With nobody in the way every task gets its turn. */
  async finish(): Promise<void> {
    for (let round = 0; round < 100 && this.#waiting + this.#running.length > 0; round++) {
      await this.#lend(null, false);
      for (let shard = 0; shard < SHARDS; shard++) await this.#take(shard);
      await this.#look();
      while (this.#running.length > 0) await this.#end(0);
      await this.#world.advance(1_000);
    }
    expect(this.#waiting, 'tasks that never got a place').toBe(0);
  }

  async #take(shard: number): Promise<void> {
    const { store } = this.#world;
    this.#tokens += 1;
    const token = `t${this.#tokens}`;
    const request = { token, max: TAKEN_MAX, urgentMax: 9, agents: { echo: 9 }, lanesMax: 100 };
    const { tasks } = await store.take(shard, request);
    for (const { task } of tasks) {
      const { spec } = await this.#world.task(task.id);
      const unit = { id: task.id, expect: task.version, state: 'assigned' as const, token, indexes: [] };
      await store.commit(shard, { op: `assign-${task.id}`, units: [unit] });
      this.#running.push({ id: task.id, shard, tenant: spec.tenant });
      this.#waiting -= 1;
    }
  }

  async #end(at: number): Promise<void> {
    const [task] = this.#running.splice(at % Math.max(1, this.#running.length), 1);
    if (!task) return;
    const { id, shard, tenant } = task;
    const indexes = ['a|echo', `t|${tenant}`].map((cap) => {
      return { do: 'remove' as const, index: `cap:${cap}` as const, member: id, score: 0 };
    });
    await this.#world.store.commit(shard, {
      op: `end-${id}`,
      units: [{ id, expect: 2, state: 'completed', indexes }],
    });
  }

  async #lend(endsAt: number | null, after: boolean): Promise<void> {
    const store = this.#breaking(endsAt, after);
    await new Lender({ ...this.#context, store }).tick(LIMITS).catch((error: Error) => {
      if (error.message !== 'the process ended') throw error;
    });
  }

  /** A store whose caller ends at its call number `endsAt`. */
  #breaking(endsAt: number | null, after: boolean): Store {
    let calls = 0;
    const { store } = this.#world;
    return new Proxy(store, {
      get: (_, method: string) => {
        return async (...args: unknown[]) => {
          const call = () =>
            (store as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>)[method]!(...args);
          const ends = calls++ === endsAt;
          if (ends && !after) throw new Error('the process ended');
          if (method === 'changeCaps') this.#calls.push(call);
          const reply = await call();
          if (ends) throw new Error('the process ended');
          return reply;
        };
      },
    });
  }

  async #look(): Promise<void> {
    const shares: Record<string, number> = {};
    for (let shard = 0; shard < SHARDS; shard++) {
      const { limits } = await this.#world.store.caps(shard, 100);
      for (const cap of CAPS) {
        const used = (await this.#world.members(`cap:${cap}`, shard)).length;
        const share = limits[cap] ?? (cap.startsWith('t|') ? limits.t : undefined) ?? Number.POSITIVE_INFINITY;
        shares[cap] = (shares[cap] ?? 0) + Math.max(used, share);
      }
    }
    for (const cap of CAPS)
      expect(shares[cap], cap).toBeLessThanOrEqual(cap === 'a|echo' ? LIMITS['a|echo'] : LIMITS.t);
  }
}
