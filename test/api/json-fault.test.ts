import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findJsonFault } from '../../src/api/json-fault.ts';

describe('findJsonFault', () => {
  it.each([
    ['', 0, 'a value'],
    ['{"a":}', 5, 'a value'],
    ['{a:1}', 1, 'double quotes'],
    ['{"a" 1}', 5, '":"'],
    ['[1 2]', 3, '","'],
    ['[1,]', 3, 'a value'],
    ['{"a":1,}', 7, 'double quotes'],
    ['"abc', 4, 'closing quote'],
    ['"a\nb"', 2, 'control character'],
    ['"\\x"', 2, 'escapes'],
    ['"\\u12g4"', 2, 'escapes'],
    ['01', 1, 'the end'],
    ['1.', 1, 'the end'],
    ['-', 0, 'a value'],
    ['tru', 0, 'a value'],
    ['{} {}', 3, 'the end'],
    ['\ufeff{}', 0, 'a value'],
  ])('finds the fault in %j', (text, position, wanted) => {
    expect(() => JSON.parse(text)).toThrow();
    expect(findJsonFault(text)).toMatchObject({ position, wanted: expect.stringContaining(wanted) });
  });

  it('counts lines and columns from 1', () => {
    expect(findJsonFault('{\n "a": 1\n "b": 2}')).toMatchObject({ line: 3, column: 2 });
    expect(findJsonFault('x')).toMatchObject({ line: 1, column: 1 });
  });

  it('finds a fault exactly where the engine refuses', () => {
    const scraps = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '\\',
      'a',
      '"a"',
      '1',
      '-',
      '.',
      'e',
      'null',
      ' ',
      '\n',
      '\\u00e9',
    );
    const broken = fc.oneof(
      fc.array(scraps, { maxLength: 12 }).map((parts) => parts.join('')),
      fc.tuple(fc.json(), fc.nat(), scraps).map(([text, at, scrap]) => {
        const cut = at % (text.length + 1);
        return text.slice(0, cut) + scrap + text.slice(cut + (at % 2));
      }),
    );
    fc.assert(
      fc.property(broken, (text) => {
        expect(findJsonFault(text) === null).toBe(parses(text));
      }),
      { numRuns: 3_000 },
    );
  });
});

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
