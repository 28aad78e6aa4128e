import { describe, expect, it } from 'vitest';
import { decideReports, type ReportEntry } from '../../src/coordinator/decide-reports.ts';
import type { Report } from '../../src/message/bodies.ts';
import type { TaskRecord } from '../../src/task/task.ts';
import { transition } from '../../src/task/transition.ts';
import { aTask, jsonOf, refTo, T0 } from '../support/builders.ts';
import { completed, failed, returned, started } from './world.ts';

const NOW = T0 + 1_000;
const POLICY = {
  timeoutGraceMs: 0,
  retentionCompletedMs: 0,
  retentionFailedMs: 0,
  tenantConcurrency: null,
  maxPayloadBytes: 100,
};

function anEntry(id: string, reports: Report[], over: Partial<ReportEntry> = {}): ReportEntry {
  return { id, worker: 'w1', incarnation: '100-aa', reports, ...over };
}

function decide(batch: ReportEntry[], tasks: TaskRecord[], lacking?: ReadonlySet<string>) {
  const records = new Map(tasks.map((task) => [task.id, task]));
  return decideReports(batch, records, { now: NOW, policy: POLICY, jitter: () => 0, ...(lacking && { lacking }) });
}

const refOf = (task: TaskRecord) => ({ task: task.id, attemptId: 'a1', fence: 1 });

