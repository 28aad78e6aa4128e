import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { demandOfLane, laneOf, parseDemand, parseLane, requirementsOfLane } from '../../src/scheduling/lane.ts';
import { type Requirements, requirementsText } from '../../src/scheduling/requirements.ts';

const anyText = fc.string({ unit: 'binary', maxLength: 12 });
const awkward = fc.constantFrom('|', '!', '%', '%7C', '%u0041', 'k=', 'r=', 'ü', '\u{1f600}', '\ud800', '', ' ', '\n');
const field = fc.oneof(
  anyText,
  fc.array(awkward, { maxLength: 4 }).map((parts) => parts.join('')),
);
const fields = fc.record(
  {
    agent: field.filter((text) => text !== ''),
    tenant: field,
    concurrencyKey: field,
    require: fc.record(
      {
        worker: field,
        labels: fc.dictionary(field, field, { maxKeys: 3 }),
        resources: fc.dictionary(field, fc.integer({ min: 1, max: 9 }), { maxKeys: 3 }),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: ['agent', 'tenant'] },
);

describe('laneOf', () => {
  it.each([
    [{ agent: 'echo', tenant: 'default', priority: 5 }, 'echo|default'],
    [{ agent: 'echo', tenant: 'default', priority: 10 }, '!echo|default'],
    [{ agent: 'echo', tenant: 'a|b', priority: 0, concurrencyKey: '100%' }, 'echo|a%7Cb|k=100%25'],
    [{ agent: 'echo', tenant: 'ü', priority: 0, require: { worker: 'w1' } }, 'echo|%FC|r={"worker":"w1"}'],
    [{ agent: 'echo', tenant: 'a', priority: 0, require: { labels: {} } }, 'echo|a'],
    [
      { agent: 'echo', tenant: '€', priority: 0, concurrencyKey: 'c', require: { resources: { 'a|r=': 1 } } },
      'echo|%u20AC|k=c|r={"resources":{"a\\u007cr=":1}}',
    ],
  ])('names %j %s', (task, name) => {
    expect(laneOf(task)).toBe(name);
  });

  it('is read back to the same fields, whatever text they hold', () => {
    fc.assert(
      fc.property(fields, fc.integer({ min: 0, max: 10 }), (given, priority) => {
        const { require, ...others } = given;
        const requirements = require && requirementsText(require);
        const lane = { ...others, ...(requirements && { requirements }), urgent: priority === 10 };
        expect(parseLane(laneOf({ ...given, priority }))).toEqual(lane);
      }),
    );
  });

  it('gives different names to different fields', () => {
    fc.assert(
      fc.property(fields, fields, (a, b) => {
        const same = JSON.stringify(parts(a)) === JSON.stringify(parts(b));
        expect(laneOf({ ...a, priority: 5 }) === laneOf({ ...b, priority: 5 })).toBe(same);
      }),
    );
  });

  it('keeps to printable ASCII, with the agent between the prefix and the first bar', () => {
    fc.assert(
      fc.property(fields, fc.integer({ min: 0, max: 10 }), (given, priority) => {
        const name = laneOf({ ...given, priority });
        expect(name).toMatch(/^!?[ -~]+$/);
        const agent = /^!?([^|]*)\|/.exec(name)?.[1];
        expect(agent).toBe(laneOf({ agent: given.agent, tenant: '', priority: 0 }).slice(0, -1));
      }),
    );
  });
});

describe('demandOfLane', () => {
  it('is the same for all tenants, keys and urgencies, and reads back to agent and requirements', () => {
    fc.assert(
      fc.property(fields, fields, ({ agent, require }, other) => {
        const name = laneOf({ agent, require, tenant: 'a', priority: 5 });
        const { tenant, concurrencyKey } = other;
        expect(demandOfLane(laneOf({ agent, require, tenant, concurrencyKey, priority: 10 }))).toBe(demandOfLane(name));
        const requirements = require && requirementsText(require);
        expect(requirementsOfLane(name)).toBe(requirements);
        const demand = demandOfLane(name);
        expect(demand && parseDemand(demand)).toEqual(requirements && { agent, requirements });
      }),
    );
  });
});

describe('parseLane', () => {
  it.each(['', 'echo', '|default', '!', 'echo|default|x=1', 'echo|default|k=1|k=2'])('refuses "%s" by name', (name) => {
    expect(() => parseLane(name)).toThrow(`The lane name "${name}" is not of the form`);
  });
});

function parts(lane: { agent: string; tenant: string; concurrencyKey?: string; require?: Requirements }) {
  return [
    lane.agent,
    lane.tenant,
    lane.concurrencyKey ?? null,
    (lane.require && requirementsText(lane.require)) ?? null,
  ];
}
