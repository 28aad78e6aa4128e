import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { AgentContext } from '../../src/agent/context.ts';
import { defineAgent } from '../../src/agent/define-agent.ts';
import { pause } from '../../src/runtime/runtime.ts';
import type { HeartPost, HeldChange } from '../../src/worker/heart.ts';
import { anId } from '../support/builders.ts';
import { aWorker, Harness, INCARNATION, type Order, WORKER } from './harness.ts';

/** Runs until told how to end, from outside or through its signal. */
function held(name = 'held', over: { exclusive?: boolean; heedless?: boolean } = {}) {
  const ends: ((value: unknown) => void)[] = [];
  const contexts: AgentContext[] = [];
  const agent = defineAgent({
    name,
    exclusive: over.exclusive ?? false,
    run: (_input: unknown, ctx) => {
      contexts.push(ctx);
      return new Promise((resolve, reject) => {
        ends.push(resolve);
        if (!over.heedless) ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason), { once: true });
      });
    },
  });
  return { agent, ends, contexts, reasons: () => contexts.map((ctx) => ctx.signal.reason?.code) };
}

describe('running', () => {
  it('runs an assignment and reports its result once, with a hint that frees the slot', async () => {
    const h = await aWorker();
    const [order] = await h.assign({ input: { text: 'hi' }, fence: 7 });
    const [report, ...more] = await h.reports();
    expect(more).toEqual([]);
    expect(report).toMatchObject({
      kind: 'completed',
      ...{ task: order!.task, fence: 7, seq: 1 },
      result: '{"text":"hi"}',
    });
    expect(await h.hints()).toEqual([{ w: WORKER, i: INCARNATION, r: [order!.held], x: 0, q: [] }]);
    expect(h.eventsOf('attempt.ended')).toMatchObject([{ agent: 'echo', outcome: 'completed' }]);
    await h.stop(1_000);
  });

  it('puts a burst of no-op handlers into one envelope', async () => {
    const h = await aWorker([], { slots: 50 });
    await h.assign(...Array.from({ length: 50 }, () => ({})));
    const envelopes = await h.envelopes();
    expect(envelopes.map((reports) => reports.length)).toEqual([50]);
    await h.stop(1_000);
  });

  it('splits what is more than 500 reports or half a MiB', async () => {
    const big = defineAgent({ name: 'big', run: () => 'x'.repeat(16_000) });
    const h = await aWorker([big], { slots: 600 });
    await h.post(Array.from({ length: 300 }, () => ({})));
    await h.assign(...Array.from({ length: 300 }, () => ({})));
    expect((await h.envelopes()).map((reports) => reports.length)).toEqual([500, 100]);
    await h.assign(...Array.from({ length: 70 }, () => ({ agent: 'big' })));
    expect((await h.envelopes()).map((reports) => reports.length)).toEqual([32, 32, 6]);
    await h.stop(1_000);
  });

  it('keeps the order of arrival in its line and never runs more than its slots', async () => {
    let running = 0;
    let most = 0;
    const order: number[] = [];
    const quick = defineAgent({
      name: 'quick',
      run: async ({ n }: { n: number }) => {
        most = Math.max(most, ++running);
        order.push(n);
        await Promise.resolve();
        running -= 1;
      },
    });
    const h = await aWorker([quick], { slots: 2 });
    for (let n = 0; n < 8; n++) await h.assign({ agent: 'quick', input: { n } });
    await h.runtime.advance(6_000);
    const { extra, quick: names } = await h.heartbeat();
    expect(names).toEqual(['quick']);
    expect(extra).toBeGreaterThanOrEqual(4);
    order.length = 0;
    await h.assign(...Array.from({ length: 6 }, (_, n) => ({ agent: 'quick', input: { n } })));
    expect(order).toEqual([0, 1, 2, 3, 4, 5]);
    expect(most).toBeLessThanOrEqual(2);
    await h.stop(1_000);
  });

  it('hands back what exceeds its slots and credit, and beats at once', async () => {
    const { agent } = held();
    const h = await aWorker([agent], { slots: 1 });
    const before = await h.beatEntry();
    await h.runtime.advance(100);
    const [, second] = await h.assign({ agent: 'held' }, { agent: 'held' });
    expect(await h.reportOf(second!, 'returned')).toMatchObject({ why: 'credit' });
    await h.runtime.advance(60);
    expect(await h.beatEntry()).not.toBe(before);
    expect((await h.heartbeat()).started.length).toBe(1);
    await h.stop(100);
  });

  it('beats after a hand-back once the store has it: a heartbeat from before would not end the rest that it begins', async () => {
    const { agent } = held();
    const h = await aWorker([agent], { slots: 1 });
    await h.runtime.advance(100);
    const report = h.memory.report.bind(h.memory);
    h.memory.report = async (...call) => {
      await pause(h.runtime, 200);
      return report(...call);
    };
    const before = await h.beatEntry();
    await h.assign({ agent: 'held' }, { agent: 'held' });
    await h.runtime.advance(190);
    expect(await h.beatEntry()).toBe(before);
    await h.runtime.advance(300);
    const { id } = await h.memory.lastEntry(0, 'reports');
    expect(Number.parseInt(await h.beatEntry(), 10)).toBeGreaterThanOrEqual(Number.parseInt(id, 10));
    await h.stop(1_000);
  });

  it('hands back what no agent of its takes, and fails what names an unknown method', async () => {
    const h = await aWorker();
    const [unknown, method] = await h.assign({ agent: 'nobody' }, { method: 'chat.start' });
    const reports = await h.reports();
    const of = (order: typeof unknown) => reports.find((report) => report.attemptId === order!.attemptId);
    expect(of(unknown)).toMatchObject({ kind: 'returned', why: 'unknown_agent' });
    expect(of(method)).toMatchObject({
      kind: 'failed',
      error: { code: 'unknown_method', retryable: false, message: expect.stringContaining('it has run') },
    });
    await h.stop(1_000);
  });

  it.each([
    [
      'throws at once',
      () => {
        throw Object.assign(new Error('no'), { code: 'no_luck' });
      },
      { code: 'no_luck', message: 'no', retryable: true },
    ],
    [
      'rejects with a string',
      () => Promise.reject('bad'),
      { code: 'handler_error', message: 'the handler threw "bad"', retryable: true },
    ],
    [
      'rejects with nothing',
      () => Promise.reject(),
      { code: 'handler_error', message: 'the handler threw undefined', retryable: true },
    ],
    [
      'returns a circle',
      () => {
        const circle: Record<string, unknown> = {};
        circle.self = circle;
        return circle;
      },
      { code: 'invalid_output', retryable: false },
    ],
    ['returns a BigInt', () => ({ n: 1n }), { code: 'invalid_output', retryable: false }],
    ['returns too much', () => 'x'.repeat(2_000), { code: 'result_too_large', retryable: false }],
  ])('survives a handler that %s', async (_title, run, error) => {
    const h = await aWorker([defineAgent({ name: 'odd', run: run as () => unknown })], { maxPayloadBytes: 1_000 });
    const [order] = await h.assign({ agent: 'odd' });
    expect(await h.reportOf(order!, 'failed')).toMatchObject({ error });
    await h.stop(1_000);
  });

  it('reports null for a handler that returns nothing', async () => {
    const h = await aWorker([defineAgent({ name: 'mute', run: () => undefined })]);
    const [order] = await h.assign({ agent: 'mute' });
    expect(await h.reportOf(order!, 'completed')).toMatchObject({ result: 'null' });
    await h.stop(1_000);
  });

  it('tells of a start only while the attempt still runs, and of progress a few times a second, the latest first', async () => {
    const { agent, ends, contexts } = held();
    const h = await aWorker([agent]);
    const [order] = await h.assign({ agent: 'held' });
    expect(await h.reports()).toMatchObject([{ kind: 'started', seq: 1 }]);
    for (let i = 1; i <= 50; i++) {
      contexts[0]!.progress(i / 50, `step ${i}`);
      if (i === 50) contexts[0]!.usage({ inputTokens: 3 });
      await h.runtime.advance(10);
    }
    contexts[0]!.usage({ inputTokens: 4, toolIterations: 1 });
    await h.runtime.advance(200);
    const progress = await h.reports();
    expect(progress.length).toBeGreaterThanOrEqual(3);
    expect(progress.length).toBeLessThanOrEqual(4);
    expect(progress.at(-1)).toMatchObject({ kind: 'progress', progress: 1, note: 'step 50' });
    ends[0]!('done');
    const last = await h.reportOf(order!, 'completed');
    expect(last).toMatchObject({ usage: { inputTokens: 7, toolIterations: 1 }, seq: 1 + progress.length + 1 });
    await h.stop(1_000);
  });
});

