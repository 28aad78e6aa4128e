import { describe, expect, it } from 'vitest';
import { endOverdue } from '../../src/coordinator/deadline-keeper.ts';
import type { OwnerContext } from '../../src/coordinator/owner-context.ts';
import { promote } from '../../src/coordinator/promoter.ts';
import { prune } from '../../src/coordinator/pruner.ts';
import { Reconciler } from '../../src/coordinator/reconciler.ts';
import { ReportReader } from '../../src/coordinator/report-reader.ts';
import { blockOf } from '../../src/task/id.ts';
import { completed, started, World } from './world.ts';

async function owning(policy = {}) {
  const world = new World({ policy });
  const context = await world.own();
  return { world, context };
}

/** Runs a duty to its end, letting time pass where it waits. */
async function run(world: World, duty: Promise<unknown>, ms = 0): Promise<void> {
  const done = duty.then(() => undefined);
  await world.advance(ms);
  await done;
}

describe('the promoter', () => {
  it('queues what is due, at the end of its lane, and leaves the rest', async () => {
    const { world, context } = await owning({ priorityAgeing: 1_000 });
    const due = await world.submit({ runAt: world.now() + 100 });
    const later = await world.submit({ runAt: world.now() + 101 });
    await promote(context);
    expect(await world.state(due)).toBe('scheduled');
    await world.advance(100);
    await promote(context);
    expect(await world.task(due)).toMatchObject({ state: 'queued', trail: { score: world.now() - 5_000 } });
    expect((await world.task(due)).trail).not.toHaveProperty('dueAt');
    expect(await world.state(later)).toBe('scheduled');
    expect(await world.lanes()).toEqual({ 'echo|default': 1 });
    expect(context.committed.map(({ id }) => id)).toEqual([due]);
  });

  it('queues more than one commit takes', async () => {
    const { world, context } = await owning();
    for (let i = 0; i < 1_201; i++) await world.submit({ runAt: world.now() + 1 });
    await world.advance(1);
    await promote(context);
    expect(await world.lanes()).toEqual({ 'echo|default': 1_201 });
  });

  it('drops entries of tasks that are gone or in another state, and keeps those of scheduled ones', async () => {
    const { world, context } = await owning();
    const running = await world.submit();
    const scheduled = await world.submit({ runAt: world.now() + 10_000 });
    const add = (id: string, expected: number, state: 'queued' | 'scheduled') => ({
      ...{ id, expect: expected, state, repair: true as const },
      indexes: [{ do: 'add' as const, index: 'due' as const, member: id, score: 1 }],
    });
    await world.store.commit(0, { op: 'x', units: [add(running, 1, 'queued'), add(scheduled, 1, 'scheduled')] });
    expect(await world.members('due')).toContain(running);
    await promote(context);
    expect(await world.members('due')).toEqual([scheduled]);
    expect(await world.state(scheduled)).toBe('scheduled');
  });

  it('is not stopped by a record that someone wrote over', async () => {
    const { world, context } = await owning();
    const broken = await world.submit({ runAt: world.now() + 1 });
    const whole = await world.submit({ runAt: world.now() + 1 });
    await world.tamper(broken, { spec: 'x null' });
    await world.advance(1);
    await promote(context);
    expect(await world.state(whole)).toBe('queued');
    expect(await world.members('due')).toEqual([]);
    expect(world.observed('fault')).toHaveLength(1);
  });
});

