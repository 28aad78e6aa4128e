import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { totalEndsAt } from '../../src/task/limits.ts';
import { isTerminal, newTask, type TaskRecord } from '../../src/task/task.ts';
import { type Command, HISTORY_MAX, transition } from '../../src/task/transition.ts';
import { aSpec, T0 } from '../support/builders.ts';

const attemptId = fc.constantFrom('a1', 'a2', 'a3');
const from = fc.record({ attemptId, fence: fc.nat(6), seq: fc.nat(4) });
const jitter = fc.double({ min: 0, max: 0.999, noNaN: true });
const error = fc.record({
  code: fc.constantFrom('handler_error', 'timeout'),
  message: fc.constant('m'),
  retryable: fc.boolean(),
});
const time = fc.oneof(fc.nat(), fc.integer({ min: T0 - 1_000, max: T0 + 10_000_000 }));
const score = fc.integer();

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 1, arbitrary: fc.record({ type: fc.constant('submit' as const), score }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('promote' as const), score }) },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('assign' as const),
      attemptId,
      worker: fc.constantFrom('w1', 'w2'),
      incarnation: fc.constant('100-aa'),
      distributor: fc.constant('d1'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('resend' as const), attemptId }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('start' as const), from, at: time }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('progress' as const), from, progress: jitter }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('complete' as const), from, result: fc.constant('1') }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('fail' as const), from, error, jitter, startedAt: time }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('return' as const), from, why: fc.constant('drain') }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('lose' as const),
      attemptId,
      started: fc.constantFrom('yes' as const, 'no' as const, 'unknown' as const),
      crashesMax: fc.constant(3),
      why: fc.constant('worker_lost'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('time-out' as const), attemptId, jitter }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('time-out' as const),
      attemptId,
      jitter,
      final: fc.constant(true as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('expire' as const), message: fc.constant('m') }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('cancel' as const), reason: fc.constant('r') }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('reject' as const), message: fc.constant('m') }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('retry' as const), score }) },
);

/**
 * A random command is nearly always refused, so half of them are aimed: at the attempt the record holds, with a report
 * it has not seen.
 */
const step = fc.record({ command, aimed: fc.boolean(), later: fc.nat(5_000) });

function aim(given: Command, { trail }: TaskRecord): Command {
  const { attempt, fence } = trail;
  if (!attempt) return given;
  if ('from' in given) return { ...given, from: { attemptId: attempt.id, fence, seq: attempt.seq + 1 } } as Command;
  return 'attemptId' in given && given.type !== 'assign' ? ({ ...given, attemptId: attempt.id } as Command) : given;
}

/** Tells of every accepted and refused step of a random life. */
function live(
  visit: (o: { before: TaskRecord; command: Command; now: number; after: TaskRecord | null }) => void,
): void {
  const specs = fc.record({
    maxAttempts: fc.integer({ min: 1, max: 4 }),
    once: fc.boolean(),
    delay: fc.nat(100),
    totalTimeoutMs: fc.option(fc.integer({ min: 1_000, max: 60_000 }), { nil: undefined }),
  });
  fc.assert(
    fc.property(specs, fc.array(step, { maxLength: 150 }), ({ maxAttempts, once, delay, totalTimeoutMs }, steps) => {
      const spec = aSpec({ retry: { maxAttempts, backoffMs: 10, factor: 2, maxBackoffMs: 100 }, runAt: T0 + delay });
      if (once) spec.delivery = 'at-most-once';
      if (totalTimeoutMs !== undefined) spec.totalTimeoutMs = totalTimeoutMs;
      let now = T0;
      let task = newTask(spec, { text: '', seal: '' }, '{}');
      for (const given of [{ command: { type: 'submit', score: 1 }, aimed: false, later: 0 } as const, ...steps]) {
        now += given.later;
        const next = given.aimed ? aim(given.command, task) : given.command;
        const answer = transition(task, next, now);
        visit({ before: task, command: next, now, after: answer.ok ? answer.next : null });
        if (answer.ok) task = answer.next;
      }
    }),
    { numRuns: 150 },
  );
}

