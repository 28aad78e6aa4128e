import { describe, expect, it } from 'vitest';
import { totalEndsAt } from '../../src/task/limits.ts';
import { TASK_STATES, type TaskRecord, type TaskState } from '../../src/task/task.ts';
import { type Command, HISTORY_MAX, LOSSES_MAX, type Transition, transition } from '../../src/task/transition.ts';
import { anAttempt, aTask, T0 } from '../support/builders.ts';

const NOW = T0 + 10_000;
/** Names the attempt that `aTask` holds, with a report newer than any it has seen. */
const FROM = { attemptId: 'a1', fence: 1, seq: 5 };
const ERROR = { code: 'handler_error', message: 'no luck', retryable: true };

const COMMANDS = {
  submit: { type: 'submit', score: 7 },
  promote: { type: 'promote', score: 7 },
  assign: { type: 'assign', attemptId: 'a2', worker: 'w2', incarnation: '200-bb', distributor: 'd2' },
  resend: { type: 'resend', attemptId: 'a1' },
  start: { type: 'start', from: FROM, at: NOW - 1 },
  progress: { type: 'progress', from: FROM, progress: 0.5, note: 'half' },
  complete: { type: 'complete', from: FROM, result: '{"n":1}', startedAt: NOW - 2 },
  fail: { type: 'fail', from: FROM, error: ERROR, jitter: 0.5 },
  'fail for good': { type: 'fail', from: FROM, error: { ...ERROR, retryable: false }, jitter: 0.5 },
  return: { type: 'return', from: FROM, why: 'drain' },
  lose: { type: 'lose', attemptId: 'a1', started: 'unknown', crashesMax: 3, why: 'worker_lost' },
  'time-out': { type: 'time-out', attemptId: 'a1', jitter: 0.5 },
  'time-out for good': { type: 'time-out', attemptId: 'a1', jitter: 0.5, final: true },
  expire: { type: 'expire', message: 'waited too long' },
  cancel: { type: 'cancel', reason: 'changed my mind' },
  reject: { type: 'reject', message: 'wrong seal' },
  retry: { type: 'retry', score: 7 },
} as const satisfies Record<string, Command>;

// wrong = wrong_state, other = other_attempt.
const TABLE = `
                   scheduled  queued     assigned   running    waiting    completed  failed     cancelled
submit             wrong      wrong      wrong      wrong      wrong      wrong      wrong      wrong
promote            queued     wrong      wrong      wrong      wrong      ended      ended      ended
assign             wrong      assigned   wrong      wrong      wrong      ended      ended      ended
resend             wrong      wrong      assigned   wrong      wrong      ended      ended      ended
start              other      other      running    wrong      other      ended      ended      ended
progress           other      other      running    running    other      ended      ended      ended
complete           other      other      completed  completed  other      ended      ended      ended
fail               other      other      scheduled  scheduled  other      ended      ended      ended
fail for good      other      other      failed     failed     other      ended      ended      ended
return             other      other      queued     queued     other      ended      ended      ended
lose               wrong      wrong      queued     queued     wrong      ended      ended      ended
time-out           wrong      wrong      scheduled  scheduled  wrong      ended      ended      ended
time-out for good  wrong      wrong      failed     failed     wrong      ended      ended      ended
expire             failed     failed     wrong      wrong      failed     ended      ended      ended
cancel             cancelled  cancelled  cancelled  cancelled  cancelled  ended      ended      ended
reject             wrong      failed     failed     wrong      wrong      ended      ended      ended
retry              wrong      wrong      wrong      wrong      wrong      ended      queued     queued
`;

function rows(): { name: keyof typeof COMMANDS; state: TaskState; answer: string }[] {
  const [header, ...lines] = TABLE.trim().split('\n');
  const states = header!.trim().split(/\s+/) as TaskState[];
  return lines.flatMap((line) => {
    const [name, ...answers] = line.trim().split(/\s{2,}/);
    return answers.map((answer, i) => ({ name: name as keyof typeof COMMANDS, state: states[i]!, answer }));
  });
}