describe('the deadline keeper', () => {
  async function overdue(over = {}) {
    const { world, context } = await owning({ timeoutGraceMs: 500 });
    const reports = new ReportReader(context);
    const worker = await world.worker().enlist();
    const ref = await worker.take(await world.submit({ timeoutMs: 1_000, ...over }));
    return { world, context, reports, worker, ref };
  }

  it('ends an attempt after its timeout and the grace, counted from its assignment, and tells the worker', async () => {
    const { world, context, reports, worker, ref } = await overdue();
    await world.advance(1_499);
    await endOverdue(context, reports);
    expect(await world.state(ref.task)).toBe('assigned');
    await world.advance(1);
    await endOverdue(context, reports);
    expect(await world.task(ref.task)).toMatchObject({
      state: 'scheduled',
      trail: { used: 1, error: { code: 'timeout' } },
    });
    const [{ message } = {}] = await worker.mail();
    expect(message).toMatchObject({
      type: 'task.cancel',
      body: { cancels: [{ task: ref.task, attemptId: ref.attemptId, code: 'timeout' }] },
    });
  });

  it('counts from the start once that is known', async () => {
    const { world, context, reports, worker, ref } = await overdue();
    await world.advance(400);
    await worker.report([started(ref, 1, world.now())]);
    void reports.run();
    await world.advance(1_499);
    await run(world, endOverdue(context, reports));
    expect(await world.state(ref.task)).toBe('running');
    await world.advance(1);
    await run(world, endOverdue(context, reports));
    expect(await world.state(ref.task)).toBe('scheduled');
  });

  it('lets a result count that lay in the stream when the deadline was seen', async () => {
    const { world, context, reports, worker, ref } = await overdue();
    await world.advance(2_000);
    await worker.report([completed(ref, 1, world.now())]);
    const duty = endOverdue(context, reports);
    await world.advance(100);
    expect(await world.state(ref.task)).toBe('assigned');
    void reports.run();
    await run(world, duty, 10);
    expect(await world.state(ref.task)).toBe('completed');
  });

  it('judges nothing while the reports do not move', async () => {
    const { world, context, reports, worker, ref } = await overdue();
    await world.advance(2_000);
    await worker.report([]);
    await run(world, endOverdue(context, reports), 20_000);
    expect(await world.state(ref.task)).toBe('assigned');
  });

  it('ends the task after its last attempt, and does not run at-most-once work again', async () => {
    const last = await overdue({ retry: { maxAttempts: 1, backoffMs: 1, factor: 1, maxBackoffMs: 1 } });
    await last.world.advance(2_000);
    await endOverdue(last.context, last.reports);
    expect(await last.world.task(last.ref.task)).toMatchObject({
      state: 'failed',
      trail: { error: { code: 'timeout' } },
    });
    const once = await overdue({ delivery: 'at-most-once' });
    await once.world.advance(2_000);
    await endOverdue(once.context, once.reports);
    expect(await once.world.task(once.ref.task)).toMatchObject({
      state: 'failed',
      trail: { error: { code: 'outcome_unknown' } },
    });
  });
});