describe('resources', () => {
  const gpu = (amount: number) => ({ agent: 'held', require: { resources: { gpu: amount } } });

  it('hands back what does not fit beside what it holds, and tells what is in use', async () => {
    const { agent, ends } = held();
    const h = await aWorker([agent], { slots: 4, resources: { gpu: 2 } });
    const [first, second, third, plain] = await h.assign(gpu(1), gpu(2), gpu(1), { agent: 'held' });
    expect(await h.reportOf(second!, 'returned')).toMatchObject({ why: 'resources' });
    await h.runtime.advance(60);
    const beat = await h.heartbeat();
    expect(beat.started).toEqual([first!.held, third!.held, plain!.held]);
    expect(beat.used).toEqual({ gpu: 2 });
    ends[0]!('done');
    await h.reportOf(first!, 'completed');
    // Free with the end of the handler, before the report is decided.
    const [next] = await h.assign(gpu(1));
    await h.runtime.advance(5_000);
    expect((await h.heartbeat()).started).toContain(next!.held);
    await h.stop(100);
  });

  it('takes nothing that needs what it does not have', async () => {
    const { agent } = held();
    const h = await aWorker([agent]);
    const [order] = await h.assign(gpu(1));
    expect(await h.reportOf(order!, 'returned')).toMatchObject({ why: 'resources' });
    expect((await h.heartbeat()).used).toEqual({});
    await h.stop(100);
  });

  it('has all of them again after a drain', async () => {
    const { agent } = held();
    const h = await aWorker([agent], { slots: 1, resources: { gpu: 1 } });
    await h.assign(gpu(1));
    await h.stop(1_000);
    expect((await h.heartbeat()).used).toEqual({});
  });
});

