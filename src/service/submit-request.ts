import { z } from 'zod';
import { AgentSystemError } from '../errors.ts';
import { parsePriority } from '../scheduling/order.ts';
import { RETRY_BACKOFF_MAX_MS } from '../task/retry.ts';

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

/** What the contract names and this version does not do yet is refused by name: ignoring it would break a promise. */
const notYet = z.undefined({ error: 'is not supported by this version' }).optional();

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
    durability: z.enum(['memory']).optional(),
    labels: z.record(name, z.string().max(256)).optional(),
    correlationId: key.optional(),
    metadata: z.record(z.string(), z.unknown()).optional(),
    concurrencyKey: notYet,
    require: notYet,
    queueTimeoutMs: notYet,
    totalTimeoutMs: notYet,
  })
  .refine((request) => request.delayMs === undefined || request.runAt === undefined, {
    error: 'delayMs and runAt exclude each other: give one',
    path: ['runAt'],
  });

/** What a client sends. */
export type SubmitRequest = z.input<typeof submitRequest>;
/** What is left after the checks. */
export type CheckedRequest = z.output<typeof submitRequest>;

/** The checked request; throws BAD_REQUEST that names every field at fault with what was found and wanted. */
export function checkRequest(request: unknown): CheckedRequest {
  const checked = submitRequest.safeParse(request);
  if (checked.success) return checked.data;
  throw badRequest(checked.error);
}

export function badRequest(error: z.ZodError, what = 'the task'): AgentSystemError {
  const fields = error.issues.map((issue) => ({ field: issue.path.join('.') || '(body)', problem: issue.message }));
  const text = fields.map(({ field, problem }) => `${field}: ${problem}`).join('; ');
  return new AgentSystemError('BAD_REQUEST', `${what} is refused: ${text}`, { details: { fields } });
}
