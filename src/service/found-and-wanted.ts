/** What a check says of a value that it refuses, where the schema has no words of its own: what was found, what was wanted. */
import type { z } from 'zod';
import { nearest } from '../runtime/near-names.ts';

const SHOWN_LENGTH = 60;
const NAMES_SHOWN = 5;

/** For the `error` of a parse: `schema.safeParse(value, { error: foundAndWanted })`. */
export const foundAndWanted: z.core.$ZodErrorMap = (issue) => {
  const found = `found ${shown(issue.input)}`;
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return `is missing, wanted ${aKind(issue.expected)}`;
      return `${found}, wanted ${aKind(issue.expected)}`;
    case 'invalid_value':
      return `${found}, wanted ${oneOf(issue.values.map((value) => shown(value)))}`;
    case 'unrecognized_keys':
      return unknownFields(issue.keys, issue.inst);
    case 'too_small':
      return issue.origin === 'string' && issue.minimum === 1
        ? 'found an empty string, wanted at least one character'
        : `${sized(issue)}, wanted ${issue.inclusive === false ? 'more than' : 'at least'} ${limit(issue.origin, issue.minimum)}`;
    case 'too_big':
      return `${sized(issue)}, wanted ${issue.inclusive === false ? 'less than' : 'at most'} ${limit(issue.origin, issue.maximum)}`;
    case 'invalid_format':
      return `${found}, wanted ${FORMATS[issue.format] ?? issue.format}`;
    case 'invalid_key':
      return `found a name that is not taken: ${issue.issues[0]?.message ?? ''}`.trim();
    case 'invalid_union':
      return `${found}, which is none of what is taken here`;
    default:
      return undefined;
  }
};

const FORMATS: Record<string, string> = {
  datetime: 'an ISO 8601 time with its zone, such as 2030-01-31T08:00:00Z',
  regex: 'another form',
  safeint: 'a whole number',
};

const KINDS: Record<string, string> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'an object',
  record: 'an object',
  array: 'an array',
  null: 'null',
};

function aKind(expected: string): string {
  return KINDS[expected] ?? expected;
}

/** Short enough for a message, and never what an object holds. */
function shown(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return `an array of ${value.length}`;
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > SHOWN_LENGTH ? `${value.slice(0, SHOWN_LENGTH)}…` : value);
    case 'object':
      return 'an object';
    case 'undefined':
      return 'nothing';
    default:
      return String(value);
  }
}

function sized({ origin, input }: { origin: string; input?: unknown }): string {
  if (origin === 'string') return `found ${String(input).length} characters`;
  if (origin === 'array' || origin === 'set') return `found ${(input as { length?: number }).length ?? 0} of them`;
  return `found ${shown(input)}`;
}

function limit(origin: string, bound: number | bigint): string {
  return origin === 'string' ? `${bound} characters` : String(bound);
}

function oneOf(names: string[]): string {
  return names.length <= 1 ? names.join('') : `one of ${names.join(', ')}`;
}

function unknownFields(keys: string[], schema: unknown): string {
  const known = knownFields(schema);
  const told = keys.slice(0, NAMES_SHOWN).map((key) => {
    const near = nearest(key.slice(0, SHOWN_LENGTH), known);
    return `${shown(key)}${near.length > 0 ? ` (did you mean ${near.join(' or ')}?)` : ''}`;
  });
  const more = keys.length > told.length ? ` and ${keys.length - told.length} more` : '';
  const taken = known.length > 0 ? `, wanted none but ${known.join(', ')}` : ', wanted no field at all';
  return `found unknown ${keys.length > 1 ? 'fields' : 'field'} ${told.join(', ')}${more}${taken}`;
}

function knownFields(schema: unknown): string[] {
  const { shape } = (schema as { _zod?: { def?: { shape?: object } } } | undefined)?._zod?.def ?? {};
  return shape ? Object.keys(shape) : [];
}