function shortOf(answer: Transition): string {
  if (answer.ok) return answer.next.state;
  return { wrong_state: 'wrong', other_attempt: 'other', ended: 'ended', old_report: 'old' }[answer.reason];
}

describe('the table of commands and states', () => {
  it('speaks of every command in every state', () => {
    expect(rows().length).toBe(Object.keys(COMMANDS).length * TASK_STATES.length);
  });

  it.each(rows())('$name on a task that is $state: $answer', ({ name, state, answer }) => {
    expect(shortOf(transition(aTask({ state }), COMMANDS[name], NOW))).toBe(answer);
  });
});

function accepted(task: TaskRecord, command: Command, now = NOW) {
  const answer = transition(task, command, now);
  if (!answer.ok) throw new Error(`${command.type} was refused: ${answer.reason}`);
  return answer;
}

function eventsOf(answer: ReturnType<typeof accepted>): string[] {
  return answer.events.map(({ type }) => type);
}

describe('submit', () => {
  const fresh = (over = {}) => ({ ...aTask({ ...over }), version: 0 });

  it('queues a new task at its score and says so', () => {
    const answer = accepted(fresh(), COMMANDS.submit);
    expect(answer.next).toMatchObject({ version: 1, state: 'queued', trail: { queuedAt: NOW, score: 7 } });
    expect(eventsOf(answer)).toEqual(['task.submitted', 'task.queued']);
    expect(answer.events[0]).toMatchObject({ version: 1, state: 'queued', agent: 'echo', at: NOW });
  });

  it('schedules a task for later, but not for a time that is over', () => {
    const later = accepted(fresh({ runAt: NOW + 1 }), COMMANDS.submit);
    expect(later.next).toMatchObject({ state: 'scheduled', trail: { dueAt: NOW + 1 } });
    expect(eventsOf(later)).toEqual(['task.submitted', 'task.scheduled']);
    expect(accepted(fresh({ runAt: NOW }), COMMANDS.submit).next.state).toBe('queued');
  });

  it('refuses every other command on a task that is not stored yet', () => {
    expect(transition(fresh(), COMMANDS.assign, NOW)).toEqual({ ok: false, reason: 'wrong_state' });
    expect(transition(fresh(), COMMANDS.cancel, NOW)).toEqual({ ok: false, reason: 'wrong_state' });
  });
});

describe('assign', () => {
  it('raises the fence, names the attempt, and sends it to this incarnation of the worker', () => {
    const task = aTask({ trail: { fence: 4, used: 1, progress: 0.9, note: 'old', startedAt: T0, usage: {} } });
    const { next, messages } = accepted(task, COMMANDS.assign);
    expect(next.trail).toMatchObject({ fence: 5, attemptNumber: 2, worker: 'w2', distributor: 'd2' });
    const attempt = { id: 'a2', worker: 'w2', incarnation: '200-bb', distributor: 'd2', assignedAt: NOW, seq: 0 };
    expect(next.trail.attempt).toEqual(attempt);
    expect(messages).toEqual([{ type: 'task.assign', worker: 'w2', incarnation: '200-bb', attemptId: 'a2' }]);
    for (const ofLastRun of ['progress', 'note', 'startedAt', 'usage'])
      expect(next.trail).not.toHaveProperty(ofLastRun);
  });

  it('is sent once more as the same attempt, which is remembered', () => {
    const { next, messages } = accepted(aTask({ state: 'assigned' }), COMMANDS.resend);
    expect(next.trail).toMatchObject({ fence: 1, attempt: { id: 'a1', resent: true } });
    expect(messages).toEqual([{ type: 'task.assign', worker: 'w1', incarnation: '100-aa', attemptId: 'a1' }]);
    const other = { type: 'resend', attemptId: 'a9' } as const;
    expect(transition(aTask({ state: 'assigned' }), other, NOW)).toEqual({ ok: false, reason: 'other_attempt' });
  });
});

