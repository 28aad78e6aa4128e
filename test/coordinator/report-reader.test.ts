import { describe, expect, it } from 'vitest';
import { ReportReader } from '../../src/coordinator/report-reader.ts';
import { StoreUnavailableError } from '../../src/errors.ts';
import { compareEntries } from '../../src/store/entry-id.ts';
import type { Commit, Store } from '../../src/store/store.ts';
import { jsonOf, refTo } from '../support/builders.ts';
import { completed, failed, heldOf, type Ref, started, World } from './world.ts';

/** A store whose commits a test can meddle with; everything else passes. */
function meddling() {
  const meddle = { before: async (_: Commit): Promise<void> => undefined, after: async (): Promise<void> => undefined };
  const through = (store: Store): Store =>
    new Proxy(store, {
      get(target, name) {
        const value = Reflect.get(target, name, target);
        if (name !== 'commit') return typeof value === 'function' ? value.bind(target) : value;
        return async (shard: number, commit: Commit) => {
          if (commit.epoch !== undefined) await meddle.before(commit);
          const reply = await target.commit(shard, commit);
          if (commit.epoch !== undefined) await meddle.after();
          return reply;
        };
      },
    });
  return { meddle, through };
}

async function reading() {
  const { meddle, through } = meddling();
  const world = new World({ through });
  const context = await world.own();
  const reader = new ReportReader(context);
  const worker = await world.worker().enlist();
  const begin = async () => {
    void reader.run();
    await world.advance(0);
  };
  return { world, context, reader, worker, meddle, begin };
}

