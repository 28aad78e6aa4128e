import { describe, expect, it } from 'vitest';
import { addAssignment, assignmentOf, Letters } from '../../src/fleet/mail.ts';
import type { Assignment } from '../../src/message/bodies.ts';
import type { TaskSpec } from '../../src/task/task.ts';
import { anAttempt, aTask } from '../support/builders.ts';

const active = (over: Partial<TaskSpec> & { input?: string } = {}) =>
  aTask({ state: 'assigned', trail: { attempt: anAttempt(), fence: 3, attemptNumber: 2 }, ...over });

describe('letters', () => {
  it('say all that a worker needs to run the attempt', () => {
    const task = active({ input: '[1.0]' });
    expect(assignmentOf(task)).toEqual({
      task: task.id,
      attemptId: 'a1',
      fence: 3,
      attempt: 2,
      timeoutMs: 60_000,
      spec: task.sealed.text,
      seal: 'seal',
      input: '[1.0]',
      distributor: 'd1',
    });
  });

  it('to one holder are one, with the units they stand for', () => {
    const letters = new Letters<Assignment>();
    const tasks = [active(), active(), active()];
    for (const [unit, task] of tasks.entries()) addAssignment(letters, unit === 1 ? 'w2@1' : 'w1@1', task, unit);
    expect(letters.all().map(({ holder, units }) => [holder, units])).toEqual([
      ['w1@1', [0, 2]],
      ['w2@1', [1]],
    ]);
  });

  it('carry at-most-once work alone', () => {
    const letters = new Letters<Assignment>();
    const tasks = [active(), active({ delivery: 'at-most-once' }), active({ delivery: 'at-most-once' }), active()];
    for (const [unit, task] of tasks.entries()) addAssignment(letters, 'w1@1', task, unit);
    expect(letters.all().map(({ units }) => units)).toEqual([[0, 3], [1], [2]]);
  });

  it('are split before they grow too long for an envelope', () => {
    const letters = new Letters<Assignment>();
    const input = JSON.stringify('x'.repeat(1_000_000));
    for (let unit = 0; unit < 10; unit++) addAssignment(letters, 'w1@1', active({ input }), unit);
    expect(letters.all().map(({ units }) => units)).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9],
    ]);
  });
});
