import { describe, expect, it } from 'vitest';
import { historyOf, viewOf } from '../../src/task/view.ts';
import { aTask, T0 } from '../support/builders.ts';

const iso = (at: number) => new Date(at).toISOString();

describe('the view of a task', () => {
  it('has the fields that were set, with times as people write them', () => {
    const task = aTask({
      key: 'order-77',
      session: 's1',
      labels: { team: 'a' },
      metadata: { n: 1 },
      state: 'completed',
      version: 4,
      result: '{"ok":true}',
      input: '{"text":"hi"}',
      trail: { attemptNumber: 2, progress: 1, note: 'nearly', usage: { inputTokens: 1 }, stopReason: 'done' },
    });
    expect(viewOf(task, 'local')).toEqual({
      id: task.id,
      agent: 'echo',
      method: 'run',
      state: 'completed',
      priority: 5,
      version: 4,
      attempt: 2,
      maxAttempts: 3,
      input: { text: 'hi' },
      result: { ok: true },
      progress: 1,
      progressNote: 'nearly',
      usage: { inputTokens: 1 },
      stopReason: 'done',
      key: 'order-77',
      tenant: 'default',
      session: 's1',
      correlationId: task.id,
      worker: 'w1',
      distributor: 'd1',
      durability: 'local',
      delivery: 'at-least-once',
      labels: { team: 'a' },
      metadata: { n: 1 },
      createdAt: iso(T0),
      queuedAt: iso(T0),
      startedAt: iso(T0),
      endedAt: iso(T0 + 1),
      timeoutMs: 60_000,
      retry: task.spec.retry,
    });
  });

  it('leaves out what is not there, and says when a scheduled task is due', () => {
    const { input, ...scheduled } = aTask({ state: 'scheduled', runAt: T0 + 5_000, delivery: 'at-most-once' });
    const view = viewOf(scheduled, 'memory');
    expect(view).toMatchObject({ runAt: iso(T0 + 5_000), delivery: 'at-most-once', labels: {}, metadata: {} });
    for (const name of ['input', 'result', 'error', 'key', 'worker', 'startedAt', 'endedAt', 'queuedAt']) {
      expect(view).not.toHaveProperty(name);
    }
  });
});

describe('a result that is no JSON', () => {
  it('is named, with its task', () => {
    const task = aTask({ state: 'completed', result: 'done!' });
    expect(() => viewOf(task, 'memory')).toThrowError(
      expect.objectContaining({
        code: 'RECORD_UNREADABLE',
        message: `the result of task ${task.id} is not JSON: done!`,
      }),
    );
  });
});

describe('the history of a task', () => {
  const linesOf = (history: Parameters<typeof aTask>[0] & {}) => historyOf(aTask(history));

  it('shows each transition after the message that caused it', () => {
    const { lines, dropped } = linesOf({
      trail: {
        dropped: 3,
        history: [
          [1, T0, 'queued'],
          [2, T0 + 1, 'assigned', { a: 'a1', w: 'w1', d: 'd1' }],
          [3, T0 + 2, 'running', { a: 'a1', w: 'w1' }],
          [4, T0 + 3, 'scheduled', { a: 'a1', w: 'w1', why: 'handler_error' }],
        ],
      },
    });
    expect(dropped).toBe(3);
    expect(lines.map(({ kind, state, type }) => [kind, state ?? type])).toEqual([
      ['transition', 'queued'],
      ['message', 'task.assign'],
      ['transition', 'assigned'],
      ['message', 'task.report'],
      ['transition', 'running'],
      ['message', 'task.report'],
      ['transition', 'scheduled'],
    ]);
    expect(lines[1]).toEqual({
      kind: 'message',
      at: iso(T0 + 1),
      version: 2,
      type: 'task.assign',
      sender: 'd1',
      receiver: 'worker:w1',
    });
    expect(lines[3]).toMatchObject({ sender: 'worker:w1', receiver: 'coordinators' });
    expect(lines[6]).toEqual({
      kind: 'transition',
      at: iso(T0 + 3),
      version: 4,
      state: 'scheduled',
      attemptId: 'a1',
      worker: 'w1',
      reason: 'handler_error',
    });
  });

  it('shows a cancel as a message to the worker', () => {
    const { lines } = linesOf({ trail: { history: [[2, T0, 'cancelled', { a: 'a1', w: 'w1', why: 'cancelled' }]] } });
    expect(lines[0]).toMatchObject({ type: 'task.cancel', sender: 'coordinators', receiver: 'worker:w1' });
  });

  it.each(['worker_lost', 'replaced', 'missing', 'taken_back', 'outcome_unknown', 'rejected'])(
    'puts no words into the worker’s mouth when the owner decided: %s',
    (why) => {
      const { lines } = linesOf({ trail: { history: [[2, T0, 'queued', { a: 'a1', w: 'w1', why }]] } });
      expect(lines.map(({ kind }) => kind)).toEqual(['transition']);
    },
  );
});