describe('ending early', () => {
  it('aborts at the deadline and reports the timeout, however the handler then ends', async () => {
    const polite = held('polite');
    const heedless = held('heedless', { heedless: true });
    const h = await aWorker([polite.agent, heedless.agent]);
    const [first, second] = await h.assign({ agent: 'polite', timeoutMs: 500 }, { agent: 'heedless', timeoutMs: 500 });
    await h.runtime.advance(480);
    expect(polite.reasons()).toEqual([undefined]);
    const timeout = { error: { code: 'timeout', message: 'run timed out', retryable: true } };
    expect(await h.reportOf(first!, 'failed')).toMatchObject(timeout);
    expect(polite.reasons()).toEqual(['timeout']);
    expect(h.worker.stats().running).toBe(1);
    heedless.ends[0]!('too late');
    expect(await h.reportOf(second!, 'failed')).toMatchObject(timeout);
    await h.stop(1_000);
  });

  it("aborts at the end of the task's total time where that comes first, and asks for no other attempt", async () => {
    const { agent, reasons } = held();
    const h = await aWorker([agent]);
    const deadline = h.runtime.now() + 300;
    const [order] = await h.assign({ agent: 'held', timeoutMs: 500, deadline });
    await h.runtime.advance(290);
    expect(reasons()).toEqual([undefined]);
    const error = { code: 'timeout', message: "the task's total time is over", retryable: false };
    expect(await h.reportOf(order!, 'failed')).toMatchObject({ error });
    const [other] = await h.assign({ agent: 'held', timeoutMs: 100, deadline: h.runtime.now() + 300 });
    expect(await h.reportOf(other!, 'failed')).toMatchObject({ error: { message: 'run timed out', retryable: true } });
    await h.stop(1_000);
  });

  it("does not begin what comes to a slot after the task's total time", async () => {
    let runs = 0;
    const quick = defineAgent({ name: 'quick', run: async () => (runs += 1) });
    const { agent, ends } = held();
    const h = await aWorker([agent, quick], { slots: 1 });
    for (let n = 0; n < 8; n++) await h.assign({ agent: 'quick' });
    await h.runtime.advance(1);
    const [, late] = await h.assign({ agent: 'held' }, { agent: 'quick', deadline: h.runtime.now() + 50 });
    await h.runtime.advance(100);
    ends[0]!('done');
    const error = { code: 'timeout', retryable: false };
    expect(await h.reportOf(late!, 'failed')).toMatchObject({ error });
    expect(runs).toBe(8);
    expect(h.worker.stats()).toMatchObject({ running: 0, waiting: 0 });
    await h.stop(1_000);
  });

  it('tells a running handler of a cancel and frees the slot when it ended', async () => {
    const { agent, reasons } = held();
    const h = await aWorker([agent], { slots: 1 });
    const [order] = await h.assign({ agent: 'held' });
    await h.cancel(order!);
    expect(reasons()).toEqual(['cancelled']);
    expect(await h.reportOf(order!, 'failed')).toMatchObject({ error: { code: 'cancelled' } });
    expect(h.worker.stats().running).toBe(0);
    await h.stop(1_000);
  });

  it('never starts what a cancel of the same reading names, and reports it so that it is released', async () => {
    const ran: string[] = [];
    const h = new Harness([defineAgent({ name: 'noted', run: ({ n }: { n: string }) => void ran.push(n) })]);
    const [cancelled] = await h.post([
      { agent: 'noted', input: { n: 'cancelled' } },
      { agent: 'noted', input: { n: 'other' } },
    ]);
    await h.postCancel(cancelled!);
    await h.start();
    await h.runtime.advance(10);
    expect(ran).toEqual(['other']);
    expect(await h.reportOf(cancelled!, 'failed')).toMatchObject({ error: { code: 'cancelled' } });
    await h.stop(1_000);
  });

  it('finds a cancel that stands hundreds of entries behind its assignment', async () => {
    const ran: number[] = [];
    const h = new Harness([defineAgent({ name: 'noted', run: ({ n }: { n: number }) => void ran.push(n) })], {
      slots: 600,
    });
    const orders = [];
    for (let n = 0; n < 450; n++) orders.push(...(await h.post([{ agent: 'noted', input: { n } }])));
    await h.postCancel(orders[3]!);
    await h.start();
    await h.runtime.advance(10);
    expect(ran.length).toBe(449);
    expect(ran).not.toContain(3);
    await h.stop(1_000);
  });

  it('drops a waiting attempt that is cancelled from its line', async () => {
    const quick = defineAgent({ name: 'quick', run: async ({ ms }: { ms?: number }, ctx) => (ms ? blocked(ctx) : 1) });
    const blocked = (ctx: AgentContext) => new Promise((_, no) => ctx.signal.addEventListener('abort', no));
    const h = await aWorker([quick], { slots: 1 });
    for (let n = 0; n < 8; n++) await h.assign({ agent: 'quick' });
    await h.runtime.advance(1);
    const [runs, waits] = await h.assign({ agent: 'quick', input: { ms: 1 } }, { agent: 'quick' });
    expect(h.worker.stats()).toMatchObject({ running: 1, waiting: 1 });
    await h.cancel(waits!);
    expect(h.worker.stats()).toMatchObject({ running: 1, waiting: 0 });
    expect(await h.reportOf(waits!, 'failed')).toMatchObject({ error: { code: 'cancelled' } });
    await h.cancel(runs!);
    await h.stop(1_000);
  });

  it('ends an attempt whose task comes again with a higher fence, and runs the new one', async () => {
    const { agent, reasons, ends } = held();
    const h = await aWorker([agent], { slots: 2 });
    const task = anId();
    await h.assign({ agent: 'held', task, fence: 1 });
    const [second] = await h.assign({ agent: 'held', task, fence: 2 });
    expect(reasons()).toEqual(['lease_lost', undefined]);
    ends[1]!('new');
    expect(await h.reportOf(second!, 'completed')).toMatchObject({ fence: 2, result: '"new"' });
    await h.assign({ agent: 'held', task, fence: 1 });
    expect(ends.length).toBe(2);
    await h.stop(1_000);
  });
});

