/** What a worker does with inputs and results that are stored apart. */
import { describe, expect, it } from 'vitest';
import { defineAgent } from '../../src/agent/define-agent.ts';
import type { Report } from '../../src/message/bodies.ts';
import { holderOf, RESULT_KEPT_MS } from '../../src/store/store.ts';
import { LARGE_PAYLOAD_BYTES } from '../../src/task/payload.ts';
import { jsonOf, refTo } from '../support/builders.ts';
import { aWorker, type Harness, INCARNATION, type Order, WORKER } from './harness.ts';

const BYTES = LARGE_PAYLOAD_BYTES + 100;
const INPUT = jsonOf(BYTES);
const HOLDER = holderOf(WORKER, INCARNATION);

const length = defineAgent({ name: 'length', run: (text: string) => text.length });
const grow = defineAgent({ name: 'grow', run: ({ bytes }: { bytes: number }) => 'x'.repeat(bytes - 2) });

function held() {
  const end = new AbortController();
  const until = new Promise((resolve) => end.signal.addEventListener('abort', resolve));
  return { release: () => end.abort(), agent: defineAgent({ name: 'held', run: () => until.then(() => null) }) };
}

/** Completes a task with what the worker put aside, as the owner does. */
async function adopt(h: Harness, order: Order, report: Report) {
  const result = report.kind === 'completed' ? report.result : '';
  const unit = { id: order.task, expect: 1, state: 'completed' as const, indexes: [], result };
  const kept = { holder: HOLDER, attemptId: order.attemptId };
  const { units } = await h.memory.commit(0, { op: `adopt${order.attemptId}`, units: [{ ...unit, adopt: kept }] });
  return units[0];
}

const isThere = async (h: Harness, { attemptId }: Order) =>
  (await h.memory.renewResults(0, [{ holder: HOLDER, attemptId }], RESULT_KEPT_MS))[0];

describe('a large input', () => {
  it('is fetched and given to the handler', async () => {
    const h = await aWorker([length]);
    const [order] = await h.assign({ agent: 'length', largeInput: INPUT });
    expect(await h.reportOf(order!, 'completed')).toMatchObject({ result: String(BYTES - 2) });
    await h.stop(1_000);
  });

  it('is fetched when its attempt has a slot, not before', async () => {
    const blocking = held();
    const h = await aWorker([length, blocking.agent], { slots: 1 });
    // An agent that is known to be quick gets a place in the line.
    for (let n = 0; n < 8; n++) await h.assign({ agent: 'length', inputText: '""' });
    await h.runtime.advance(6_000);
    await h.assign({ agent: 'held' });
    const [order] = await h.assign({ agent: 'length', largeInput: INPUT });
    expect(h.worker.stats()).toMatchObject({ running: 1, waiting: 1 });
    await h.remove(order!);
    blocking.release();
    expect(await h.reportOf(order!, 'failed')).toMatchObject({ error: { message: 'its input is gone' } });
    await h.stop(1_000);
  });

  it('that is not what was submitted is rejected, put aside and never run', async () => {
    const h = await aWorker([length]);
    const [order] = await h.assign({ agent: 'length', largeInput: INPUT, storedInput: jsonOf(BYTES, 'y') });
    expect(await h.reportOf(order!, 'failed')).toMatchObject({
      error: { code: 'rejected', retryable: false, message: 'its input is not the one that was submitted' },
    });
    expect(await h.memory.quarantined(0, 10)).toMatchObject([
      { stream: 'records', entry: order!.task, reason: 'payload' },
    ]);
    expect(h.eventsOf('message.rejected')).toMatchObject([{ reason: 'payload' }]);
    expect(h.eventsOf('attempt.started')).toEqual([]);
    await h.stop(1_000);
  });

  it('that is gone is rejected', async () => {
    const h = await aWorker([length]);
    const [order] = await h.post([{ agent: 'length', largeInput: INPUT }]);
    await h.remove(order!);
    await h.runtime.advance(1);
    expect(await h.reportOf(order!, 'failed')).toMatchObject({
      error: { code: 'rejected', message: 'its input is gone' },
    });
    await h.stop(1_000);
  });

  it('is waited for while the store is away, unstarted as seen from outside', async () => {
    const h = await aWorker([length]);
    h.awayFor = ['payload'];
    const [order] = await h.assign({ agent: 'length', largeInput: INPUT });
    await h.runtime.advance(6_000);
    expect(await h.heartbeat()).toMatchObject({ unstarted: [order!.held], started: [] });
    h.awayFor = [];
    expect(await h.reportOf(order!, 'completed', 2_000)).toMatchObject({ result: String(BYTES - 2) });
    await h.stop(1_000);
  });

  it('is handed back when it cannot be read for long, which uses up no attempt', async () => {
    const h = await aWorker([length], { slots: 1 });
    h.awayFor = ['payload'];
    const [order] = await h.assign({ agent: 'length', largeInput: INPUT });
    expect(await h.reportOf(order!, 'returned', 15_000)).toMatchObject({ why: 'input_unread' });
    const [next] = await h.assign({ agent: 'length', inputText: '"abc"' });
    expect(await h.reportOf(next!, 'completed')).toMatchObject({ result: '3' });
    await h.stop(1_000);
  });

  it('is of no use to an attempt that is cancelled while it comes', async () => {
    const h = await aWorker([length]);
    h.awayFor = ['payload'];
    const [order] = await h.assign({ agent: 'length', largeInput: INPUT });
    await h.cancel(order!);
    expect(await h.reportOf(order!, 'failed')).toMatchObject({ error: { code: 'cancelled' } });
    h.awayFor = [];
    await h.runtime.advance(3_000);
    expect(h.eventsOf('attempt.started')).toEqual([]);
    expect(h.worker.stats()).toMatchObject({ running: 0, waiting: 0 });
    await h.stop(1_000);
  });

  it('goes back with its task when the worker drains while it comes', async () => {
    const h = await aWorker([length]);
    h.awayFor = ['payload'];
    const [order] = await h.assign({ agent: 'length', largeInput: INPUT, delivery: 'at-most-once' });
    await h.stop(1_000);
    expect(await h.reports()).toMatchObject([{ kind: 'returned', why: 'drain', attemptId: order!.attemptId }]);
  });
});

