/**
 * Runs one method on one input text and never rejects: whatever a handler does becomes a result text or a failure.
 * Signals, deadlines and slots are the worker's.
 */
import { z } from 'zod';
import type { AgentContext } from './context.ts';
import type { AgentMethod } from './define-agent.ts';
import { type AttemptFailure, failureOf, stackOf, terminal } from './errors.ts';

/** `stack` is for the log alone, and there only when the handler broke. */
export type Outcome = { ok: true; result: string } | { ok: false; error: AttemptFailure; stack?: string };

/** Problems that one message names; a hundred wrong fields need not all be read. */
const ISSUES_SHOWN = 3;

/** `input` is JSON text. `resultBytesMax` bounds the result's JSON text in UTF-8. */
export async function runMethod(
  method: AgentMethod,
  input: string,
  ctx: AgentContext,
  resultBytesMax: number,
): Promise<Outcome> {
  try {
    const checked = await check(method.input, parse(input), 'input');
    if (!checked.ok) return failed(terminal('invalid_input', checked.message));
    const answer = await method.run(checked.value, ctx);
    return await resultOf(method, answer, resultBytesMax);
  } catch (thrown) {
    if (thrown instanceof UnreadableInput) return failed(terminal('invalid_input', thrown.message));
    const stack = stackOf(thrown);
    return { ok: false, error: failureOf(thrown), ...(stack !== undefined && { stack }) };
  }
}

class UnreadableInput extends Error {}

function parse(input: string): unknown {
  try {
    return JSON.parse(input);
  } catch {
    throw new UnreadableInput(`the input is not JSON: ${input.slice(0, 80)}`);
  }
}

type Checked = { ok: true; value: unknown } | { ok: false; message: string };

function check(schema: z.ZodType | undefined, value: unknown, what: string): Checked | Promise<Checked> {
  if (!schema) return { ok: true, value };
  try {
    return checkedBy(schema.safeParse(value), what);
  } catch (error) {
    // Only a schema with asynchronous refinements needs a promise; the others are not made to wait for one.
    if (!(error instanceof z.core.$ZodAsyncError)) throw error;
    return schema.safeParseAsync(value).then((parsed) => checkedBy(parsed, what));
  }
}

function checkedBy(parsed: z.ZodSafeParseResult<unknown>, what: string): Checked {
  if (parsed.success) return { ok: true, value: parsed.data };
  const shown = parsed.error.issues.slice(0, ISSUES_SHOWN).map(({ path, message }) => {
    return `${[what, ...path.map(String)].join('.')}: ${message}`;
  });
  const more = parsed.error.issues.length - shown.length;
  return { ok: false, message: `${shown.join('; ')}${more > 0 ? `; and ${more} more` : ''}` };
}

async function resultOf(method: AgentMethod, answer: unknown, bytesMax: number): Promise<Outcome> {
  const checked = await check(method.output, answer, 'output');
  if (!checked.ok) return failed(terminal('invalid_output', checked.message));
  const text = stringify(checked.value);
  if (!text.ok) return failed(terminal('invalid_output', text.message));
  const bytes = text.value.length > bytesMax ? text.value.length : Buffer.byteLength(text.value);
  if (bytes > bytesMax) {
    return failed(terminal('result_too_large', `the result has ${bytes} bytes of JSON, at most ${bytesMax} are kept`));
  }
  return { ok: true, result: text.value };
}

function stringify(value: unknown): { ok: true; value: string } | { ok: false; message: string } {
  if (value === undefined) return { ok: true, value: 'null' };
  try {
    const text = JSON.stringify(value);
    if (text === undefined) return { ok: false, message: `the handler returned a ${typeof value}, JSON was wanted` };
    return { ok: true, value: text };
  } catch (error) {
    return { ok: false, message: `the result cannot be written as JSON: ${failureOf(error).message}` };
  }
}

function failed(error: AttemptFailure): Outcome {
  return { ok: false, error };
}
