import type { Io } from './io.ts';
import { type Column, renderFacts, renderSentences, renderTable, type TableLook } from './table.ts';

export const FORMATS = ['table', 'json', 'ndjson'] as const;
export type Format = (typeof FORMATS)[number];

/** Results go to stdout in the format that was asked for, messages to stderr. */
export class Printer {
  readonly format: Format;
  readonly #io: Io;

  constructor(format: Format, io: Io) {
    this.format = format;
    this.#io = io;
  }

  /** @param none the sentence instead of an empty table */
  list<T>(rows: readonly T[], columns: readonly Column<T>[], none: string): void {
    if (this.format === 'json') this.json(rows);
    else if (this.format === 'ndjson') for (const row of rows) this.line(row);
    else if (rows.length === 0) this.note(none);
    else this.#io.out(renderTable(rows, columns, this.look));
  }

  /** Asked for one thing it prints that thing, asked for several a list of them. */
  each<T>(values: readonly T[], asked: number, table: (values: readonly T[]) => void): void {
    if (this.format === 'table') table(values);
    else if (this.format === 'ndjson') for (const value of values) this.line(value);
    else if (asked > 1) this.json(values);
    else if (values.length > 0) this.json(values[0]);
  }

  facts(facts: readonly (readonly [name: string, value: string | undefined])[]): void {
    this.#io.out(renderFacts(facts, this.look));
  }

  /** A table whose last column is a sentence, which goes on below itself where it does not fit. */
  sentences<T>(rows: readonly T[], columns: readonly Column<T>[]): void {
    this.#io.out(renderSentences(rows, columns, this.look));
  }

  /** One value as JSON: on one line as ndjson, else for reading. */
  value(value: unknown): void {
    if (this.format === 'ndjson') this.line(value);
    else this.json(value);
  }

  json(value: unknown): void {
    this.#io.out(`${JSON.stringify(value, null, 2)}\n`);
  }

  line(value: unknown): void {
    this.#io.out(`${JSON.stringify(value)}\n`);
  }

  text(text: string): void {
    this.#io.out(`${text}\n`);
  }

  note(message: string): void {
    this.#io.err(`${message}\n`);
  }

  get look(): TableLook {
    return { columns: this.#io.outColumns, colors: this.#io.colors && this.#io.outColumns !== null };
  }
}