describe('the report reader', () => {
  it('applies reports in order, tells of each record once, and moves and trims the cursor', async () => {
    const { world, context, worker, begin, reader } = await reading();
    const ref = await worker.take(await world.submit());
    await worker.report([started(ref, 1, world.now())]);
    const last = await worker.report([completed(ref, 2, world.now())]);
    await begin();
    expect(await world.task(ref.task)).toMatchObject({ state: 'completed', version: 3, result: '{"ok":true}' });
    expect(context.committed.map(({ state }) => state)).toEqual(['completed']);
    expect(reader.cursor).toBe(last.entry);
    expect(await world.store.reportCursor(0)).toBe(last.entry);
    await world.advance(1_100);
    expect((await world.store.lastEntry(0, 'reports')).id).toBe('0-0');
  });

  it('applies a report that comes while it waits, at once', async () => {
    const { world, worker, begin } = await reading();
    const ref = await worker.take(await world.submit());
    await begin();
    await world.advance(250);
    await worker.report([completed(ref, 1, world.now())]);
    await world.advance(0);
    expect(await world.state(ref.task)).toBe('completed');
  });

  it('releases what was decided, refused or not', async () => {
    const { world, worker, begin } = await reading();
    const ref = await worker.take(await world.submit());
    const other = { ...ref, attemptId: 'never' };
    await worker.report([completed(ref, 1, world.now()), completed(other, 1, world.now())]);
    await begin();
    const { released } = await worker.report([]);
    expect(released.sort()).toEqual([heldOf(ref), heldOf(other)].sort());
    expect(world.observed('state.refused')).toMatchObject([{ command: 'completed', reason: 'ended' }]);
  });

  it('refuses a report whose record cannot be read, and applies the others of its envelope', async () => {
    const { world, worker, begin } = await reading();
    const [broken, whole] = [await worker.take(await world.submit()), await worker.take(await world.submit())];
    await world.tamper(broken.task, { spec: 'x {' });
    await worker.report([completed(broken, 1, world.now()), completed(whole, 1, world.now())]);
    await begin();
    expect(await world.state(whole.task)).toBe('completed');
    const { released } = await worker.report([]);
    expect(released.sort()).toEqual([heldOf(broken), heldOf(whole)].sort());
    expect(world.observed('state.refused')).toMatchObject([{ id: broken.task, reason: 'no_task' }]);
    expect(world.observed('fault')).toMatchObject([{ where: 'records of shard 0' }]);
  });

  it('commits large results in several pieces', async () => {
    const { world, worker, begin, meddle } = await reading();
    const sizes: number[] = [];
    meddle.before = async ({ units }) => void sizes.push(units.length);
    for (let i = 0; i < 3; i++) {
      const ref = await worker.take(await world.submit());
      await worker.report([completed(ref, 1, world.now(), `"${'x'.repeat(9 * 1024 * 1024)}"`)]);
    }
    await begin();
    expect(sizes).toEqual([1, 1, 1]);
  });

  it('applies a report that comes twice once', async () => {
    const { world, worker, begin } = await reading();
    const ref = await worker.take(await world.submit());
    const report = [failed(ref, 1, world.now())];
    await worker.report(report);
    await worker.report(report);
    await begin();
    expect((await world.task(ref.task)).trail.used).toBe(1);
  });

  describe('quarantines and goes on behind', () => {
    const forgeries: [string, string, (sealed: string, text: string) => string][] = [
      ['an entry with a flipped byte', 'signature', (sealed) => sealed.replace(/.$/, (c) => (c === 'A' ? 'B' : 'A'))],
      ['no envelope at all', 'malformed', () => 'garbage'],
      ['an entry without text', 'malformed', () => ''],
    ];

    it.each(forgeries)('%s', async (_, reason, forge) => {
      const { world, worker, begin, context } = await reading();
      const [forged, honest] = [await worker.take(await world.submit()), await worker.take(await world.submit())];
      const sealed = worker.sealReports([completed(forged, 1, world.now())]);
      const { name, incarnation } = worker;
      const entry = await world.store.report(0, { worker: name, incarnation, envelope: forge(sealed, ''), hint: null });
      await worker.report([completed(honest, 1, world.now())]);
      await begin();
      expect(await world.state(forged.task)).toBe('assigned');
      expect(await world.state(honest.task)).toBe('completed');
      expect(await world.quarantined()).toMatchObject([{ stream: 'reports', entry: entry.entry, reason }]);
      expect(world.observed('message.rejected')).toMatchObject([{ reason, stream: 'reports' }]);
      expect(context.committed).toHaveLength(1);
    });

    it('an honest report in the stream of another shard', async () => {
      const { world, worker, begin } = await reading();
      const ref = await worker.take(await world.submit());
      const envelope = worker.sealReports([completed(ref, 1, world.now())], 1);
      await world.store.report(0, { worker: 'w1', incarnation: worker.incarnation, envelope, hint: null });
      await begin();
      expect(await world.state(ref.task)).toBe('assigned');
      expect(await world.quarantined()).toMatchObject([{ reason: 'stream' }]);
    });

    it('reports that name more tasks than one commit takes', async () => {
      const { world, worker, begin } = await reading();
      const ref = await worker.take(await world.submit());
      const many = Array.from({ length: 501 }, (_, i) => started({ ...ref, task: `t${i}` }, 1, world.now()));
      await worker.report(many);
      await begin();
      expect(await world.quarantined()).toMatchObject([{ reason: 'body' }]);
    });

    it('the entry whose commit the store refuses, and only that one', async () => {
      const { world, worker, begin, meddle } = await reading();
      const refs: Ref[] = [];
      for (let i = 0; i < 5; i++) refs.push(await worker.take(await world.submit()));
      meddle.before = async ({ units }) => {
        if (units.some(({ id }) => id === refs[2]!.task)) throw new Error('a value the store does not take');
      };
      for (const ref of refs) await worker.report([completed(ref, 1, world.now())]);
      await begin();
      const states = await Promise.all(refs.map(({ task }) => world.state(task)));
      expect(states).toEqual(['completed', 'completed', 'assigned', 'completed', 'completed']);
      expect(await world.quarantined()).toMatchObject([{ reason: 'commit: a value the store does not take' }]);
    });
  });

  it('decides again when someone cancels in between, and applies the rest of the entry once', async () => {
    const { world, worker, begin, meddle, context, reader } = await reading();
    const [cut, other, later] = [
      await worker.take(await world.submit()),
      await worker.take(await world.submit()),
      await worker.take(await world.submit()),
    ];
    meddle.before = async () => {
      meddle.before = async () => undefined;
      await world.give(cut.task, { type: 'cancel', reason: 'now' });
    };
    await worker.report([completed(other, 1, world.now()), completed(cut, 1, world.now())]);
    const last = await worker.report([failed(later, 1, world.now())]);
    await begin();
    expect(await world.state(cut.task)).toBe('cancelled');
    expect(await world.task(other.task)).toMatchObject({ state: 'completed', version: 3 });
    expect(await world.task(later.task)).toMatchObject({ state: 'scheduled', version: 3, trail: { used: 1 } });
    expect(context.committed).toHaveLength(2);
    expect(world.observed('state.conflict')).toMatchObject([{ id: cut.task, where: 'report' }]);
    expect(reader.cursor).toBe(last.entry);
  });

  it('skips no entry that is in conflict while another one is sorted out', async () => {
    const { world, worker, begin, meddle } = await reading();
    const refs: Ref[] = [];
    for (let i = 0; i < 3; i++) refs.push(await worker.take(await world.submit()));
    const [cut, bad, good] = refs as [Ref, Ref, Ref];
    let touched = false;
    meddle.before = async ({ units }) => {
      if (units.some(({ id }) => id === bad.task)) throw new Error('a value the store does not take');
      if (touched || !units.some(({ id }) => id === cut.task)) return;
      touched = true;
      // Not an end: the report still counts when it is decided again.
      await world.give(cut.task, { type: 'progress', from: { ...cut, seq: 1 }, progress: 0.5 });
    };
    for (const ref of [cut, bad, good]) await worker.report([completed(ref, 2, world.now())]);
    await begin();
    const states = await Promise.all([cut, bad, good].map(({ task }) => world.state(task)));
    expect(states).toEqual(['completed', 'assigned', 'completed']);
  });

  it('applies once what was committed although the answer was lost', async () => {
    const { world, worker, begin, meddle, context, reader } = await reading();
    const ref = await worker.take(await world.submit());
    meddle.after = async () => {
      meddle.after = async () => undefined;
      throw new StoreUnavailableError('the answer was lost');
    };
    const { entry } = await worker.report([failed(ref, 1, world.now())]);
    await begin();
    await world.advance(200);
    expect(await world.task(ref.task)).toMatchObject({ state: 'scheduled', version: 3, trail: { used: 1 } });
    expect(reader.cursor).toBe(entry);
    expect(context.away).toBe(1);
    expect(world.observed('state.conflict')).toEqual([]);
  });

  it('goes on where the owner before it stopped', async () => {
    const { world, worker, begin, context } = await reading();
    const [one, two] = [await worker.take(await world.submit()), await worker.take(await world.submit())];
    await worker.report([failed(one, 1, world.now())]);
    await begin();
    context.stop();
    await world.advance(1_500);
    const { entry } = await worker.report([failed(two, 1, world.now())]);
    const reader = new ReportReader({ ...context, signal: new AbortController().signal });
    void reader.run();
    await world.advance(10);
    expect((await world.task(one.task)).trail.used).toBe(1);
    expect((await world.task(two.task)).trail.used).toBe(1);
    expect(reader.cursor).toBe(entry);
  });

  it('stops at once when another owner has the epoch', async () => {
    const { world, worker, begin, context } = await reading();
    const ref = await worker.take(await world.submit());
    const stolen = { ...context, epoch: '9.stale' };
    const reader = new ReportReader(stolen);
    await worker.report([completed(ref, 1, world.now())]);
    await reader.run();
    expect(await world.state(ref.task)).toBe('assigned');
    expect(context.fenced).toBe(1);
    await begin();
    expect(await world.state(ref.task)).toBe('completed');
  });

  describe('passed', () => {
    it('waits until the cursor has passed an entry', async () => {
      const { world, worker, begin, reader } = await reading();
      const ref = await worker.take(await world.submit());
      const { entry } = await worker.report([completed(ref, 1, world.now())]);
      const answer = reader.passed(entry, 1_000);
      await begin();
      expect(await answer).toBe(true);
      expect(await reader.passed(entry, 0)).toBe(true);
    });

    it('gives up after its time', async () => {
      const { world, worker, reader } = await reading();
      const { entry } = await worker.report([]);
      const answer = reader.passed(entry, 1_000);
      await world.advance(1_001);
      expect(await answer).toBe(false);
    });
  });

  it('compares entries by number, not as text', () => {
    expect(compareEntries('9-0', '10-0')).toBeLessThan(0);
    expect(compareEntries('10-2', '10-10')).toBeLessThan(0);
    expect(compareEntries('10-2', '10-2')).toBe(0);
  });

  it('adopts a large result that its worker put aside', async () => {
    const { world, worker, begin } = await reading();
    const ref = await worker.take(await world.submit());
    const text = jsonOf(20_000);
    await world.store.putResult(0, { holder: worker.holder, attemptId: ref.attemptId }, text, 60_000);
    await worker.report([completed(ref, 1, world.now(), refTo(text))]);
    await begin();
    expect(await world.task(ref.task)).toMatchObject({ state: 'completed', result: text });
    expect((await worker.beat()) as { released: string[] }).toMatchObject({ released: [heldOf(ref)] });
  });

  it('passes a report whose large result is not there, without a release, and accepts both when they come again', async () => {
    const { world, worker, begin, reader } = await reading();
    const [first, second] = [await worker.take(await world.submit()), await worker.take(await world.submit())];
    const text = jsonOf(20_000);
    const report = completed(first, 2, world.now(), refTo(text));
    const last = await worker.report([started(first, 1, world.now()), report, completed(second, 1, world.now())]);
    await begin();
    expect(reader.cursor).toBe(last.entry);
    expect(await world.state(first.task)).toBe('running');
    expect(await world.state(second.task)).toBe('completed');
    const refused = world.observed('state.refused').filter(({ id }) => id === first.task);
    expect(refused).toMatchObject([{ reason: 'result_missing' }]);
    expect(world.observed('state.conflict')).toEqual([]);
    expect(await worker.beat()).toMatchObject({ released: [heldOf(second)] });

    await world.store.putResult(0, { holder: worker.holder, attemptId: first.attemptId }, text, 60_000);
    await worker.report([report]);
    await world.advance(10);
    expect(await world.task(first.task)).toMatchObject({ state: 'completed', result: text });
    expect(await worker.beat()).toMatchObject({ released: [heldOf(first)] });
  });
});
