/** Agents that every worker has: to try an installation with, and to test it. */
import { z } from 'zod';
import { pause } from '../runtime/runtime.ts';
import { type AgentContext, type AttemptContext, RUNTIME } from './context.ts';
import { type Agent, defineAgent } from './define-agent.ts';
import { TerminalError } from './errors.ts';

const VERSION = '1.0.0';
const SLEEP_MS_MAX = 30 * 24 * 3_600_000;

export const echo = defineAgent({
  name: 'echo',
  version: VERSION,
  description: 'Answers its input.',
  run: (input: unknown) => input,
});

export const sleep = defineAgent({
  name: 'sleep',
  version: VERSION,
  description: 'Waits for `ms` milliseconds, or until it is told to end.',
  input: z.object({ ms: z.number().min(0).max(SLEEP_MS_MAX) }),
  run: async ({ ms }, ctx) => {
    await pause(runtimeOf(ctx), ms, ctx.signal);
    ctx.signal.throwIfAborted();
    return { sleptMs: ms };
  },
});

export const fail = defineAgent({
  name: 'fail',
  version: VERSION,
  description: 'Fails with the given message; retryable unless told otherwise.',
  input: z.object({
    message: z.string().default('failed as asked'),
    code: z.string().optional(),
    retryable: z.boolean().default(true),
  }),
  run: ({ message, code, retryable }): never => {
    throw Object.assign(new Error(message), { code, retryable });
  },
});

const OPERATIONS = {
  sum: (values: number[]) => values.reduce((sum, value) => sum + value, 0),
  mean: (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length,
  // Not Math.min(...values): the arguments of a call are limited, the values are not.
  min: (values: number[]) => values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY),
  max: (values: number[]) => values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY),
  product: (values: number[]) => values.reduce((product, value) => product * value, 1),
};
type Operation = keyof typeof OPERATIONS;

export const compute = defineAgent({
  name: 'compute',
  version: VERSION,
  description: 'Computes the sum, mean, min, max or product of numbers.',
  input: z.object({
    operation: z.enum(Object.keys(OPERATIONS) as [Operation, ...Operation[]]),
    values: z.array(z.number()),
  }),
  run: ({ operation, values }) => {
    if (values.length === 0) {
      throw new TerminalError(`${operation} needs at least one value; \`values\` is empty`, { code: 'invalid_input' });
    }
    const result = OPERATIONS[operation](values);
    // JSON has no infinity: it would come back as null.
    if (!Number.isFinite(result)) {
      throw new TerminalError(`the ${operation} of these ${values.length} values is too large for a number`, {
        code: 'out_of_range',
      });
    }
    return { operation, result, count: values.length };
  },
});

export const builtInAgents: readonly Agent[] = [echo, sleep, fail, compute];

function runtimeOf(ctx: AgentContext) {
  return (ctx as AttemptContext)[RUNTIME];
}
