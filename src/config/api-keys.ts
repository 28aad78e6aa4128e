/**
 * The file of API keys: who may call, and for what. It holds hashes only, so whoever reads the file can call nothing. A
 * plain SHA-256 is enough because the keys are random and of 256 bits: what makes the hash of a password slow is there to
 * keep people from trying all likely ones, and of these none is likelier than another.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';

export const API_KEYS_BYTES_MAX = 4 * 1024 * 1024;
const KEYS_MAX = 10_000;
const PROBLEMS_MAX = 10;
/** The same words as in `service/caller.ts`; settings know nothing of services. */
const SCOPES = ['tasks:read', 'tasks:write', 'admin'] as const;

export interface ApiKeyEntry {
  /** Of whoever holds it, for the log. */
  name: string;
  /** SHA-256 of the key, 64 hexadecimal digits. */
  hash: string;
  scopes: (typeof SCOPES)[number][];
  /** Null = all tenants. */
  tenant: string | null;
  /** Milliseconds; null = never. */
  expiresAt: number | null;
}

export type ReadApiKeys = { keys: ApiKeyEntry[] } | { problems: string[] };

/** SHA-256 in 64 hexadecimal digits. */
export function hashOfApiKey(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

/** @param text `[{name, hash, scopes, tenant?, expiresAt?}]`, or the same as `{keys: […]}` */
export function readApiKeys(text: string): ReadApiKeys {
  const json = parsed(text);
  if ('problem' in json) return { problems: [json.problem] };
  const read = file.safeParse(json.value);
  if (!read.success) return { problems: problemsOf(read.error) };
  const keys = Array.isArray(read.data) ? read.data : read.data.keys;
  const twice = keys.find(({ hash }, at) => keys.findIndex((other) => other.hash === hash) < at);
  if (twice) return { problems: [`the hash of "${twice.name}" is there more than once, wanted every key once`] };
  return { keys };
}

function parsed(text: string): { value: unknown } | { problem: string } {
  try {
    return { value: JSON.parse(text) };
  } catch {
    // The parser's own words would quote the text, which may hold a key by mistake.
    return { problem: 'it is not JSON, wanted a list of entries as "agent-system keys api" prints them' };
  }
}

const entry = z
  .strictObject({
    name: z.string().min(1).max(128),
    hash: z
      .string()
      .regex(/^sha256:[0-9a-f]{64}$/i, { error: 'wanted sha256: and 64 hexadecimal digits' })
      .transform((hash) => hash.slice('sha256:'.length).toLowerCase()),
    scopes: z.array(z.enum(SCOPES, { error: `wanted ${SCOPES.join(', ')}` })).min(1),
    tenant: z
      .string()
      .min(1)
      .max(128)
      .nullish()
      .transform((tenant) => tenant ?? null),
    expiresAt: z.iso
      .datetime({ offset: true, error: 'wanted a time such as 2027-01-31T12:00:00Z' })
      .nullish()
      .transform((time) => (time ? Date.parse(time) : null)),
  })
  .refine(({ tenant, scopes }) => tenant === null || !scopes.includes('admin'), {
    error: 'has a tenant and the scope admin, which is over all tenants: wanted one of them',
  });

const entries = z.array(entry).max(KEYS_MAX);
const file = z.union([entries, z.strictObject({ keys: entries })]);

/** Each field at fault by its place: `[2].hash: wanted …`. What was found is not shown, for it may be a key itself. */
function problemsOf(error: z.ZodError): string[] {
  const issues = error.issues.flatMap((issue) => (issue.code === 'invalid_union' ? nearest(issue.errors) : [issue]));
  return issues.slice(0, PROBLEMS_MAX).map(({ path, message }) => `${placeOf(path)}${message}`);
}

/** Of the two forms a file may have, the one that it got further into. */
function nearest(errors: z.core.$ZodIssue[][]): z.core.$ZodIssue[] {
  return errors.reduce((a, b) => (depthOf(b) > depthOf(a) ? b : a));
}

function depthOf(issues: z.core.$ZodIssue[]): number {
  return Math.max(...issues.map(({ path }) => path.length));
}

function placeOf(path: readonly PropertyKey[]): string {
  const place = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  return place === '' ? '' : `${place.replace(/^\./, '')}: `;
}