describe('a large result', () => {
  it('is put aside before the report that refers to it', async () => {
    const h = await aWorker([grow]);
    const [order] = await h.assign({ agent: 'grow', input: { bytes: BYTES } });
    const report = await h.reportOf(order!, 'completed');
    expect(report).toMatchObject({ result: refTo(INPUT) });
    expect(await adopt(h, order!, report)).toEqual({ ok: true, already: false });
    expect(await h.memory.payload(0, order!.task, 'result')).toBe(INPUT);
    await h.stop(1_000);
  });

  it('travels in its report up to the threshold', async () => {
    const h = await aWorker([grow]);
    const [order] = await h.assign({ agent: 'grow', input: { bytes: LARGE_PAYLOAD_BYTES } });
    expect(await h.reportOf(order!, 'completed')).toMatchObject({ result: jsonOf(LARGE_PAYLOAD_BYTES) });
    await h.stop(1_000);
  });

  it('is not reported before the store has it', async () => {
    const h = await aWorker([grow]);
    h.awayFor = ['putResult'];
    const [large, small] = await h.assign(
      { agent: 'grow', input: { bytes: BYTES } },
      { agent: 'grow', input: { bytes: 10 } },
    );
    await h.runtime.advance(20_000);
    expect((await h.reports()).map(({ attemptId }) => attemptId)).not.toContain(large!.attemptId);
    h.awayFor = [];
    await h.release(small!);
    expect(await h.reportOf(large!, 'completed', 2_000)).toMatchObject({ result: refTo(INPUT) });
    await h.stop(1_000);
  });

  it('is kept as long as its report is, and forgotten once that is decided', async () => {
    const h = await aWorker([grow]);
    const [order] = await h.assign({ agent: 'grow', input: { bytes: BYTES } });
    await h.runtime.advance(2 * RESULT_KEPT_MS);
    const reports = await h.reports();
    expect(reports.length).toBeGreaterThan(2);
    await h.release(order!);
    await h.runtime.advance(6_000);
    expect(h.worker.stats().done).toBe(0);
    expect(await isThere(h, order!)).toBe(false);
    await h.stop(1_000);
  });

  it('is there all the time while nobody decides', async () => {
    const h = await aWorker([grow]);
    const [order] = await h.assign({ agent: 'grow', input: { bytes: BYTES } });
    const report = await h.reportOf(order!, 'completed');
    h.awayFor = ['putResult'];
    await h.runtime.advance(3.5 * RESULT_KEPT_MS);
    expect(await adopt(h, order!, report)).toMatchObject({ ok: true });
    await h.stop(1_000);
  });

  it('is brought again with its report when it is no longer there', async () => {
    const h = await aWorker([grow]);
    const [order] = await h.assign({ agent: 'grow', input: { bytes: BYTES } });
    const report = await h.reportOf(order!, 'completed');
    h.awayFor = ['renewResults', 'report'];
    await h.runtime.advance(RESULT_KEPT_MS + 1_000);
    expect(await adopt(h, order!, report)).toEqual({ ok: false, reason: 'missing' });
    h.awayFor = [];
    await h.reports();
    const again = await h.reportOf(order!, 'completed', 70_000);
    expect(again).toMatchObject({ result: refTo(INPUT), seq: (report as { seq: number }).seq });
    expect(await adopt(h, order!, again)).toEqual({ ok: true, already: false });
    await h.stop(1_000);
  });

  it('holds up no other report, and many come through', async () => {
    const h = await aWorker([grow], { slots: 40 });
    const orders = await h.assign(...Array.from({ length: 40 }, () => ({ agent: 'grow', input: { bytes: BYTES } })));
    await h.runtime.advance(10);
    const ended = (await h.reports()).filter(({ kind }) => kind === 'completed');
    expect(new Set(ended.map(({ attemptId }) => attemptId))).toEqual(new Set(orders.map(({ attemptId }) => attemptId)));
    expect(ended.every((report) => report.kind === 'completed' && report.result.length < 100)).toBe(true);
    await h.stop(1_000);
  });

  it('that is more than may be stored fails its task at once, and is put nowhere', async () => {
    const h = await aWorker([grow], { maxPayloadBytes: 2 * LARGE_PAYLOAD_BYTES });
    const [order] = await h.assign({ agent: 'grow', input: { bytes: 2 * LARGE_PAYLOAD_BYTES + 1 } });
    const report = await h.reportOf(order!, 'failed');
    expect(report).toMatchObject({ error: { code: 'result_too_large', retryable: false } });
    expect(await isThere(h, order!)).toBe(false);
    await h.stop(1_000);
  });
});
