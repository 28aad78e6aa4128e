import { describe, expect, it } from 'vitest';
import { eventsAfter, parsePlace, placeText, TASK_START } from '../../src/service/task-events.ts';
import type { TaskRecord } from '../../src/task/task.ts';
import { type Command, HISTORY_MAX, transition } from '../../src/task/transition.ts';
import { aTask, T0 } from '../support/builders.ts';

const assign: Command = { type: 'assign', attemptId: 'a1', worker: 'w1', incarnation: '1-a', distributor: 'd1' };
const from = (seq: number, fence = 1) => ({ attemptId: 'a1', fence, seq });

function made(task: TaskRecord, ...commands: Command[]): TaskRecord {
  return commands.reduce((before, command, i) => {
    const decided = transition(before, command, T0 + i);
    if (!decided.ok) throw new Error(`${command.type}: ${decided.reason}`);
    return decided.next;
  }, task);
}

/** As a commit writes several transitions at once: in one version. */
function folded(task: TaskRecord, ...commands: Command[]): TaskRecord {
  const { version } = task;
  let now = task;
  for (const command of commands) now = made({ ...now, version }, command);
  return now;
}

function fresh(): TaskRecord {
  return made({ ...aTask(), version: 0, trail: { ...aTask().trail, history: [] } }, { type: 'submit', score: 1 });
}

function told(task: TaskRecord, place = TASK_START): string[] {
  return eventsAfter(task, place, T0).events.map((one) => `${placeText(one.place)} ${one.event.type}`);
}

describe('the events of a task', () => {
  it('are its transitions in order, each under the version that made it', () => {
    const task = made(
      fresh(),
      assign,
      { type: 'start', from: from(1), at: T0 },
      { type: 'complete', from: from(2), result: '1' },
    );
    expect(told(task)).toEqual([
      '1.1 task.submitted',
      '1 task.queued',
      '2 task.assigned',
      '3 task.started',
      '4 task.completed',
    ]);
  });

  it('are told from behind any place without a gap and without a double', () => {
    const running = folded(
      made(fresh(), assign),
      { type: 'start', from: from(1), at: T0 },
      { type: 'complete', from: from(2), result: '1' },
    );
    const all = eventsAfter(running, TASK_START, T0).events;
    for (const [at, { place }] of all.entries()) {
      expect(eventsAfter(running, place, T0).events.map(({ event }) => event)).toEqual(
        all.slice(at + 1).map(({ event }) => event),
      );
    }
    expect(all.map(({ place }) => placeText(place))).toEqual(['1.1', '1', '2', '3.1', '3']);
  });

  it('hold the latest progress while it runs, and none of an attempt that is over', () => {
    const running = made(
      fresh(),
      assign,
      { type: 'start', from: from(1), at: T0 },
      { type: 'progress', from: from(2), progress: 0.5, note: 'half' },
    );
    const [progress] = eventsAfter(running, { version: 3, part: 0 }, T0 + 7).events;
    expect(progress).toMatchObject({ place: { version: 4, part: 0 } });
    expect(progress!.event).toMatchObject({ type: 'task.progress', progress: 0.5, progressNote: 'half', attempt: 1 });
    expect(progress!.event.at).toBe(new Date(T0 + 7).toISOString());
    expect(told(made(running, { type: 'complete', from: from(3), result: '1' }))).not.toContain('4 task.progress');
  });

  it('say nothing of an assignment that was sent a second time', () => {
    const task = made(fresh(), assign, { type: 'resend', attemptId: 'a1' });
    expect(task.version).toBe(3);
    expect(told(task, { version: 2, part: 0 })).toEqual([]);
  });

  it('tell a retry, of the system and by hand, from a first start', () => {
    const error = { code: 'handler_error', message: 'no luck', retryable: true };
    const failed = made(fresh(), assign, { type: 'fail', from: from(1), error, jitter: 0 });
    expect(told(failed).at(-1)).toBe('3 task.retried');
    const cancelled = made(failed, { type: 'cancel', reason: 'enough' });
    expect(eventsAfter(cancelled, { version: 3, part: 0 }, T0).events[0]!.event).toMatchObject({
      type: 'task.cancelled',
      error: { code: 'cancelled', message: 'enough' },
    });
    expect(told(made(cancelled, { type: 'retry', score: 1 })).at(-1)).toBe('5 task.retried');
  });

  it('say that some are missing to those who stand before what a long history dropped, and to no others', () => {
    let task = fresh();
    const back: Command = { type: 'return', from: from(1), why: 'drain' };
    for (let n = 0; n < HISTORY_MAX; n++) {
      task = made(task, assign);
      task = made(task, { ...back, from: from(1, task.trail.fence) });
    }
    expect(eventsAfter(task, TASK_START, T0).gap).toBe(true);
    expect(eventsAfter(task, { version: task.version - 10, part: 0 }, T0).gap).toBe(false);
    const oldest = task.trail.history[8]![0];
    expect(eventsAfter(task, { version: oldest - 1, part: 0 }, T0).gap).toBe(false);
    expect(eventsAfter(task, { version: oldest - 2, part: 0 }, T0).gap).toBe(true);
  });
});

describe('a place in a task', () => {
  it.each(['0', '3', '3.1', '120.12'])('is read as it was written: %s', (text) => {
    expect(placeText(parsePlace(text)!)).toBe(text);
  });

  it.each(['', 'x', '1.', '-1', '1.2.3', '1 ', '9'.repeat(20)])('is not %j', (text) => {
    expect(parsePlace(text)).toBeNull();
  });
});