describe('reports', () => {
  const NAMES = ['start', 'progress', 'complete', 'fail', 'return'] as const;
  const from = (name: (typeof NAMES)[number], over: Partial<typeof FROM>) =>
    ({ ...COMMANDS[name], from: { ...FROM, ...over } }) as Command;

  it.each(NAMES)('%s counts only from the attempt and the fence that the record holds', (name) => {
    const task = aTask({ state: 'assigned' });
    expect(transition(task, from(name, { attemptId: 'a0' }), NOW)).toEqual({ ok: false, reason: 'other_attempt' });
    expect(transition(task, from(name, { fence: 0 }), NOW)).toEqual({ ok: false, reason: 'other_attempt' });
    expect(transition(task, from(name, { fence: 2 }), NOW)).toEqual({ ok: false, reason: 'other_attempt' });
  });

  it.each(NAMES)('%s changes nothing when it comes again', (name) => {
    const task = aTask({ state: 'assigned', trail: { attempt: anAttempt({ seq: 5 }) } });
    expect(transition(task, from(name, { seq: 5 }), NOW)).toEqual({ ok: false, reason: 'old_report' });
    expect(transition(task, from(name, { seq: 4 }), NOW)).toEqual({ ok: false, reason: 'old_report' });
    expect(transition(task, from(name, { seq: 6 }), NOW).ok).toBe(true);
  });

  it('says old_report, not wrong_state, when a start comes again', () => {
    const running = aTask({ state: 'running' });
    expect(transition(running, from('start', { seq: 1 }), NOW)).toEqual({ ok: false, reason: 'old_report' });
  });

  it('start remembers the sequence and when the attempt began', () => {
    const { next } = accepted(aTask({ state: 'assigned' }), COMMANDS.start);
    expect(next.trail).toMatchObject({ startedAt: NOW - 1, attempt: { seq: 5, startedAt: NOW - 1 } });
  });

  it.each([
    ['in the future', NOW + 86_400_000, NOW],
    ['before the assignment', T0 - 1, T0],
    ['in fractions', T0 + 1.4, T0 + 1],
  ])('takes a start that lies %s for the nearest that can be', (_, at, startedAt) => {
    const { next } = accepted(aTask({ state: 'assigned' }), { type: 'start', from: FROM, at });
    expect(next.trail.attempt?.startedAt).toBe(startedAt);
  });

  it('keeps the first start, whatever later reports say', () => {
    const { next } = accepted(aTask({ state: 'running' }), { ...COMMANDS.complete, startedAt: NOW - 5 });
    expect(next.trail.startedAt).toBe(T0);
  });

  it('progress of an attempt not known to run starts it', () => {
    const answer = accepted(aTask({ state: 'assigned' }), { ...COMMANDS.progress, usage: { inputTokens: 3 } });
    expect(answer.next.trail).toMatchObject({ progress: 0.5, note: 'half', usage: { inputTokens: 3 }, startedAt: NOW });
    expect(eventsOf(answer)).toEqual(['task.started', 'task.progress']);
    expect(eventsOf(accepted(aTask({ state: 'running' }), COMMANDS.progress))).toEqual(['task.progress']);
  });

  it('complete keeps result, usage and end, and forgets the attempt and the error of an earlier one', () => {
    const task = aTask({ state: 'running', trail: { error: ERROR } });
    const answer = accepted(task, { ...COMMANDS.complete, usage: { outputTokens: 9 }, stopReason: 'done' });
    expect(answer.next.result).toBe('{"n":1}');
    expect(answer.next.trail).toMatchObject({ endedAt: NOW, usage: { outputTokens: 9 }, stopReason: 'done' });
    expect(answer.next.trail).not.toHaveProperty('attempt');
    expect(answer.next.trail).not.toHaveProperty('error');
    expect(answer.next.trail.history.at(-1)).toEqual([2, NOW, 'completed', { a: 'a1', w: 'w1' }]);
    expect(eventsOf(answer)).toEqual(['task.completed']);
  });

  it('fail schedules the next attempt with a growing pause and keeps the error', () => {
    const answer = accepted(aTask({ state: 'running', trail: { used: 1 } }), COMMANDS.fail);
    // Second failure: 2 s, jittered by a half down to between 1 and 2 s.
    expect(answer.next).toMatchObject({ state: 'scheduled', trail: { used: 2, dueAt: NOW + 1_500, error: ERROR } });
    expect(answer.next.trail).not.toHaveProperty('attempt');
    expect(eventsOf(answer)).toEqual(['task.retried']);
    expect(answer.next.trail.history.at(-1)).toEqual([2, NOW, 'scheduled', { a: 'a1', w: 'w1', why: 'handler_error' }]);
  });

  it('fail comes back when the handler asked for it', () => {
    const { next } = accepted(aTask({ state: 'running' }), { ...COMMANDS.fail, retryAfterMs: 12_345 });
    expect(next.trail.dueAt).toBe(NOW + 12_345);
  });

  it('fail of the last attempt ends the task with the error of that attempt', () => {
    const answer = accepted(aTask({ state: 'running', trail: { used: 2 } }), COMMANDS.fail);
    expect(answer.next).toMatchObject({ state: 'failed', trail: { used: 3, error: ERROR, endedAt: NOW } });
    expect(eventsOf(answer)).toEqual(['task.failed']);
  });

  it('return puts the task back at its old place and uses up no attempt', () => {
    const { next } = accepted(
      aTask({ state: 'running', trail: { used: 1, score: 42, attemptNumber: 2 } }),
      COMMANDS.return,
    );
    expect(next).toMatchObject({ state: 'queued', trail: { used: 1, attemptNumber: 1, score: 42, fence: 1 } });
    expect(next.trail).not.toHaveProperty('attempt');
    expect(next.trail).not.toHaveProperty('startedAt');
  });
});

