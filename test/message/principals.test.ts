import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  isWorkerId,
  kindOf,
  principalOf,
  workerAddress,
  workerIdOf,
  workerPrincipal,
} from '../../src/message/principals.ts';

describe('principals and addresses', () => {
  it('lead from an address back to its worker', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[A-Za-z0-9._-]{1,128}$/),
        fc.stringMatching(/^[A-Za-z0-9._-]{1,128}$/),
        (id, life) => {
          const principal = principalOf(workerAddress(id, life));
          expect(principal).toBe(workerPrincipal(id));
          expect(kindOf(principal)).toBe('worker');
          expect(workerIdOf(principal)).toBe(id);
        },
      ),
    );
  });

  it('are the same for a group', () => {
    for (const group of ['coordinators', 'distributors'] as const) {
      expect(principalOf(group)).toBe(group);
      expect(kindOf(group)).toBe(group);
      expect(workerIdOf(group)).toBeUndefined();
    }
  });

  it.each(['', 'a b', 'a@b', 'a>b', 'a:b', 'a"b', 'ä', 'a\n', 'x'.repeat(129)])('refuse the worker id %j', (id) => {
    expect(isWorkerId(id)).toBe(false);
    expect(() => workerPrincipal(id)).toThrow(/must be 1 to 128 letters/);
    expect(() => workerAddress('w1', id)).toThrow(/incarnation/);
  });
});
