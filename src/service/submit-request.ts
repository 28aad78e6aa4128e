import { z } from 'zod';
import { AgentSystemError } from '../errors.ts';
import { parsePriority } from '../scheduling/order.ts';
import { DURABILITIES } from '../store/store.ts';
import { RETRY_BACKOFF_MAX_MS } from '../task/retry.ts';
import { foundAndWanted } from './found-and-wanted.ts';

const DELAY_MAX_MS = 366 * 86_400_000;
const name = z.string().min(1).max(128);
const key = z.string().min(1).max(256);
const duration = z.number().int().min(1).max(DELAY_MAX_MS);

const priority = z.union([z.number(), z.string()]).transform((value, context) => {
  const parsed = parsePriority(value);
  if (parsed.ok) return parsed.priority;
  context.addIssue({ code: 'custom', message: parsed.message });
  return z.NEVER;
});

const NAMES_REQUIRED_MAX = 16;
const LABELS_MAX = 64;

const workerId = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, {
  error: ({ input }) =>
    `found ${JSON.stringify(String(input).slice(0, 80))}, wanted the id of a worker: up to 128 letters, digits, dots, hyphens or underscores`,
});

/** Named as in `WORKER_LABELS` and `WORKER_RESOURCES`. */
const OFFERED = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/;

function required<T extends string | number>(values: z.ZodType<T>) {
  return z.record(z.string(), values).superRefine((fields, { addIssue }) => {
    const names = Object.keys(fields);
    const wrong = names.find((found) => !OFFERED.test(found));
    if (wrong !== undefined) {
      const wanted = 'up to 63 letters, digits, dots, hyphens, underscores or slashes';
      addIssue(`found the name ${JSON.stringify(wrong.slice(0, 64))}, wanted ${wanted}`);
    }
    if (names.length > NAMES_REQUIRED_MAX)
      addIssue(`found ${names.length} names, wanted at most ${NAMES_REQUIRED_MAX}`);
  });
}

const requiredLabels = required(z.string().min(1).max(256));
const requiredResources = required(
  z
    .number()
    .positive({ error: ({ input }) => `found ${String(input)}, wanted a number above 0` })
    .max(1e12),
);

export const submitRequest = z
  .strictObject({
    agent: name,
    input: z.unknown().optional(),
    method: name.optional(),
    priority: priority.optional(),
    key: key.optional(),
    tenant: name.optional(),
    session: key.optional(),
    delayMs: z.number().int().min(0).max(DELAY_MAX_MS).optional(),
    runAt: z.iso.datetime({ offset: true }).optional(),
    timeoutMs: duration.optional(),
    retry: z
      .strictObject({
        maxAttempts: z.number().int().min(1).max(1_000).optional(),
        backoffMs: z.number().int().min(0).max(RETRY_BACKOFF_MAX_MS).optional(),
        factor: z.number().min(1).max(100).optional(),
        maxBackoffMs: z
          .number()
          .int()
          .min(0)
          .max(RETRY_BACKOFF_MAX_MS * 24)
          .optional(),
      })
      .optional(),
    delivery: z.enum(['at-least-once', 'at-most-once']).optional(),
    durability: z.enum(DURABILITIES).optional(),
    labels: z.record(name, z.string().max(256)).optional(),
    correlationId: key.optional(),
    metadata: z.record(z.string(), z.unknown()).optional(),
    concurrencyKey: key.optional(),
    require: z
      .strictObject({
        worker: workerId.optional(),
        labels: requiredLabels.optional(),
        resources: requiredResources.optional(),
      })
      .optional(),
    queueTimeoutMs: duration.optional(),
    totalTimeoutMs: duration.optional(),
  })
  .refine((request) => request.delayMs === undefined || request.runAt === undefined, {
    error: 'delayMs and runAt exclude each other: give one',
    path: ['runAt'],
  })
  .refine(({ delayMs = 0, totalTimeoutMs = Number.POSITIVE_INFINITY }) => delayMs < totalTimeoutMs, {
    error: 'totalTimeoutMs counts from now and would be over before the delay is: give more than delayMs',
    path: ['totalTimeoutMs'],
  });

/** What a client sends. */
export type SubmitRequest = z.input<typeof submitRequest>;
/** What is left after the checks. */
export type CheckedRequest = z.output<typeof submitRequest>;

/** The checked request; throws BAD_REQUEST that names every field at fault with what was found and wanted. */
export function checkRequest(request: unknown): CheckedRequest {
  const crowded = crowdedFields(request);
  if (crowded.length > 0) throw refused(crowded, 'the task');
  const checked = submitRequest.safeParse(request, { error: foundAndWanted });
  if (checked.success) return checked.data;
  throw badRequest(checked.error);
}

/**
 * Fields with more names in them than are taken. Asked before the schema: that spends microseconds on each name, and a
 * body of megabytes has enough of them to hold up everyone for seconds.
 */
export function crowdedFields(request: unknown): { field: string; problem: string }[] {
  const { labels, require } = (request ?? {}) as { labels?: unknown; require?: Record<string, unknown> | null };
  if (labels === undefined && require === undefined) return [];
  return [
    ...crowded('labels', labels, LABELS_MAX),
    ...crowded('require.labels', require?.labels, NAMES_REQUIRED_MAX),
    ...crowded('require.resources', require?.resources, NAMES_REQUIRED_MAX),
  ];
}

function crowded(field: string, value: unknown, max: number): { field: string; problem: string }[] {
  const found = typeof value === 'object' && value !== null ? Object.keys(value).length : 0;
  return found > max ? [{ field, problem: `found ${found} names, wanted at most ${max}` }] : [];
}

/** A body may hold thousands of faults, and names as long as it is. */
const FIELDS_TOLD = 50;
const FIELD_LENGTH_TOLD = 200;

export function badRequest(error: z.ZodError, what = 'the task'): AgentSystemError {
  const fields = error.issues.slice(0, FIELDS_TOLD).map((issue) => ({
    field: issue.path.join('.').slice(0, FIELD_LENGTH_TOLD) || '(body)',
    problem: issue.message,
  }));
  return refused(fields, what);
}

function refused(fields: { field: string; problem: string }[], what: string): AgentSystemError {
  const text = fields.map(({ field, problem }) => `${field}: ${problem}`).join('; ');
  return new AgentSystemError('BAD_REQUEST', `${what} is refused: ${text}`, { details: { fields } });
}
