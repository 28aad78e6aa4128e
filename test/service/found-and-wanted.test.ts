import { describe, expect, it } from 'vitest';
import { AgentSystemError } from '../../src/errors.ts';
import { checkSchedule } from '../../src/service/schedule-request.ts';
import { checkRequest } from '../../src/service/submit-request.ts';

function refusalOf(check: () => unknown): string {
  try {
    check();
  } catch (error) {
    if (error instanceof AgentSystemError) return error.message;
    throw error;
  }
  return 'it was taken';
}

describe('a request that is refused', () => {
  it.each<[unknown, string]>([
    [5, '(body): found 5, wanted an object'],
    [{}, 'agent: is missing, wanted a string'],
    [{ agent: 1 }, 'agent: found 1, wanted a string'],
    [{ agent: '' }, 'agent: found an empty string, wanted at least one character'],
    [{ agent: 'a'.repeat(200) }, 'agent: found 200 characters, wanted at most 128 characters'],
    [{ agent: 'a', priority: 11 }, 'priority is 11, wanted a whole number from 0 to 10'],
    [{ agent: 'a', delayMs: -1 }, 'delayMs: found -1, wanted at least 0'],
    [{ agent: 'a', timeoutMs: 1.5 }, 'timeoutMs: found 1.5, wanted a whole number'],
    [{ agent: 'a', runAt: 'soon' }, 'runAt: found "soon", wanted an ISO 8601 time'],
    [{ agent: 'a', delivery: 'maybe' }, 'delivery: found "maybe", wanted one of "at-least-once", "at-most-once"'],
    [{ agent: 'a', labels: ['x'] }, 'labels: found an array of 1, wanted an object'],
    [{ agent: 'a', labels: { team: null } }, 'labels.team: found null, wanted a string'],
    [{ agent: 'a', lables: {} }, 'found unknown field "lables" (did you mean labels?)'],
    [{ agent: 'a', retry: { tries: 3 } }, 'retry: found unknown field "tries", wanted none but maxAttempts, backoffMs'],
    [{ agent: 'a', require: { resources: { gpu: 0 } } }, 'require.resources.gpu: found 0, wanted a number above 0'],
    [{ agent: 'a', require: { worker: 'a b' } }, 'require.worker: found "a b", wanted the id of a worker'],
    [{ agent: 'a', metadata: 'x'.repeat(500) }, `metadata: found "${'x'.repeat(60)}…", wanted an object`],
  ])('says of %j what was found and what was wanted', (request, message) => {
    expect(refusalOf(() => checkRequest(request))).toContain(message);
  });

  it('tells every fault, but not without end', () => {
    expect(refusalOf(() => checkRequest({ priority: 11, key: '' }))).toMatch(/agent: .*; priority: .*; key: /);
    const labels = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`l${i}`, i]));
    expect(refusalOf(() => checkRequest({ agent: 'a', labels })).length).toBeLessThan(5_000);
  });

  it('is told in the same words by schedules, also of the task in them', () => {
    expect(refusalOf(() => checkSchedule({ id: 'a b', everyMs: 5, task: 3 }))).toMatch(
      /id: found "a b", wanted 1 to 64 letters.*everyMs: found 5, wanted at least 1000; task: found 3, wanted an object/,
    );
    expect(refusalOf(() => checkSchedule({ id: 'a', everyMs: 5_000, task: { agent: 5 } }))).toContain(
      'task.agent: found 5, wanted a string',
    );
  });
});