describe('the limits of a task', () => {
  const overdue = async () => {
    const { world, context } = await owning({ timeoutGraceMs: 500 });
    return { world, context, reports: new ReportReader(context) };
  };

  it('end what stood in the queue for longer than it may, and only that', async () => {
    const { world, context, reports } = await overdue();
    const [late, patient] = [await world.submit({ queueTimeoutMs: 1_000 }), await world.submit()];
    await world.advance(999);
    await endOverdue(context, reports);
    expect(await world.state(late)).toBe('queued');
    await world.advance(1);
    await endOverdue(context, reports);
    const message = 'waited 1 s in the queue, at most 1 s were allowed';
    expect(await world.task(late)).toMatchObject({
      state: 'failed',
      trail: { error: { code: 'expired', message, retryable: false } },
    });
    expect(await world.state(patient)).toBe('queued');
    expect(await world.members('deadline')).toEqual([]);
    expect(await world.lanes()).toEqual({ 'echo|default': 1 });
    expect(context.committed.map(({ id }) => id)).toEqual([late]);
  });

  it('count the stay in the queue anew when a task enters it anew, and on when it was handed back', async () => {
    const { world, context, reports } = await overdue();
    const worker = await world.worker().enlist();
    const id = await world.submit({ queueTimeoutMs: 1_000, timeoutMs: 60_000 });
    await world.advance(600);
    const ref = await worker.take(id);
    await world.advance(5_000);
    await endOverdue(context, reports);
    expect(await world.state(id)).toBe('assigned');
    const from = { attemptId: ref.attemptId, fence: ref.fence, seq: 1 };
    await world.give(id, { type: 'return', from, why: 'drain' });
    await endOverdue(context, reports);
    expect(await world.state(id)).toBe('failed');

    const again = await world.submit({ queueTimeoutMs: 1_000 });
    await world.give(again, { type: 'cancel', reason: 'r' });
    await world.advance(5_000);
    await world.give(again, { type: 'retry', score: 1 });
    await world.advance(999);
    await endOverdue(context, reports);
    expect(await world.state(again)).toBe('queued');
  });

  it('end a task after its total time, scheduled or queued, and leave what ended before alone', async () => {
    const { world, context, reports } = await overdue();
    const limit = { totalTimeoutMs: 2_000 };
    const scheduled = await world.submit({ ...limit, runAt: world.now() + 1_000_000 });
    const [queued, ended] = [await world.submit(limit), await world.submit(limit)];
    await world.give(ended, { type: 'cancel', reason: 'r' });
    await world.advance(2_000);
    await endOverdue(context, reports);
    for (const id of [scheduled, queued]) {
      const error = { code: 'expired', message: 'did not end within its total time of 2 s' };
      expect(await world.task(id)).toMatchObject({ state: 'failed', trail: { error } });
    }
    expect(await world.state(ended)).toBe('cancelled');
    expect([await world.members('due'), await world.members('deadline')]).toEqual([[], []]);
  });

  it('end an attempt that outlives its task for good, after the grace, and tell its worker', async () => {
    const { world, context, reports } = await overdue();
    const worker = await world.worker().enlist();
    const ref = await worker.take(await world.submit({ totalTimeoutMs: 2_000, timeoutMs: 60_000 }));
    await world.advance(2_499);
    await endOverdue(context, reports);
    expect(await world.state(ref.task)).toBe('assigned');
    await world.advance(1);
    await endOverdue(context, reports);
    const error = { code: 'timeout', retryable: false };
    expect(await world.task(ref.task)).toMatchObject({ state: 'failed', trail: { used: 1, error } });
    const [{ message } = {}] = await worker.mail();
    expect(message).toMatchObject({
      type: 'task.cancel',
      body: { cancels: [{ ...{ task: ref.task }, code: 'timeout' }] },
    });
  });

  it('end a task that a distributor has taken, whose assignment then loses', async () => {
    const { world, context, reports } = await overdue();
    const id = await world.submit({ queueTimeoutMs: 1_000 });
    await world.advance(900);
    const before = await world.task(id);
    await world.store.take(0, { token: 't', max: 1, urgentMax: 0, agents: { echo: 1 }, lanesMax: 10 });
    await world.advance(100);
    await endOverdue(context, reports);
    expect(await world.state(id)).toBe('failed');
    const unit = { id, expect: before.version, state: 'assigned' as const, token: 't', indexes: [] };
    const reply = await world.store.commit(0, { op: 'assign', units: [unit] });
    expect(reply.units).toEqual([{ ok: false, reason: 'conflict' }]);
    await world.store.giveBack(0, 't');
    expect(await world.lanes()).toEqual({});
  });

  it('end more than one commit takes, however many there are', async () => {
    const { world, context, reports } = await overdue();
    for (let i = 0; i < 1_201; i++) await world.submit({ queueTimeoutMs: 1 });
    await world.advance(1);
    await endOverdue(context, reports);
    expect(await world.members('deadline')).toEqual([]);
    expect(context.committed).toHaveLength(1_201);
  });

  it('are found again when their index entry was lost', async () => {
    const { world, context, reports } = await overdue();
    const id = await world.submit({ queueTimeoutMs: 1_000 });
    await world.lose(id, 'deadline', id);
    await new Reconciler(context).tick();
    expect(await world.members('deadline')).toEqual([id]);
    await world.advance(1_000);
    await endOverdue(context, reports);
    expect(await world.state(id)).toBe('failed');
  });
});