describe('what it believes', () => {
  it('runs only what was signed and won', async () => {
    const h = await aWorker();
    const [won, lost] = await h.post([{}, {}], [1]);
    await h.runtime.advance(10);
    expect((await h.reports()).map((report) => report.attemptId)).toEqual([won!.attemptId]);
    expect(lost!.attemptId).not.toBe(won!.attemptId);
    await h.stop(1_000);
  });

  it('puts a forged envelope aside, says so, and goes on with the next', async () => {
    const h = await aWorker();
    await h.postRaw('not.an.envelope');
    const [order] = await h.assign({});
    expect(await h.reportOf(order!, 'completed')).toBeDefined();
    expect(h.eventsOf('message.rejected')).toMatchObject([{ reason: 'header' }]);
    expect(await h.memory.quarantined(0, 10)).toMatchObject([{ reason: 'header', text: 'not.an.envelope' }]);
    await h.stop(1_000);
  });

  it('runs an attempt once, while it is held, when it is done, and for 65 s after its release', async () => {
    let runs = 0;
    const h = await aWorker([defineAgent({ name: 'counted', run: () => void runs++ })]);
    const task = anId();
    const again = { agent: 'counted', task, attemptId: 'same' };
    const [order] = await h.assign(again);
    await h.assign(again);
    await h.release(order!);
    await h.runtime.advance(6_000);
    expect(h.worker.stats().done).toBe(0);
    await h.assign(again);
    await h.runtime.advance(58_000);
    await h.assign(again);
    expect(runs).toBe(1);
    await h.runtime.advance(10_000);
    await h.assign(again);
    expect(runs).toBe(2);
    await h.stop(1_000);
  });
});

