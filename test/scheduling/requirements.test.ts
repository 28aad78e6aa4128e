import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addAmounts,
  meets,
  parseRequirements,
  type Requirements,
  requirementsText,
  timesThatFit,
} from '../../src/scheduling/requirements.ts';

const name = fc.oneof(fc.string({ unit: 'binary', maxLength: 6 }), fc.constantFrom('|', '!', '%', '"', 'constructor'));
const requirements: fc.Arbitrary<Requirements> = fc.record(
  {
    worker: name,
    labels: fc.dictionary(name, name, { maxKeys: 4 }),
    resources: fc.dictionary(name, fc.double({ min: 1e-6, max: 1e12, noNaN: true }), { maxKeys: 4 }),
  },
  { requiredKeys: [] },
);

describe('requirementsText', () => {
  it('is the same whatever the order of the fields', () => {
    const text = requirementsText({ worker: 'w1', resources: { vram: 2, gpu: 1 }, labels: { z: 'a', a: 'z' } });
    expect(text).toBe('{"labels":{"a":"z","z":"a"},"resources":{"gpu":1,"vram":2},"worker":"w1"}');
    expect(requirementsText({ labels: { a: 'z', z: 'a' }, worker: 'w1', resources: { gpu: 1, vram: 2 } })).toBe(text);
  });

  it('is none when nothing is required', () => {
    expect(requirementsText({})).toBeUndefined();
    expect(requirementsText({ labels: {}, resources: {} })).toBeUndefined();
  });

  it('reads back, keeps to what a lane leaves as it is, and differs for different requirements', () => {
    fc.assert(
      fc.property(requirements, requirements, (one, other) => {
        const text = requirementsText(one);
        if (text === undefined) return;
        expect(text).toMatch(/^[ -~]+$/);
        expect(text).not.toMatch(/[|%!]/);
        expect(requirementsText(parseRequirements(text)!)).toBe(text);
        const differs = JSON.stringify(sorted(one)) !== JSON.stringify(sorted(other));
        expect(requirementsText(other) !== text).toBe(differs);
      }),
    );
  });

  it.each([
    '',
    '{}',
    'null',
    '{"worker":1}',
    '{"labels":{"a":1}}',
    '{"resources":{"a":"1"}}',
    '{"resources":1}',
    '{ "worker":"w1"}',
    '{"worker":"w1","x":1}',
  ])('does not read %s', (text) => {
    expect(parseRequirements(text)).toBeNull();
  });
});

describe('meets', () => {
  const offer = { worker: 'w1', labels: { zone: 'eu', disk: 'ssd' }, resources: { gpu: 2 } };

  it.each<[Requirements, boolean]>([
    [{}, true],
    [{ worker: 'w1' }, true],
    [{ worker: 'w2' }, false],
    [{ labels: { zone: 'eu' } }, true],
    [{ labels: { zone: 'eu', disk: 'ssd' } }, true],
    [{ labels: { zone: 'eu', disk: 'hdd' } }, false],
    [{ labels: { zone: 'EU' } }, false],
    [{ labels: { rack: '1' } }, false],
    [{ resources: { gpu: 2 } }, true],
    [{ resources: { gpu: 3 } }, false],
    [{ resources: { gpu: 1, vram: 1 } }, false],
    [{ resources: { constructor: 1 } }, false],
    [{ worker: 'w1', labels: { zone: 'us' } }, false],
  ])('answers %j with %s', (require, answer) => {
    expect(meets(offer, require)).toBe(answer);
  });
});

describe('timesThatFit', () => {
  it('counts by the scarcest resource, without being misled by fractions', () => {
    expect(timesThatFit({ gpu: 1, ram: 4 }, { gpu: 8, ram: 10 }, { gpu: 1 })).toBe(2);
    expect(timesThatFit({ share: 0.1 }, { share: 0.3 })).toBe(3);
    expect(timesThatFit({ gpu: 1 }, { gpu: 1 }, { gpu: 2 })).toBe(0);
    expect(timesThatFit(undefined, {})).toBe(Number.POSITIVE_INFINITY);
  });

  it('finds room again for what was given back', () => {
    const used: Record<string, number> = {};
    for (let i = 0; i < 3; i++) addAmounts(used, { share: 0.1 });
    expect(timesThatFit({ share: 0.1 }, { share: 0.3 }, used)).toBe(0);
    for (let i = 0; i < 3; i++) addAmounts(used, { share: 0.1 }, -1);
    expect(used).toEqual({});
  });
});

function sorted({ worker, labels = {}, resources = {} }: Requirements) {
  const entries = (fields: object) => Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1));
  return [worker ?? null, entries(labels), entries(resources)];
}
