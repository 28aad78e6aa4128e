import { InvalidArgumentError } from 'commander';
import { describe, expect, it } from 'vitest';
import {
  countFlag,
  durationFlag,
  labelFlag,
  priorityFlag,
  stateFlag,
  waitFlag,
  withoutLooseWait,
} from '../../src/cli/flags.ts';

describe('flags', () => {
  it('read what people write', () => {
    expect(durationFlag('1.5s')).toBe(1_500);
    expect(priorityFlag('9')).toBe(9);
    expect(priorityFlag('urgent')).toBe(10);
    expect(countFlag(500)('500')).toBe(500);
    expect(stateFlag('failed, cancelled', ['queued'])).toEqual(['queued', 'failed', 'cancelled']);
    expect(labelFlag('b==x', { a: '1' })).toEqual({ a: '1', b: '=x' });
    expect(labelFlag('a=', { a: '1' })).toEqual({ a: '' });
    expect([waitFlag('2s'), waitFlag('')]).toEqual([2_000, Number.POSITIVE_INFINITY]);
  });

  it.each([
    [() => durationFlag('10'), 'Wanted a duration such as 250ms, 30s, 5m or 1h.'],
    [() => waitFlag('soon'), 'Wanted a duration such as 250ms, 30s, 5m or 1h.'],
    [() => priorityFlag('11'), 'Wanted 0 to 10, or low, normal, high, urgent.'],
    [() => countFlag(500)('501'), 'Wanted a whole number from 1 to 500.'],
    [() => countFlag(500)('0'), 'Wanted a whole number from 1 to 500.'],
    [() => labelFlag('=x'), 'Wanted name=value.'],
    [() => stateFlag('queued,compleeted'), expect.stringContaining('did you mean completed?')],
  ])('say what they wanted (%#)', (read, message) => {
    let thrown: unknown;
    try {
      read();
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(InvalidArgumentError);
    expect((thrown as Error).message).toEqual(message);
  });

  it('know --wait wherever it stands', () => {
    const cases: [string, string][] = [
      ['submit --wait echo', 'submit --wait= echo'],
      ['submit echo --wait', 'submit echo --wait='],
      ['submit echo --wait 30s', 'submit echo --wait=30s'],
      ['submit echo --wait=30s --key k', 'submit echo --wait=30s --key k'],
      ['submit -- --wait', 'submit -- --wait'],
    ];
    for (const [given, wanted] of cases) expect(withoutLooseWait(given.split(' ')).join(' ')).toBe(wanted);
  });
});
