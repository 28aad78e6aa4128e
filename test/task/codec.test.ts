import { describe, expect, it } from 'vitest';
import { decodeTask, encodeSpec, encodeTrail } from '../../src/task/codec.ts';
import { aStoredTask, aTask } from '../support/builders.ts';

const AN_ATTEMPT = { id: 'a1', worker: 'w1', incarnation: '100-aa', distributor: 'd1', assignedAt: 100, seq: 0 };

/** The text of a trail with something that no code of ours writes. */
function aTrail(over: Record<string, unknown>): string {
  return JSON.stringify({ ...aTask().trail, attempt: AN_ATTEMPT, ...over });
}

describe('records as the store keeps them', () => {
  it('come back as they were, with the exact text of the specification and of input and result', () => {
    const task = aTask({ state: 'completed', input: '{"list":[],"n":1.0}', result: '{"big":12345678901234567890}' });
    const stored = { ...aStoredTask(task), spec: encodeSpec(task), trail: encodeTrail(task) };
    expect(decodeTask(stored)).toEqual(task);
    expect(decodeTask(stored).sealed.text).toBe(task.sealed.text);
  });

  it('come back with the attempt that a worker has', () => {
    const { trail } = decodeTask({ ...aStoredTask(aTask()), trail: aTrail({}) });
    expect(trail.attempt).toEqual(AN_ATTEMPT);
  });

  it('cannot be read when a worker should have them and no attempt says which', () => {
    const stored = { ...aStoredTask(aTask()), state: 'running' as const, trail: aTrail({ attempt: undefined }) };
    expect(() => decodeTask(stored)).toThrowError(/names no attempt of a task that is running/);
  });

  it('cannot be read when their version was written over', () => {
    const stored = { ...aStoredTask(aTask()), unreadable: 'junk' };
    expect(() => decodeTask(stored)).toThrowError(expect.objectContaining({ code: 'RECORD_UNREADABLE' }));
  });

  it('have no input and no result when these were not read', () => {
    const { input, result, ...stored } = aStoredTask(aTask({ state: 'completed' }));
    expect(decodeTask(stored)).not.toHaveProperty('input');
    expect(decodeTask(stored)).not.toHaveProperty('result');
  });

  it.each([
    ['specification', { spec: 'seal {"agent":' }],
    ['specification', { spec: 'seal null' }],
    ['specification', { spec: 'seal {}' }],
    ['specification', { spec: 'seal {"agent":"echo","tenant":"t","retry":null}' }],
    ['specification', { spec: '' }],
    ['trail', { trail: '[]' }],
    ['trail', { trail: '{"history":[]}' }],
    ['trail', { trail: '{"fence":1,"history":{}}' }],
    ['trail', { trail: '\u0000' }],
    ['trail', { trail: aTrail({ fence: 1.5 }) }],
    ['trail', { trail: aTrail({ fence: -1 }) }],
    ['trail', { trail: aTrail({ used: '1' }) }],
    ['trail', { trail: aTrail({ attempt: null }) }],
    ['trail', { trail: aTrail({ attempt: { ...AN_ATTEMPT, worker: 'w 1' } }) }],
    ['trail', { trail: aTrail({ attempt: { ...AN_ATTEMPT, incarnation: '../1' } }) }],
    ['trail', { trail: aTrail({ attempt: { ...AN_ATTEMPT, seq: null } }) }],
    ['trail', { trail: aTrail({ attempt: { ...AN_ATTEMPT, assignedAt: 'now' } }) }],
  ])('say which part of which task cannot be read: the %s %j', (part, over) => {
    const stored = { ...aStoredTask(aTask()), ...over };
    expect(() => decodeTask(stored)).toThrowError(
      expect.objectContaining({
        code: 'RECORD_UNREADABLE',
        message: expect.stringContaining(`the ${part} of task ${stored.id}`),
      }),
    );
  });
});