describe('the pruner', () => {
  const KEPT = { retentionCompletedMs: 10_000, retentionFailedMs: 30_000 };
  const cancel = { type: 'cancel', reason: 'r' } as const;
  const reject = { type: 'reject', message: 'm' } as const;

  it('deletes each ended task of a block when its own time has come, and never one that has not ended', async () => {
    const { world, context } = await owning(KEPT);
    const [cancelled, failed, queued] = [await world.submit(), await world.submit(), await world.submit()];
    expect(new Set([cancelled, failed, queued].map(blockOf)).size).toBe(1);
    await world.give(cancelled, cancel);
    await world.give(failed, reject);
    await world.advance(9_999);
    expect(await prune(context)).toBe(0);
    await world.advance(1);
    expect(await prune(context)).toBe(1);
    expect(await Promise.all([cancelled, failed, queued].map((id) => world.state(id)))).toEqual([
      'gone',
      'failed',
      'queued',
    ]);
    expect(await world.members('expiry')).toEqual([blockOf(failed)]);
    await world.advance(20_000);
    expect(await prune(context)).toBe(1);
    expect(await world.state(failed)).toBe('gone');
    expect(await world.members('expiry')).toEqual([]);
    await world.give(queued, cancel);
    await world.advance(10_000);
    expect(await prune(context)).toBe(1);
    expect(await world.store.blocks(0, null, 10)).toEqual([]);
    expect(world.observed('records.pruned').map(({ tasks }) => tasks)).toEqual([1, 1, 1]);
  });

  it('keeps a task that a person retried in the meantime', async () => {
    const { world, context } = await owning(KEPT);
    const id = await world.submit();
    await world.give(id, cancel);
    await world.advance(10_000);
    await world.give(id, { type: 'retry', score: 1 });
    expect(await prune(context)).toBe(0);
    expect(await world.state(id)).toBe('queued');
    expect(await world.members('expiry')).toEqual([]);
  });

  it('goes on past a block with a record that someone wrote over', async () => {
    const { world, context } = await owning(KEPT);
    const broken = await world.submit();
    await world.give(broken, cancel);
    await world.tamper(broken, { trail: 'nonsense' });
    await world.advance(2_000);
    const whole = await world.submit();
    await world.give(whole, cancel);
    await world.advance(20_000);
    expect(await prune(context)).toBe(1);
    expect(await world.state(whole)).toBe('gone');
    expect(await world.members('expiry')).toEqual([]);
  });

  it('drops the entry of a block that is gone', async () => {
    const { world, context } = await owning(KEPT);
    const id = await world.submit();
    await world.give(id, cancel);
    const { version } = await world.task(id);
    await world.store.commit(0, {
      op: 'x',
      units: [{ id, expect: version, state: 'cancelled', remove: true, indexes: [] }],
    });
    expect(await world.members('expiry')).toEqual([blockOf(id)]);
    await world.advance(10_000);
    expect(await prune(context)).toBe(0);
    expect(await world.members('expiry')).toEqual([]);
  });
});

