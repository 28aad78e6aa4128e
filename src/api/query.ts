import { z } from 'zod';
import { AgentSystemError } from '../errors.ts';
import { nearest } from '../runtime/near-names.ts';
import { badRequest } from '../service/submit-request.ts';

/** The query as `schema` reads it. Throws BAD_REQUEST for names that the route does not have and for wrong values. */
export function readQuery<S extends z.ZodObject>(query: unknown, schema: S): z.output<S> {
  const values = query as Record<string, string | string[]>;
  const known = Object.keys(schema.shape);
  for (const name of Object.keys(values)) if (!known.includes(name)) throw unknownName(name, known);
  const read = schema.safeParse(values);
  if (read.success) return read.data;
  throw badRequest(read.error, 'the query');
}

/** For routes that take no query at all. */
export const noQuery = z.object({});

function unknownName(name: string, known: string[]): AgentSystemError {
  const near = nearest(name, known);
  const shown = JSON.stringify(name.slice(0, 80));
  const hint = near.length > 0 ? `; did you mean ${near.join(' or ')}?` : '';
  const taken = known.length > 0 ? `it takes ${known.join(', ')}` : 'it takes none';
  return new AgentSystemError(
    'BAD_REQUEST',
    `the query has ${shown}, which this path does not take${hint} (${taken})`,
    {
      details: { fields: [{ field: name.slice(0, 80), problem: 'unknown' }], near },
    },
  );
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
  const problem = `is not a whole number from ${min} to ${max}`;
  return one
    .regex(/^\d{1,12}$/, { error: problem })
    .transform(Number)
    .refine((value) => value >= min && value <= max, { error: problem });
}