describe('reports are kept until released', () => {
  it('sends a report again, newly signed with the same sequence, until its attempt is released', async () => {
    const h = await aWorker([], { heartbeatIntervalMs: 1_000 });
    const [order] = await h.assign({});
    expect((await h.reports()).map((report) => report.seq)).toEqual([1]);
    await h.runtime.advance(1_600);
    expect((await h.heartbeat()).done).toEqual([order!.held]);
    expect((await h.reports()).map(({ seq, attemptId }) => [seq, attemptId])).toEqual([[1, order!.attemptId]]);
    expect(h.eventsOf('report.resent').length).toBe(1);
    await h.release(order!);
    await h.runtime.advance(2_500);
    expect((await h.heartbeat()).done).toEqual([]);
    await h.reports();
    await h.runtime.advance(5_000);
    expect(await h.reports()).toEqual([]);
    await h.stop(1_000);
  });

  it('repeats itself ever more rarely while nobody decides, and asks for no more work when too much is undecided', async () => {
    const h = await aWorker([], { heartbeatIntervalMs: 1_000, slots: 300 });
    for (let i = 0; i < 17; i++) await h.assign(...Array.from({ length: 300 }, () => ({})));
    await h.reports();
    expect(h.worker.stats()).toMatchObject({ done: 5_100, ready: false });
    await h.runtime.advance(60_000);
    expect((await h.reports()).length).toBeLessThanOrEqual(5_100 * 9);
    expect((await h.heartbeat()).ready).toBe(false);
    await h.stop(1_000);
  });

  it('learns soon, without waiting for its next regular heartbeat, that enough was decided for it to take work again', async () => {
    const h = await aWorker([], { heartbeatIntervalMs: 10_000, instanceTtlMs: 30_000, slots: 300 });
    const orders: Order[] = [];
    for (let i = 0; i < 17; i++) orders.push(...(await h.assign(...Array.from({ length: 300 }, () => ({})))));
    expect(h.worker.stats().ready).toBe(false);
    // Enough is half: each change of mind is a heartbeat that lists all that is undecided.
    await h.release(...orders.splice(0, 2_000));
    await h.runtime.advance(1_000);
    expect(h.worker.stats()).toMatchObject({ done: 3_100, ready: false });
    await h.release(...orders.splice(0, 601));
    await h.runtime.advance(1_000);
    expect(h.worker.stats()).toMatchObject({ done: 2_499, ready: true });
    expect((await h.heartbeat()).ready).toBe(true);
    await h.stop(1_000);
  });

  it('repeats itself at once after contact was lost, however rarely it did before', async () => {
    const h = await aWorker([], { heartbeatIntervalMs: 1_000 });
    await h.assign({});
    await h.runtime.advance(30_000);
    await h.reports();
    await h.runtime.advance(2_000);
    expect(await h.reports()).toEqual([]);
    h.away = true;
    await h.runtime.advance(1_500);
    h.away = false;
    await h.runtime.advance(1_500);
    expect((await h.reports()).length).toBe(1);
    await h.stop(1_000);
  });

  it('runs on without the store and brings every report when it is back', async () => {
    const { agent, ends } = held();
    const h = await aWorker([agent]);
    const [early] = await h.assign({});
    const [order] = await h.assign({ agent: 'held' });
    await h.reports();
    h.away = true;
    await h.runtime.advance(20_000);
    expect(h.worker.stats()).toMatchObject({ running: 1, ready: false });
    ends[0]!('kept');
    await h.runtime.advance(20_000);
    h.away = false;
    await h.runtime.advance(1_500);
    const reports = await h.reports();
    expect(reports.map((report) => report.attemptId).sort()).toEqual([early!.attemptId, order!.attemptId].sort());
    expect(reports.find((report) => report.attemptId === order!.attemptId)).toMatchObject({ result: '"kept"' });
    expect(h.worker.stats().ready).toBe(true);
    expect(h.eventsOf('store.away').length).toBeGreaterThan(0);
    expect(h.eventsOf('store.back').length).toBeGreaterThan(0);
    await h.stop(1_000);
  });

  it('ends an exclusive attempt when its lease is over without the store, and hands it back', async () => {
    const { agent, reasons } = held('alone', { exclusive: true });
    const h = await aWorker([agent], { instanceTtlMs: 3_000, heartbeatIntervalMs: 1_000 });
    const [order] = await h.assign({ agent: 'alone' });
    await h.runtime.advance(10_000);
    expect(reasons()).toEqual([undefined]);
    h.away = true;
    await h.runtime.advance(1_900);
    expect(reasons()).toEqual([undefined]);
    await h.runtime.advance(1_200);
    expect(reasons()).toEqual(['lease_lost']);
    expect(h.eventsOf('lease.lost')).toMatchObject([{ why: 'expired', attempts: 1 }]);
    h.away = false;
    expect(await h.reportOf(order!, 'returned', 3_000)).toMatchObject({ why: 'lease_lost' });
    await h.stop(1_000);
  });
});