describe('the reconciler', () => {
  async function walk(world: World, context: OwnerContext): Promise<number> {
    const reconciler = new Reconciler(context);
    let repaired = 0;
    for (let tick = 0; tick < 50; tick++) repaired += await reconciler.tick();
    await world.advance(0);
    return repaired;
  }

  it('puts every index entry back that was lost, one by one, and changes no record', async () => {
    const { world, context } = await owning();
    const worker = await world.worker().enlist();
    const scheduled = await world.submit({ runAt: world.now() + 60_000 });
    const assigned = await worker.take(await world.submit());
    const ended = await world.submit();
    await world.give(ended, { type: 'cancel', reason: 'r' });
    const held = `held:${worker.holder}` as const;
    const losses = [
      [scheduled, 'due', scheduled],
      [assigned.task, 'deadline', assigned.task],
      [assigned.task, held, `${assigned.task}~${assigned.attemptId}`],
      [ended, 'expiry', blockOf(ended)],
    ] as const;
    const scores = async () => {
      const indexes = ['due', 'deadline', held, 'expiry'] as const;
      return Promise.all(indexes.map(async (index) => (await world.store.range(0, index, 1e15, 10)).entries));
    };
    const wanted = await scores();
    for (const [id, index, member] of losses) {
      await world.lose(id, index, member);
      expect(await world.members(index)).toEqual([]);
      expect(await walk(world, context)).toBe(1);
      expect(await scores()).toEqual(wanted);
    }
    expect((await world.task(assigned.task)).version).toBe(2);
    expect(world.observed('records.repaired')).toHaveLength(losses.length);
  });

  it('puts a block back under the ended task that expires first', async () => {
    const { world, context } = await owning();
    const [failed, cancelled] = [await world.submit(), await world.submit()];
    await world.give(failed, { type: 'reject', message: 'm' });
    await world.give(cancelled, { type: 'cancel', reason: 'r' });
    const entries = async () => (await world.store.range(0, 'expiry', 1e15, 10)).entries;
    const wanted = await entries();
    await world.lose(failed, 'expiry', blockOf(failed));
    expect(await walk(world, context)).toBe(1);
    expect(await entries()).toEqual(wanted);
  });

  it('puts a queued task back into its lane at its place', async () => {
    const { world, context } = await owning();
    const id = await world.submit();
    const { score } = (await world.task(id)).trail;
    const indexes = [{ do: 'remove' as const, lane: 'echo|default', score: score! }];
    await world.store.commit(0, { op: 'x', units: [{ id, expect: 1, state: 'queued', repair: true, indexes }] });
    expect(await world.lanes()).toEqual({});
    expect(await walk(world, context)).toBe(1);
    expect((await world.store.queues(0, 10)).queues).toMatchObject([{ lane: 'echo|default', length: 1, score }]);
  });

  it('leaves a task alone that a distributor has just taken', async () => {
    const { world, context } = await owning();
    await world.submit();
    await world.store.take(0, { token: 't', max: 1, urgentMax: 1, agents: { echo: 1 }, lanesMax: 10 });
    expect(await walk(world, context)).toBe(0);
    expect(await world.lanes()).toEqual({});
  });

  it('finds nothing where nothing is missing, walks on after a rest, and finds what was lost since', async () => {
    const { world, context } = await owning();
    const id = await world.submit({ runAt: world.now() + 60_000 });
    const reconciler = new Reconciler(context);
    expect(await reconciler.tick()).toBe(0);
    await world.lose(id, 'due', id);
    await world.advance(4_900);
    expect(await reconciler.tick()).toBe(0);
    await world.advance(100);
    expect(await reconciler.tick()).toBe(1);
  });

  it('walks a bounded slice per tick and reaches every block', async () => {
    const { world, context } = await owning();
    const ids: string[] = [];
    for (let block = 0; block < 25; block++) {
      ids.push(await world.submit({ runAt: world.now() + 600_000 }));
      await world.advance(1_000);
    }
    for (const id of ids) await world.lose(id, 'due', id);
    const reconciler = new Reconciler(context);
    const slices = [await reconciler.tick(), await reconciler.tick(), await reconciler.tick()];
    expect(slices).toEqual([10, 10, 5]);
  });

  it('is not stopped by a record that someone wrote over', async () => {
    const { world, context } = await owning();
    const [broken, whole] = [await world.submit(), await world.submit({ runAt: world.now() + 60_000 })];
    await world.tamper(broken, { spec: 'x {}' });
    await world.lose(whole, 'due', whole);
    expect(await walk(world, context)).toBe(1);
  });
});
