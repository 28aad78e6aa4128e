import { describe, expect, it } from 'vitest';
import { verifyTask } from '../../src/fleet/verify-task.ts';
import { keyRingFromSecret } from '../../src/message/keys.ts';
import { digestOf, seal } from '../../src/message/seal.ts';
import type { TaskRecord } from '../../src/task/task.ts';
import { aSpec, aTask, jsonOf, refTo } from '../support/builders.ts';

const KEYS = keyRingFromSecret('a secret of at least thirty-two bytes');
const INPUT = jsonOf(20_000);

function sealed(input: string): TaskRecord {
  const task = aTask();
  const spec = aSpec({ id: task.id, inputDigest: digestOf(INPUT) });
  const text = JSON.stringify(spec);
  return { ...task, spec, sealed: { text, seal: seal(text, KEYS) }, input };
}

describe('a task that is about to be assigned', () => {
  it.each([
    ['its input', INPUT],
    ['the reference to its input', refTo(INPUT)],
  ])('is the one that was submitted by %s', (_, input) => {
    expect(verifyTask(sealed(input), KEYS)).toEqual({ verdict: 'ok' });
  });

  it.each([
    ['another input', jsonOf(20_000, 'y')],
    ['the reference to another input', refTo(jsonOf(20_000, 'y'))],
    ['a reference that cannot be read', '@20000'],
    ['a reference with something behind it', `${refTo(INPUT)} `],
  ])('is not with %s', (_, input) => {
    expect(verifyTask(sealed(input), KEYS)).toMatchObject({ verdict: 'wrong' });
  });

  it('is not when its specification was changed', () => {
    const task = sealed(INPUT);
    const text = task.sealed.text.replace('"echo"', '"compute"');
    expect(verifyTask({ ...task, sealed: { ...task.sealed, text } }, KEYS)).toMatchObject({ verdict: 'wrong' });
  });
});