describe('lose', () => {
  const lose = (over: Partial<Extract<Command, { type: 'lose' }>> = {}): Command => ({ ...COMMANDS.lose, ...over });

  it('counts a crash of an attempt that ran or may have run, and no attempt', () => {
    const { next, messages } = accepted(aTask({ state: 'running' }), lose({ started: 'no' }));
    expect(next).toMatchObject({ state: 'queued', trail: { crashes: 1, used: 0 } });
    expect(messages).toEqual([]);
    expect(accepted(aTask({ state: 'assigned' }), lose()).next.trail.crashes).toBe(1);
  });

  it('counts no crash of an attempt that never began', () => {
    const { next } = accepted(aTask({ state: 'assigned' }), lose({ started: 'no' }));
    expect(next).toMatchObject({ state: 'queued', trail: { crashes: 0, losses: 1 } });
  });

  it('names the attempt that is lost', () => {
    const other = transition(aTask({ state: 'running' }), lose({ attemptId: 'a9' }), NOW);
    expect(other).toEqual({ ok: false, reason: 'other_attempt' });
  });

  it('ends a task that has crashed its workers too often', () => {
    const { next } = accepted(aTask({ state: 'running', trail: { crashes: 2 } }), lose());
    expect(next).toMatchObject({
      state: 'failed',
      trail: { crashes: 3, error: { code: 'worker_lost', retryable: false } },
    });
    expect(next.trail.error?.message).toContain('lost 3 times while running');
  });

  it('ends a task whose assignments vanish again and again before they begin', () => {
    const lost = (losses: number) => aTask({ state: 'assigned', trail: { losses } });
    expect(accepted(lost(LOSSES_MAX - 2), lose({ started: 'no' })).next.state).toBe('queued');
    const { next } = accepted(lost(LOSSES_MAX - 1), lose({ started: 'no' }));
    expect(next).toMatchObject({ state: 'failed', trail: { error: { code: 'worker_lost' } } });
    expect(next.trail.error?.message).toContain(`${LOSSES_MAX} times before`);
  });

  it('tells a worker that lives', () => {
    const { messages } = accepted(aTask({ state: 'running' }), lose({ tell: true, why: 'missing' }));
    expect(messages).toEqual([
      {
        type: 'task.cancel',
        worker: 'w1',
        incarnation: '100-aa',
        attemptId: 'a1',
        code: 'superseded',
        reason: 'missing',
      },
    ]);
  });
});