describe('heartbeats', () => {
  it('beats at once with its agents, and lists what it holds', async () => {
    const { agent } = held();
    const h = await aWorker([agent], { labels: { zone: 'eu' }, resources: { gpu: 1 }, slots: 1 });
    expect(await h.heartbeat()).toMatchObject({
      worker: WORKER,
      incarnation: INCARNATION,
      distributor: null,
      alive: true,
      ready: true,
      draining: false,
      slots: 1,
      labels: { zone: 'eu' },
      resources: { gpu: 1 },
    });
    const [order] = await h.assign({ agent: 'held' });
    await h.runtime.advance(5_000);
    const beat = await h.heartbeat();
    expect(beat).toMatchObject({ started: [order!.held], unstarted: [], done: [] });
    expect(beat.mailbox).not.toBe('0-0');
    await h.stop(100);
  });

  it('tells its heart of a start before the handler runs, because the handler may block the loop', async () => {
    const posts: HeartPost[] = [];
    const heart = {
      listen: () => undefined,
      post: (post: HeartPost) => void posts.push(post),
      stop: async () => undefined,
    };
    let known: HeldChange[] = [];
    const watching = defineAgent({
      name: 'watching',
      run: () => {
        known = posts.flatMap((post) => post.changes);
      },
    });
    const h = await aWorker([watching], { heart, slots: 1, timeoutGraceMs: 1_000 });
    for (let i = 0; i < 8; i++) await h.assign({ agent: 'watching' });
    const before = h.runtime.now();
    // The second one waits in the line, and starts when the first has ended.
    const [first, second] = await h.assign({ agent: 'watching' }, { agent: 'watching', timeoutMs: 4_000 });
    expect(known.filter(([, held]) => held === second!.held)).toEqual([
      [0, second!.held, 'unstarted'],
      [0, second!.held, 'started', before + 5_000],
    ]);
    expect(known).toContainEqual([0, first!.held, 'started', before + 61_000]);
    await h.stop(1_000);
  });

  it('does not vouch for an attempt past its deadline and grace', async () => {
    const { agent } = held('heedless', { heedless: true });
    const h = await aWorker([agent], { heartbeatIntervalMs: 1_000, timeoutGraceMs: 2_000 });
    const [order] = await h.assign({ agent: 'heedless', timeoutMs: 3_000 });
    await h.runtime.advance(4_500);
    expect((await h.heartbeat()).started).toEqual([order!.held]);
    await h.runtime.advance(2_000);
    expect((await h.heartbeat()).started).toEqual([]);
    await h.stop(100);
  });

  it('joins a live distributor, the one it was told to while that one lives', async () => {
    const h = await aWorker([], { heartbeatIntervalMs: 1_000, instanceTtlMs: 3_000, distributorId: 'd2' });
    const register = (id: string) =>
      h.memory.register({
        instance: {
          id,
          role: 'distributor',
          host: 'h',
          pid: 1,
          version: '1',
          url: null,
          agents: [],
          metadata: {},
          facts: {},
        },
        nonce: 'nn',
        ttlMs: 1_000,
      });
    const first = await register('d1');
    await register('d2');
    await h.runtime.advance(1_600);
    expect((await h.heartbeat()).distributor).toBe('d2');
    for (let i = 0; i < 5; i++) {
      if (first.ok) await h.memory.touch('d1', first.instance.incarnation, {});
      await h.runtime.advance(1_000);
    }
    expect((await h.heartbeat()).distributor).toBe('d1');
    await h.runtime.advance(5_000);
    expect((await h.heartbeat()).distributor).toBe(null);
    expect(h.eventsOf('distributor.changed').map((event) => event.distributor)).toEqual(['d2', 'd1', null]);
    await h.stop(1_000);
  });

  it('ends everything when another incarnation is registered', async () => {
    const { agent, reasons } = held();
    const h = await aWorker([agent]);
    await h.assign({ agent: 'held' });
    await h.memory.enlist(0, WORKER, '1700000009999-bb');
    await h.runtime.advance(5_100);
    expect(h.replaced).toBe(1);
    expect(reasons()).toEqual(['lease_lost']);
    expect(h.worker.stats().ready).toBe(false);
    expect(h.eventsOf('lease.lost')).toMatchObject([{ why: 'replaced' }]);
  });

  it('enlists anew where the shard forgot it', async () => {
    const h = await aWorker([], { heartbeatIntervalMs: 1_000 });
    const before = await h.beatEntry();
    await h.memory.retire(0, WORKER, INCARNATION);
    await h.runtime.advance(1_100);
    expect(h.replaced).toBe(0);
    expect(await h.beatEntry()).not.toBe(before);
    await h.stop(1_000);
  });

  it('is not ready while its mailbox cannot be read, or when told not to be', async () => {
    const h = await aWorker([], { heartbeatIntervalMs: 1_000 });
    h.worker.setUsable(false);
    await h.runtime.advance(60);
    expect((await h.heartbeat()).ready).toBe(false);
    h.worker.setUsable(true);
    await h.runtime.advance(60);
    expect((await h.heartbeat()).ready).toBe(true);
    await h.stop(1_000);
  });

  it('goes on beating while only the registry is away', async () => {
    const h = await aWorker([], { heartbeatIntervalMs: 1_000 });
    const before = await h.beatEntry();
    h.registryAway = true;
    await h.runtime.advance(1_600);
    expect(await h.beatEntry()).not.toBe(before);
    expect(h.worker.stats().ready).toBe(true);
    await h.stop(1_000);
  });

  it('serves every shard', async () => {
    const h = await aWorker([], { shards: 4 });
    for (const shard of [0, 1, 2, 3]) expect((await h.heartbeat(shard)).ready).toBe(true);
    await h.stop(1_000);
  });
});

