import { z } from 'zod';
import { AgentSystemError } from '../errors.ts';
import { nearest } from '../runtime/near-names.ts';
import { foundAndWanted } from '../service/found-and-wanted.ts';

/** Names shown at most; a query may hold thousands. */
const UNKNOWN_SHOWN = 10;

/** The query as `schema` reads it. Throws BAD_REQUEST that names all that the route does not have and every wrong value. */
export function readQuery<S extends z.ZodObject>(query: unknown, schema: S): z.output<S> {
  const values = query as Record<string, string | string[]>;
  const known = Object.keys(schema.shape);
  const unknown = Object.keys(values).filter((name) => !known.includes(name));
  const read = schema.safeParse(values, { error: foundAndWanted });
  if (read.success && unknown.length === 0) return read.data;
  const wrong = (read.error?.issues ?? []).map(({ path, message }) => ({ field: path.join('.'), problem: message }));
  throw refused([...unknown.slice(0, UNKNOWN_SHOWN).map((name) => unknownName(name, known)), ...wrong]);
}

/** For routes that take no query at all. */
export const noQuery = z.object({});

interface Wrong {
  field: string;
  problem: string;
}

function unknownName(name: string, known: string[]): Wrong {
  const near = nearest(name, known);
  const hint = near.length > 0 ? `; did you mean ${near.join(' or ')}?` : '';
  const taken = known.length > 0 ? `it takes ${known.join(', ')}` : 'it takes none';
  return { field: name.slice(0, 80), problem: `this path does not take it${hint} (${taken})` };
}

function refused(fields: Wrong[]): AgentSystemError {
  const text = fields.map(({ field, problem }) => `${field}: ${problem}`).join('; ');
  return new AgentSystemError('BAD_REQUEST', `the query is refused: ${text}`, { details: { fields } });
}

/** A value that may be given once. */
export const one = z.string({ error: 'was given more than once, wanted once' }).min(1, { error: 'is empty' });

/** Values that may be given again and again; at most `max`. */
export function repeated(max: number) {
  return z
    .union([z.string(), z.array(z.string())])
    .transform((value) => [value].flat())
    .pipe(valuesUpTo(max));
}

/** The same, also with commas between them. */
export function several(max: number) {
  return z
    .union([z.string(), z.array(z.string())])
    .transform((value) => [value].flat().join(',').split(','))
    .pipe(valuesUpTo(max));
}

function valuesUpTo(max: number) {
  return z.array(z.string().min(1, { error: 'is empty' })).max(max);
}

export function wholeNumber(min: number, max: number) {
  const error = ({ input }: { input?: unknown }) =>
    `is ${JSON.stringify(String(input).slice(0, 80))}, wanted a whole number from ${min} to ${max}`;
  return one
    .regex(/^\d{1,12}$/, { error })
    .transform(Number)
    .refine((value) => value >= min && value <= max, { error });
}