describe('at most once', () => {
  const once = (state: TaskState) => aTask({ state, delivery: 'at-most-once' });

  it.each([
    ['running', 'no'],
    ['assigned', 'unknown'],
    ['assigned', 'yes'],
  ] as const)('is not run again when its worker is lost (%s, started: %s)', (state, started) => {
    const { next, messages } = accepted(once(state), { ...COMMANDS.lose, started, tell: true });
    expect(next).toMatchObject({ state: 'failed', trail: { error: { code: 'outcome_unknown', retryable: false } } });
    expect(messages).toHaveLength(1);
  });

  it('is run when it is known that it never began', () => {
    expect(accepted(once('assigned'), { ...COMMANDS.lose, started: 'no' }).next.state).toBe('queued');
  });

  it('is not run again when its worker does not end it in time', () => {
    const { next, messages } = accepted(once('running'), COMMANDS['time-out']);
    expect(next).toMatchObject({ state: 'failed', trail: { used: 1, error: { code: 'outcome_unknown' } } });
    expect(messages).toMatchObject([{ type: 'task.cancel', code: 'timeout' }]);
  });

  it('is retried after a failure that its worker reported: that outcome is known', () => {
    expect(accepted(once('running'), COMMANDS.fail).next.state).toBe('scheduled');
  });
});

describe('time-out', () => {
  it('uses up an attempt and tells the worker to stop', () => {
    const { next, messages } = accepted(aTask({ state: 'running' }), COMMANDS['time-out']);
    expect(next.trail).toMatchObject({ used: 1, error: { code: 'timeout', message: 'run timed out' } });
    expect(messages).toMatchObject([{ type: 'task.cancel', attemptId: 'a1', code: 'timeout' }]);
  });

  it('ends the task after its last attempt, and only for the attempt it names', () => {
    const last = aTask({ state: 'running', trail: { used: 2 } });
    expect(accepted(last, COMMANDS['time-out']).next).toMatchObject({
      state: 'failed',
      trail: { error: { code: 'timeout' } },
    });
    const other = { ...COMMANDS['time-out'], attemptId: 'a9' };
    expect(transition(last, other, NOW)).toEqual({ ok: false, reason: 'other_attempt' });
  });
});

describe('a bounded total time', () => {
  const bounded = (over: Parameters<typeof aTask>[0] = {}) => aTask({ totalTimeoutMs: 12_000, ...over });

  it('ends the task with the attempt that runs out of it, and tells its worker', () => {
    const answer = accepted(bounded({ state: 'running' }), COMMANDS['time-out for good']);
    const error = { code: 'timeout', message: "the task's total time is over", retryable: false };
    expect(answer.next).toMatchObject({ state: 'failed', trail: { used: 1, endedAt: NOW, error } });
    expect(answer.messages).toMatchObject([{ type: 'task.cancel', attemptId: 'a1', code: 'timeout' }]);
    expect(eventsOf(answer)).toEqual(['task.failed']);
  });

  it('leaves the outcome of at-most-once work unknown all the same', () => {
    const once = bounded({ state: 'running', delivery: 'at-most-once' });
    const { next } = accepted(once, COMMANDS['time-out for good']);
    expect(next).toMatchObject({ state: 'failed', trail: { error: { code: 'outcome_unknown' } } });
  });

  it.each([
    ['beyond it', 2_000, 'failed'],
    ['just at its end', 2_000 + 1, 'failed'],
    ['before it ends', 1_999, 'scheduled'],
  ])('schedules no attempt that would begin %s: the error of the last one stands', (_, delay, state) => {
    const { next } = accepted(bounded({ state: 'running' }), { ...COMMANDS.fail, retryAfterMs: delay });
    expect(next).toMatchObject({ state, trail: { used: 1, error: ERROR } });
  });

  it('begins anew with a retry by hand', () => {
    const trail = { used: 3, error: ERROR };
    const { next } = accepted(bounded({ state: 'failed', trail }), COMMANDS.retry, T0 + 50_000);
    expect(totalEndsAt(next)).toBe(T0 + 62_000);
  });
});

