import { cutTo, printable, widthOf } from './text-width.ts';

export interface Column<T> {
  name: string;
  of: (row: T) => string | number | null | undefined;
  align?: 'right';
  /** Never cut: what is copied from the table, such as an id. */
  whole?: true;
  style?: (row: T) => Style | undefined;
}

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

export interface TableLook {
  /** Null = as wide as it gets. */
  columns: number | null;
  colors: boolean;
}

const GAP = '  ';
const NOTHING = '-';
/** A cut column keeps so much, or it says nothing at all. */
const CUT_WIDTH_MIN = 6;
const CODES: Record<Style, string> = { bold: '1', dim: '2', red: '31', green: '32', yellow: '33', cyan: '36' };

/**
 * Lines with a header. Where they are too wide for the terminal, columns that no row fills are left out, and then the
 * widest that may be cut get narrower.
 */
export function renderTable<T>(rows: readonly T[], wanted: readonly Column<T>[], look: TableLook): string {
  const columns = fits(rows, wanted, look.columns) ? wanted : wanted.filter((column) => isFilled(rows, column));
  const cells = rows.map((row) => columns.map((column) => cellOf(column.of(row))));
  const names = columns.map((column) => column.name);
  const widths = widthsFor([names, ...cells], columns, look.columns);
  const line = (texts: string[], style: (i: number) => Style | undefined) =>
    texts
      .map((text, i) => padded(text, widths[i]!, { column: columns[i]!, last: i === texts.length - 1 }))
      .map((text, i) => styled(text, look.colors ? style(i) : undefined))
      .join(GAP)
      .trimEnd();
  const lines = [
    line(names, () => 'bold'),
    ...cells.map((texts, r) => line(texts, (i) => columns[i]!.style?.(rows[r]!))),
  ];
  return `${lines.join('\n')}\n`;
}

/** Like a table, without a header; the last column is a sentence and is not cut but goes on in lines below. */
export function renderSentences<T>(rows: readonly T[], wanted: readonly Column<T>[], look: TableLook): string {
  const columns = wanted.filter((column) => isFilled(rows, column));
  const widths = columns.map(({ of }) => rows.reduce((most, row) => Math.max(most, widthOf(cellOf(of(row)))), 0));
  const before = widths.slice(0, -1).reduce((sum, width) => sum + width + GAP.length, GAP.length);
  const room = look.columns === null ? Number.POSITIVE_INFINITY : Math.max(SENTENCE_WIDTH_MIN, look.columns - before);
  const lines = rows.flatMap((row) => {
    const texts = columns.map((column) => cellOf(column.of(row)));
    const head = texts.slice(0, -1).map((text, i) => {
      const cell = text + ' '.repeat(widths[i]! - widthOf(text)) + GAP;
      return styled(cell, look.colors ? columns[i]!.style?.(row) : undefined);
    });
    const [first, ...rest] = wrapped(texts.at(-1)!, room);
    return [GAP + head.join('') + first, ...rest.map((text) => ' '.repeat(before) + text)];
  });
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

const SENTENCE_WIDTH_MIN = 20;

/** Broken between words, so that no line is wider than `width` but one with a single longer word. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && widthOf(longer) > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line];
}

/** Names and values under each other, for one thing; values that are not there are left out. */
export function renderFacts(
  facts: readonly (readonly [name: string, value: string | undefined])[],
  look: TableLook,
): string {
  const shown = facts.filter(([, value]) => value !== undefined && value !== '');
  const width = Math.max(0, ...shown.map(([name]) => widthOf(name)));
  const lines = shown.map(([name, value]) => {
    const first = styled(name + ' '.repeat(width - widthOf(name)), look.colors ? 'bold' : undefined);
    return `${first}${GAP}${value!
      .split('\n')
      .map(printable)
      .join(`\n${' '.repeat(width)}${GAP}`)}`;
  });
  return `${lines.join('\n')}\n`;
}

export function styled(text: string, style: Style | undefined): string {
  return style === undefined ? text : `\u001b[${CODES[style]}m${text}\u001b[0m`;
}

function fits<T>(rows: readonly T[], columns: readonly Column<T>[], available: number | null): boolean {
  if (available === null) return true;
  const widths = columns.map(({ name, of }) =>
    rows.reduce((most, row) => Math.max(most, widthOf(cellOf(of(row)))), widthOf(name)),
  );
  return lineWidth(widths) <= available;
}

function lineWidth(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width, GAP.length * (widths.length - 1));
}

function isFilled<T>(rows: readonly T[], column: Column<T>): boolean {
  return rows.some((row) => cellOf(column.of(row)) !== NOTHING);
}

function cellOf(value: string | number | null | undefined): string {
  if (value === null || value === undefined || value === '') return NOTHING;
  return typeof value === 'number' ? value.toLocaleString('en') : printable(value);
}

function widthsFor<T>(lines: string[][], columns: readonly Column<T>[], available: number | null): number[] {
  const widths = columns.map((_, i) => lines.reduce((most, cells) => Math.max(most, widthOf(cells[i]!)), 0));
  if (available === null) return widths;
  let over = lineWidth(widths) - available;
  while (over > 0) {
    const widest = widestToCut(widths, columns);
    if (widest === null) return widths;
    widths[widest]!--;
    over--;
  }
  return widths;
}

function widestToCut<T>(widths: number[], columns: readonly Column<T>[]): number | null {
  let widest: number | null = null;
  for (const [i, column] of columns.entries()) {
    const least = Math.max(CUT_WIDTH_MIN, widthOf(column.name));
    if (column.whole || widths[i]! <= least) continue;
    if (widest === null || widths[i]! > widths[widest]!) widest = i;
  }
  return widest;
}

function padded<T>(text: string, width: number, { column, last }: { column: Column<T>; last: boolean }): string {
  const cut = cutTo(text, width);
  const space = ' '.repeat(Math.max(0, width - widthOf(cut)));
  if (column.align === 'right') return space + cut;
  return last ? cut : cut + space;
}
