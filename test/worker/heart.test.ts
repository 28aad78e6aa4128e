import { describe, expect, it } from 'vitest';
import { createVirtualRuntime } from '../../src/runtime/virtual-runtime.ts';
import type { RegisteredInstance } from '../../src/store/store.ts';
import { chooseDistributor } from '../../src/worker/choose-distributor.ts';
import { CreditMeter } from '../../src/worker/credit-meter.ts';
import { Deadlines } from '../../src/worker/deadlines.ts';
import { HeldAttempts } from '../../src/worker/held-lists.ts';

function instance(id: string, over: Partial<RegisteredInstance> = {}): RegisteredInstance {
  const facts = { host: 'h', pid: 1, version: '1', url: null, startedAt: 0, agents: [], metadata: {}, facts: {} };
  return { id, role: 'distributor', incarnation: '1-a', seenAt: 1_000, ...facts, ...over };
}

describe('the choice of a distributor', () => {
  const choose = (worker: string, instances: RegisteredInstance[], fixed?: string) =>
    chooseDistributor({ worker, instances, now: 1_500, ttlMs: 1_000, fixed });
  const workers = Array.from({ length: 900 }, (_, i) => `worker-${i}`);

  it('is none without a live one; workers and coordinators do not count, role all does', () => {
    expect(choose('w', [])).toBe(null);
    expect(choose('w', [instance('a', { role: 'worker' }), instance('b', { seenAt: 400 })])).toBe(null);
    expect(choose('w', [instance('a', { role: 'all' })])).toBe('a');
  });

  it('is not one that was seen in the future: the clock was set back since, and it may be dead', () => {
    expect(choose('w', [instance('a', { seenAt: 3_600_000 }), instance('b')])).toBe('b');
    expect(choose('w', [instance('a', { seenAt: 3_600_000 })])).toBe(null);
  });

  it('spreads workers, and moves only those whose distributor goes', () => {
    const all = ['a', 'b', 'c'].map((id) => instance(id));
    const before = new Map(workers.map((worker) => [worker, choose(worker, all)]));
    for (const id of ['a', 'b', 'c']) {
      const share = [...before.values()].filter((chosen) => chosen === id).length;
      expect(share).toBeGreaterThan(200);
    }
    for (const worker of workers) {
      const after = choose(worker, [all[2]!, all[0]!]);
      if (before.get(worker) !== 'b') expect(after).toBe(before.get(worker));
      else expect(['a', 'c']).toContain(after);
    }
  });

  it('follows the configuration only while that one lives', () => {
    expect(choose('w', [instance('a'), instance('b')], 'b')).toBe('b');
    expect(choose('w', [instance('a'), instance('b', { seenAt: 0 })], 'b')).toBe('a');
  });
});

describe('the lists of a heart', () => {
  it('keep what they were told, drop what is past its time, shard by shard', () => {
    const held = new HeldAttempts(2);
    held.apply([
      [0, 'a', 'unstarted'],
      [0, 'b', 'started', 100],
      [0, 'c', 'done'],
      [1, 'd', 'started', 500],
    ]);
    expect(held.lists(0, 99)).toEqual({ unstarted: ['a'], started: ['b'], done: ['c'] });
    expect(held.lists(0, 100)).toEqual({ unstarted: ['a'], started: [], done: ['c'] });
    held.apply([
      [0, 'c', 'gone'],
      [0, 'a', 'started', 900],
      [0, 'b', 'done'],
    ]);
    expect(held.lists(0, 100)).toEqual({ unstarted: [], started: ['a'], done: ['b'] });
    expect(held.lists(1, 100)).toEqual({ unstarted: [], started: ['d'], done: [] });
  });

  it('count the slots of handlers that outlived their time, until those end', () => {
    const held = new HeldAttempts(2);
    held.apply([
      [0, 'a', 'started', 100],
      [1, 'b', 'started', 200],
      [0, 'c', 'unstarted'],
    ]);
    expect([99, 100, 200].map((now) => held.overdue(now))).toEqual([0, 1, 2]);
    held.apply([[0, 'a', 'done']]);
    expect(held.overdue(200)).toBe(1);
  });
});

describe('credit', () => {
  function meter() {
    const runtime = createVirtualRuntime(1);
    return { runtime, credit: new CreditMeter({ runtime, slots: 4, max: 100 }) };
  }

  it('is given only after five runs, to quick agents, by what the slots finish in one turn-around', async () => {
    const { runtime, credit } = meter();
    for (let i = 0; i < 5; i++) {
      expect(credit.announce()).toEqual({ extra: 0, quick: [] });
      credit.ran('quick', 2);
      credit.ran('slow', 400);
      await runtime.advance(8);
      credit.arrived();
    }
    expect(credit.announce()).toEqual({ extra: 16, quick: ['quick'] });
    expect([credit.admits('quick', 19), credit.admits('quick', 20)]).toEqual([true, false]);
    expect([credit.admits('slow', 3), credit.admits('slow', 4)]).toEqual([true, false]);
  });

  it('does not take a time without work for a turn-around, and is bounded', async () => {
    const { runtime, credit } = meter();
    for (let i = 0; i < 5; i++) credit.ran('quick', 1);
    await runtime.advance(60_000);
    credit.arrived();
    expect(credit.announce()).toEqual({ extra: 0, quick: ['quick'] });
    credit.ran('quick', 1);
    await runtime.advance(200);
    credit.arrived();
    expect(credit.announce().extra).toBe(100);
  });

  it('keeps its word for a while after an agent turned slow', async () => {
    const { runtime, credit } = meter();
    for (let i = 0; i < 5; i++) credit.ran('agent', 1);
    await runtime.advance(10);
    credit.arrived();
    expect(credit.announce().extra).toBe(40);
    credit.ran('agent', 60_000);
    expect(credit.announce()).toEqual({ extra: 0, quick: [] });
    expect(credit.admits('agent', 20)).toBe(true);
    await runtime.advance(11_000);
    expect(credit.admits('agent', 20)).toBe(false);
  });
});

describe('deadlines', () => {
  it('keep one timer, for the earliest, and never one longer than a timer can wait', async () => {
    const runtime = createVirtualRuntime(1);
    const waits: number[] = [];
    const counting = {
      ...runtime,
      after: (ms: number, fn: () => void) => {
        waits.push(ms);
        return runtime.after(ms, fn);
      },
    };
    const due = [runtime.now() + 30 * 86_400_000, runtime.now() + 50];
    const looks: number[] = [];
    const deadlines = new Deadlines(counting, (now) => {
      looks.push(now);
      return Math.min(...due.filter((at) => at > now));
    });
    for (const at of due) deadlines.watch(at);
    deadlines.watch(due[1]! + 10);
    expect(waits.length).toBe(2);
    await runtime.advance(31 * 86_400_000);
    expect(Math.max(...waits)).toBeLessThan(2 ** 31);
    expect([looks[0], looks.at(-1)]).toEqual([due[1], due[0]]);
    expect(runtime.pending).toBe(0);
  });
});