describe('expire', () => {
  it.each(['queued', 'scheduled', 'waiting'] as const)('ends a task that is %s for good, and tells nobody', (state) => {
    const answer = accepted(aTask({ state }), COMMANDS.expire);
    const error = { code: 'expired', message: 'waited too long', retryable: false };
    expect(answer.next).toMatchObject({ state: 'failed', trail: { endedAt: NOW, error } });
    expect(answer.next.trail).not.toHaveProperty('dueAt');
    expect(answer.messages).toEqual([]);
    expect(eventsOf(answer)).toEqual(['task.failed']);
    expect(answer.next.trail.history.at(-1)).toEqual([2, NOW, 'failed', { why: 'expired' }]);
  });
});

describe('cancel, reject and retry', () => {
  it('tells the worker that has the task, and nobody else', () => {
    const { messages, next } = accepted(aTask({ state: 'running' }), COMMANDS.cancel);
    expect(messages).toMatchObject([{ type: 'task.cancel', code: 'cancelled', reason: 'changed my mind' }]);
    expect(next.trail).toMatchObject({ stopReason: 'cancelled', endedAt: NOW, error: { code: 'cancelled' } });
    expect(accepted(aTask({ state: 'queued' }), COMMANDS.cancel).messages).toEqual([]);
    expect(accepted(aTask({ state: 'scheduled' }), COMMANDS.cancel).next.trail).not.toHaveProperty('dueAt');
  });

  it('rejects for good', () => {
    const { next } = accepted(aTask(), COMMANDS.reject);
    expect(next.trail.error).toEqual({ code: 'rejected', message: 'wrong seal', retryable: false });
  });

  it('retry gives a new set of attempts and lets the fence go on', () => {
    const trail = { used: 3, crashes: 2, losses: 4, error: ERROR, stopReason: 'x', fence: 6, progress: 1 };
    const answer = accepted(aTask({ state: 'failed', trail }), COMMANDS.retry);
    expect(answer.next.trail).toMatchObject({ used: 0, crashes: 0, fence: 6, score: 7, queuedAt: NOW });
    for (const gone of ['error', 'endedAt', 'stopReason', 'losses', 'progress', 'startedAt']) {
      expect(answer.next.trail).not.toHaveProperty(gone);
    }
    expect(eventsOf(answer)).toEqual(['task.retried']);
  });
});

describe('history', () => {
  it('keeps how the task began and how it stands, and counts what it drops between', () => {
    let task = aTask();
    for (let i = 0; i < 60; i++) {
      task = accepted(task, { ...COMMANDS.assign, attemptId: `a${i}` }, NOW + i).next;
      task = accepted(task, { type: 'return', from: { attemptId: `a${i}`, fence: i + 1, seq: 1 }, why: 'drain' }).next;
    }
    const { history, dropped } = task.trail;
    expect(history).toHaveLength(HISTORY_MAX);
    expect(history.slice(0, 8).map(([version]) => version)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(history.at(-1)![0]).toBe(121);
    expect(history.length + dropped!).toBe(121);
  });
});