describe('in every life of a task', () => {
  it('each accepted command raises the version by one', () => {
    live(({ before, after }) => {
      if (after) expect(after.version).toBe(before.version + 1);
    });
  });

  it('the fence never falls and rises only with an assignment', () => {
    live(({ before, after, command }) => {
      if (after) expect(after.trail.fence - before.trail.fence).toBe(command.type === 'assign' ? 1 : 0);
    });
  });

  it('only retry leaves an end, and never that of a completed task', () => {
    live(({ before, after, command }) => {
      if (!after || !isTerminal(before.state)) return;
      expect(command.type).toBe('retry');
      expect(before.state).not.toBe('completed');
    });
  });

  it('a report that does not name attempt, fence and a new sequence exactly is refused', () => {
    live(({ before, after, command }) => {
      if (!after || !('from' in command)) return;
      const { attempt, fence } = before.trail;
      expect([command.from.attemptId, command.from.fence]).toEqual([attempt?.id, fence]);
      expect(command.from.seq).toBeGreaterThan(attempt!.seq);
    });
  });

  it('no attempt is scheduled for after the end of the total time, and none follows what is final', () => {
    live(({ after, command }) => {
      if (!after) return;
      const isFinal = command.type === 'expire' || (command.type === 'time-out' && command.final);
      if (isFinal) expect(after.state).toBe('failed');
      if (after.state !== 'scheduled' || after.version === 1) return;
      expect(after.trail.dueAt).toBeLessThan(totalEndsAt(after) ?? Number.POSITIVE_INFINITY);
    });
  });

  it('the history is bounded and accounts for every transition', () => {
    live(({ before, after }) => {
      if (!after) return;
      const length = ({ trail }: TaskRecord) => trail.history.length + (trail.dropped ?? 0);
      expect(after.trail.history.length).toBeLessThanOrEqual(HISTORY_MAX);
      expect(length(after) - length(before)).toBeGreaterThanOrEqual(0);
      if (after.state !== before.state) expect(after.trail.history.at(-1)!.slice(0, 1)).toEqual([after.version]);
    });
  });

  it('the record handed in is never changed', () => {
    live(({ before, command, now }) => {
      const text = JSON.stringify(before);
      transition(before, command, now);
      expect(JSON.stringify(before)).toBe(text);
    });
  });

  it('no more attempts are used than allowed, and what used them all up has ended', () => {
    live(({ after }) => {
      if (!after) return;
      const { maxAttempts } = after.spec.retry;
      expect(after.trail.used).toBeLessThanOrEqual(maxAttempts);
      if (after.trail.used === maxAttempts) expect(isTerminal(after.state)).toBe(true);
    });
  });

  it('exactly the active states hold an attempt, exactly the ends have an end, and only a completed task has a result', () => {
    live(({ after }) => {
      if (!after) return;
      const active = after.state === 'assigned' || after.state === 'running';
      expect(after.trail.attempt !== undefined).toBe(active);
      expect(after.trail.endedAt !== undefined).toBe(isTerminal(after.state));
      expect(after.result !== undefined).toBe(after.state === 'completed');
      expect(after.trail.dueAt !== undefined).toBe(after.state === 'scheduled');
    });
  });

  it('a start lies between assignment and now', () => {
    live(({ after, now }) => {
      const attempt = after?.trail.attempt;
      if (attempt?.startedAt === undefined) return;
      expect(attempt.startedAt).toBeGreaterThanOrEqual(attempt.assignedAt);
      expect(attempt.startedAt).toBeLessThanOrEqual(now);
    });
  });

  it('at-most-once work that may have begun is given out again only after its worker reported', () => {
    live(({ before, after, command }) => {
      if (!after || before.spec.delivery !== 'at-most-once' || before.state !== 'running') return;
      if (after.state === 'queued' || after.state === 'scheduled') expect(['fail', 'return']).toContain(command.type);
    });
  });
});
