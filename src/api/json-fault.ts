/** Where JSON text stops being JSON, and what was wanted there. */
export interface JsonFault {
  /** Characters before the fault. */
  position: number;
  /** From 1. */
  line: number;
  /** From 1. */
  column: number;
  wanted: string;
}

/**
 * Finds the first fault by the grammar of RFC 8259; null for valid text. The engine's own parser is faster, but names
 * the place for some faults only; this one runs after that has refused.
 *
 * @param text nested no deeper than a few hundred levels: it is read recursively
 */
export function findJsonFault(text: string): JsonFault | null {
  try {
    new Reader(text).document();
    return null;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    const before = text.slice(0, error.position);
    const line = before.split('\n').length;
    const column = error.position - before.lastIndexOf('\n');
    return { position: error.position, line, column, wanted: error.wanted };
  }
}

class Fault extends Error {
  readonly position: number;
  readonly wanted: string;

  constructor(position: number, wanted: string) {
    super();
    this.position = position;
    this.wanted = wanted;
  }
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const WORD = /true|false|null/y;
const ESCAPE = /["\\/bfnrt]|u[0-9a-fA-F]{4}/y;

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): void {
    this.#value();
    if (this.#peek() !== '') throw new Fault(this.#at, 'the end');
  }

  /** The next character that is not white space; empty at the end. */
  #peek(): string {
    while (' \t\n\r'.includes(this.#text[this.#at] ?? '-')) this.#at += 1;
    return this.#text[this.#at] ?? '';
  }

  #value(): void {
    const first = this.#peek();
    if (first === '{') return this.#members('}', 'a property name', () => this.#property());
    if (first === '[') return this.#members(']', 'a value', () => this.#value());
    if (first === '"') return this.#string();
    if (this.#match(NUMBER) || this.#match(WORD)) return;
    throw new Fault(this.#at, 'a value');
  }

  #members(end: '}' | ']', wanted: string, member: () => void): void {
    this.#at += 1;
    if (this.#peek() === end) return this.#pass(end, wanted);
    for (;;) {
      member();
      if (this.#peek() === end) return this.#pass(end, wanted);
      this.#pass(',', `"," or "${end}"`);
    }
  }

  #property(): void {
    if (this.#peek() !== '"') throw new Fault(this.#at, 'a property name in double quotes');
    this.#string();
    this.#pass(':', '":"');
    this.#value();
  }

  #pass(character: string, wanted: string): void {
    if (this.#peek() !== character) throw new Fault(this.#at, wanted);
    this.#at += 1;
  }

  #string(): void {
    for (this.#at += 1; ; this.#at += 1) {
      const character = this.#text[this.#at];
      if (character === undefined) throw new Fault(this.#at, 'a closing quote');
      if (character < ' ') throw new Fault(this.#at, 'no line break or control character inside a string');
      if (character === '"') break;
      if (character !== '\\') continue;
      this.#at += 1;
      if (!this.#match(ESCAPE)) throw new Fault(this.#at, 'one of the escapes of JSON');
      this.#at -= 1;
    }
    this.#at += 1;
  }

  #match(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    if (!pattern.test(this.#text)) return false;
    this.#at = pattern.lastIndex;
    return true;
  }
}