describe('what reports make of records', () => {
  it('folds all reports of a task into one unit, over several entries, whose version grows by one', () => {
    const [one, two] = [aTask({ state: 'assigned', version: 4 }), aTask({ state: 'assigned' })];
    const progress: Report = { kind: 'progress', ...refOf(one), seq: 2, at: NOW, progress: 0.5 };
    const { units, changed, entries, refused } = decide(
      [
        anEntry('1-0', [started(refOf(one), 1, NOW), started(refOf(two), 1, NOW)]),
        anEntry('2-0', [progress]),
        anEntry('3-0', [completed(refOf(one), 3, NOW)]),
      ],
      [one, two],
    );
    expect(units.map(({ id, expect: version, state }) => [id, version, state])).toEqual([
      [one.id, 4, 'completed'],
      [two.id, 1, 'running'],
    ]);
    expect(entries).toEqual([
      { id: '1-0', units: [0, 1] },
      { id: '2-0', units: [0] },
      { id: '3-0', units: [0] },
    ]);
    expect(refused).toEqual([]);
    expect(changed[0]).toMatchObject({ before: one, after: { version: 5 } });
    expect(changed[0]!.events.map(({ type }) => type)).toEqual(['task.started', 'task.progress', 'task.completed']);
    const historyOf = changed[0]!.after.trail.history.map(([version]) => version);
    expect(historyOf).toEqual([1, 5, 5]);
    expect(units[0]!.indexes.map((change) => change.do)).toEqual(['remove', 'remove', 'remove', 'min']);
  });

  it('releases each terminal report with its unit, to the incarnation that sent it', () => {
    const tasks = [1, 2, 3].map(() => aTask({ state: 'running' }));
    const [one, two, three] = tasks.map(refOf);
    const reports = [completed(one!, 2, NOW), failed(two!, 2, NOW), returned(three!, 2, NOW)];
    const { release } = decide([anEntry('1-0', reports, { incarnation: '300-cc' })], tasks);
    const attempts = tasks.map(({ id }, unit) => ({ held: `${id}~a1`, unit }));
    expect(release).toEqual([{ holder: 'w1@300-cc', attempts }]);
  });

  it('releases nothing for an attempt that goes on', () => {
    const task = aTask({ state: 'assigned' });
    expect(decide([anEntry('1-0', [started(refOf(task), 1, NOW)])], [task]).release).toEqual([]);
  });

  it.each([
    ['unknown task', 'no_task', () => [] as TaskRecord[], {}],
    ['ended task', 'ended', () => [aTask({ state: 'cancelled' })], {}],
    ['task that went to another attempt', 'other_attempt', () => [aTask({ state: 'running' })], { attemptId: 'a0' }],
    ['older fence', 'other_attempt', () => [aTask({ state: 'running' })], { fence: 0 }],
    ['sequence seen before', 'old_report', () => [aTask({ state: 'running' })], { seq: 1 }],
  ])(
    'refuses a report of an %s and releases it all the same: nobody will ask for it again',
    (_, reason, make, over) => {
      const tasks = make();
      const task = tasks[0] ?? aTask();
      const report = { ...completed(refOf(task), 2, NOW), ...over } as Report;
      const { units, release, refused, entries } = decide([anEntry('1-0', [report])], tasks);
      expect(units).toEqual([]);
      expect(refused).toEqual([{ report, worker: 'w1', reason }]);
      expect(release).toEqual([{ holder: 'w1@100-aa', attempts: [{ held: `${task.id}~${report.attemptId}` }] }]);
      expect(entries).toEqual([{ id: '1-0', units: [] }]);
    },
  );

  it('refuses a worker that speaks of the attempt of another', () => {
    const task = aTask({ state: 'running' });
    const { units, refused } = decide([anEntry('1-0', [completed(refOf(task), 2, NOW)], { worker: 'w2' })], [task]);
    expect(units).toEqual([]);
    expect(refused).toMatchObject([{ reason: 'other_worker', worker: 'w2' }]);
  });

  it('accepts one end of an attempt: the second is refused against the first, in one batch', () => {
    const task = aTask({ state: 'running' });
    const reports = [completed(refOf(task), 2, NOW), failed(refOf(task), 3, NOW)];
    const { units, refused, release } = decide([anEntry('1-0', [reports[0]!]), anEntry('2-0', [reports[1]!])], [task]);
    expect(units).toMatchObject([{ state: 'completed' }]);
    expect(refused).toMatchObject([{ report: reports[1], reason: 'ended' }]);
    expect(release).toHaveLength(2);
  });

  it('passes on what a failed attempt asked for', () => {
    const task = aTask({ state: 'running' });
    const { changed } = decide([anEntry('1-0', [failed(refOf(task), 2, NOW, { retryAfterMs: 77 })])], [task]);
    expect(changed[0]!.after).toMatchObject({ state: 'scheduled', trail: { dueAt: NOW + 77 } });
    expect(changed[0]!.after.trail.error).toEqual({ code: 'handler_error', message: 'no luck', retryable: true });
  });

  it('decides exactly as the state machine does, one report after another', () => {
    const task = aTask({ state: 'assigned' });
    const { changed } = decide([anEntry('1-0', [started(refOf(task), 1, NOW), returned(refOf(task), 2, NOW)])], [task]);
    const from = { attemptId: 'a1', fence: 1 };
    const running = transition(task, { type: 'start', from: { ...from, seq: 1 }, at: NOW }, NOW);
    if (!running.ok) throw new Error('start was refused');
    const again = transition(running.next, { type: 'return', from: { ...from, seq: 2 }, why: 'drain' }, NOW);
    if (!again.ok) throw new Error('return was refused');
    const { history, ...trail } = changed[0]!.after.trail;
    const { history: single, ...wanted } = again.next.trail;
    expect(trail).toEqual(wanted);
    expect(history.map(([, , state]) => state)).toEqual(single.map(([, , state]) => state));
  });

  it('adopts a large result from the attempt that reports it', () => {
    const task = aTask({ state: 'running' });
    const result = refTo(jsonOf(90));
    const { units } = decide([anEntry('1-0', [completed(refOf(task), 2, NOW, result)])], [task]);
    expect(units).toMatchObject([{ state: 'completed', result, adopt: { holder: 'w1@100-aa', attemptId: 'a1' } }]);
    expect(units[0]).not.toHaveProperty('large');
  });

  it.each([
    ['is larger than may be', jsonOf(101), 'result_too_large'],
    ['has more bytes than may be, in fewer characters', jsonOf(60, 'é'), 'result_too_large'],
    ['is a reference to one that is larger', refTo(jsonOf(101)), 'result_too_large'],
    ['is a reference that cannot be read', '@9 x', 'invalid_output'],
  ])('fails a task for good whose result %s', (_, result, code) => {
    const task = aTask({ state: 'running' });
    const { units, changed, release } = decide([anEntry('1-0', [completed(refOf(task), 2, NOW, result)])], [task]);
    expect(changed[0]!.after).toMatchObject({ state: 'failed', trail: { error: { code, retryable: false } } });
    expect(units[0]).not.toHaveProperty('adopt');
    expect(units[0]).not.toHaveProperty('result');
    expect(release).toHaveLength(1);
  });

  it('takes a result of just the size that may be', () => {
    const tasks = [aTask({ state: 'running' }), aTask({ state: 'running' })];
    const reports = [jsonOf(100), refTo(jsonOf(100))].map((result, n) => completed(refOf(tasks[n]!), 2, NOW, result));
    expect(decide([anEntry('1-0', reports)], tasks).units.map(({ state }) => state)).toEqual([
      'completed',
      'completed',
    ]);
  });

  it('refuses a report whose result was not there, and does not release it: its worker is to bring both again', () => {
    const task = aTask({ state: 'running' });
    const lacking = new Set([`${task.id}~a1`]);
    const report = completed(refOf(task), 2, NOW, refTo(jsonOf(50)));
    const { units, release, refused, entries } = decide([anEntry('1-0', [report])], [task], lacking);
    expect([units, release, entries]).toEqual([[], [], [{ id: '1-0', units: [] }]]);
    expect(refused).toMatchObject([{ reason: 'result_missing' }]);
  });

  it('releases a repeated end only together with the unit that carries the first', () => {
    const task = aTask({ state: 'running' });
    const report = completed(refOf(task), 2, NOW, refTo(jsonOf(50)));
    const { release } = decide([anEntry('1-0', [report]), anEntry('2-0', [report])], [task]);
    const attempts = [{ held: `${task.id}~a1`, unit: 0 }];
    expect(release).toEqual([
      { holder: 'w1@100-aa', attempts },
      { holder: 'w1@100-aa', attempts },
    ]);
  });
});
