import { describe, expect, it } from 'vitest';
import { type Column, renderFacts, renderTable } from '../../src/cli/table.ts';
import { cutTo, printable, widthOf } from '../../src/cli/text-width.ts';

interface Row {
  id: string;
  name: string | null;
  size: number;
}

const COLUMNS: Column<Row>[] = [
  { name: 'ID', of: ({ id }) => id, whole: true },
  { name: 'NAME', of: ({ name }) => name, style: () => 'green' },
  { name: 'SIZE', of: ({ size }) => size, align: 'right' },
];
const PIPE = { columns: null, colors: false };
const ESCAPE = '\u001b';

describe('a table', () => {
  it('has a header, numbers on the right, and a dash for what is not there', () => {
    const rows = [
      { id: 'a1', name: 'first', size: 7 },
      { id: 'b22', name: null, size: 1_234 },
    ];
    expect(renderTable(rows, COLUMNS, PIPE)).toBe('ID   NAME    SIZE\na1   first      7\nb22  -      1,234\n');
  });

  it('is as wide as it gets in a pipe and fits into a terminal', () => {
    const rows = [{ id: 'i'.repeat(25), name: 'n'.repeat(200), size: 1 }];
    expect(renderTable(rows, COLUMNS, PIPE)).toContain('n'.repeat(200));
    const lines = renderTable(rows, COLUMNS, { columns: 60, colors: false }).trimEnd().split('\n');
    expect(lines.map(widthOf)).toEqual([60, 60]);
    expect(lines[1]).toContain(`${'i'.repeat(25)}  ${'n'.repeat(26)}…`);
  });

  it('never cuts what must stay whole, nor anything to nothing', () => {
    const rows = [{ id: 'i'.repeat(25), name: 'n'.repeat(200), size: 1 }];
    const table = renderTable(rows, COLUMNS, { columns: 20, colors: false });
    expect(table).toContain('i'.repeat(25));
    expect(table).toContain('nnnnn…');
  });

  it('leaves out what no row has where a terminal is too narrow for all', () => {
    const rows = [{ id: 'i'.repeat(12), name: null, size: 1 }];
    expect(renderTable(rows, COLUMNS, { columns: 18, colors: false })).toBe(
      `ID            SIZE\n${'i'.repeat(12)}     1\n`,
    );
    expect(renderTable(rows, COLUMNS, { columns: 24, colors: false })).toContain('NAME');
    expect(renderTable(rows, COLUMNS, PIPE)).toContain('NAME');
  });

  it('has colours only where they are wanted', () => {
    const rows = [{ id: 'a', name: 'b', size: 1 }];
    expect(renderTable(rows, COLUMNS, { columns: 80, colors: true })).toContain(`${ESCAPE}[32mb   ${ESCAPE}[0m`);
    expect(renderTable(rows, COLUMNS, { columns: 80, colors: false })).not.toContain(ESCAPE);
  });

  it('lets nothing from outside move the cursor', () => {
    const rows = [{ id: 'a', name: `x${ESCAPE}[2Jy\nz\u202e`, size: 1 }];
    expect(renderTable(rows, COLUMNS, PIPE)).toContain('x\\u001b[2Jy\\nz\\u202e');
    const facts = renderFacts([['name', `x${ESCAPE}[2J\ny`]], PIPE);
    expect(facts).toBe('name  x\\u001b[2J\n      y\n');
  });

  it('puts wide characters in line', () => {
    const rows = [
      { id: 'a', name: '日本語', size: 1 },
      { id: 'b', name: 'e\u0301', size: 2 },
    ];
    const [, wide, narrow] = renderTable(rows, COLUMNS, PIPE).split('\n');
    expect([widthOf(wide!), widthOf(narrow!)]).toEqual([16, 16]);
  });
});

describe('facts', () => {
  it('leave out what is not there', () => {
    expect(
      renderFacts(
        [
          ['id', 'a'],
          ['worker', undefined],
          ['labels', ''],
        ],
        PIPE,
      ),
    ).toBe('id  a\n');
  });
});

describe('the width of a text', () => {
  it.each([
    ['abc', 3],
    ['日本', 4],
    ['e\u0301', 1],
    ['👩‍💻', 2],
    ['❤️', 2],
    ['→…', 2],
    ['', 0],
  ])('of %j is %i', (text, width) => {
    expect(widthOf(text)).toBe(width);
  });

  it('is kept by a cut, which never splits a character', () => {
    expect(cutTo('abcdef', 6)).toBe('abcdef');
    expect(cutTo('abcdef', 5)).toBe('abcd…');
    expect(cutTo('日本語', 4)).toBe('日…');
    expect(cutTo('a👩‍💻b', 3)).toBe('a…');
  });

  it('does not change what can be printed', () => {
    expect(printable('grün – 日本 👩‍💻')).toBe('grün – 日本 👩‍💻');
  });
});