describe('stopping', () => {
  it('hands back what waits, lets the running end, sees the last report decided and leaves nothing behind', async () => {
    const { agent, ends } = held();
    const h = await aWorker([agent], { slots: 1 });
    const [order] = await h.assign({ agent: 'held' });
    let took: number | undefined;
    const from = h.runtime.now();
    const stopping = h.worker.stop({ drainMs: 10_000 }).then(() => {
      took = h.runtime.now() - from;
    });
    await h.runtime.advance(100);
    expect(await h.heartbeat()).toMatchObject({ draining: true, ready: false, started: [order!.held] });
    const [late] = await h.assign({});
    expect(await h.reportOf(late!, 'returned')).toMatchObject({ why: 'drain' });
    await h.runtime.advance(2_000);
    expect(took).toBeUndefined();
    ends[0]!('finished');
    expect(await h.reportOf(order!, 'completed')).toMatchObject({ result: '"finished"' });
    await h.release(order!, late!);
    await h.runtime.advance(6_000);
    await stopping;
    expect(took).toBeLessThan(10_000);
    expect(await h.heartbeat()).toMatchObject({ draining: true, started: [], done: [] });
    await h.runtime.advance(100_000);
    expect(h.runtime.pending).toBe(0);
  });

  it('aborts what does not end and hands it back, at-most-once work excepted', async () => {
    const { agent, reasons } = held();
    const heedless = held('heedless', { heedless: true });
    const h = await aWorker([agent, heedless.agent], { slots: 3 });
    const orders = await h.assign(
      { agent: 'held' },
      { agent: 'heedless' },
      { agent: 'held', delivery: 'at-most-once' },
    );
    await h.reports();
    expect(await h.stop(2_000)).toBeLessThanOrEqual(2_010);
    expect(reasons()).toEqual(['shutdown', 'shutdown']);
    const reports = await h.reports();
    const of = (at: number) => reports.find((report) => report.attemptId === orders[at]!.attemptId);
    expect(of(0)).toMatchObject({ kind: 'returned', why: 'drain' });
    expect(of(1)).toMatchObject({ kind: 'returned', why: 'drain' });
    expect(of(2)).toMatchObject({ kind: 'failed', error: { code: 'outcome_unknown', retryable: false } });
  });

  it('ends within its time when the store is away', async () => {
    const { agent } = held('heedless', { heedless: true });
    const h = await aWorker([agent]);
    await h.assign({ agent: 'heedless' }, {});
    h.away = true;
    expect(await h.stop(3_000)).toBeLessThanOrEqual(3_010);
  });
});

it('checks the input only when the attempt starts, and names the field', async () => {
  const strict = defineAgent({ name: 'strict', input: z.object({ n: z.number() }), run: ({ n }) => n + 1 });
  const h = await aWorker([strict]);
  const [wrong, broken, right] = await h.assign(
    { agent: 'strict', input: { n: 'x' } },
    { agent: 'strict', inputText: '{' },
  );
  expect(right).toBeUndefined();
  const reports = await h.reports();
  const of = (order: typeof wrong) => reports.find((report) => report.attemptId === order!.attemptId);
  expect(of(wrong)).toMatchObject({
    kind: 'failed',
    error: { code: 'invalid_input', retryable: false, message: expect.stringContaining('input.n') },
  });
  expect(of(broken)).toMatchObject({ kind: 'failed', error: { code: 'invalid_input', retryable: false } });
  await h.stop(1_000);
});
