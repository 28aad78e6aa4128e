/**
 * What a handler can throw, and what the system makes of it. Recognised by their fields, not by their class: an agent
 * module may come with its own copy of this package.
 */
export const ERROR_MESSAGE_MAX = 2_000;
const LOWER_SNAKE = /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/;
const CODE_LENGTH_MAX = 64;
const STACK_LENGTH_MAX = 4_000;

/** Ends the task as failed at once, however many attempts are left. `code` is lower_snake, else `handler_error`. */
export class TerminalError extends Error {
  readonly retryable = false;
  readonly code: string | undefined;

  constructor(message: string, options: { code?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'TerminalError';
    this.code = options.code;
  }
}

/** Fails this attempt and asks for the next one in `ms`, whatever the retry policy says. It still uses up an attempt. */
export class RetryAfter extends Error {
  readonly retryable = true;
  readonly code = 'retry_after';
  readonly retryAfterMs: number;

  constructor(ms: number, message = `asked to be run again in ${ms} ms`) {
    super(message);
    this.name = 'RetryAfter';
    if (!(Number.isFinite(ms) && ms >= 0)) {
      throw new TypeError(`RetryAfter wants milliseconds, 0 or more; found ${String(ms)}`);
    }
    this.retryAfterMs = ms;
  }
}

/** Why an attempt was told to end before its time. */
export type AbortCode = 'cancelled' | 'timeout' | 'lease_lost' | 'shutdown';

/** The `reason` of an aborted `ctx.signal`. */
export class AttemptAborted extends Error {
  readonly code: AbortCode;

  constructor(code: AbortCode, message: string) {
    super(message);
    this.name = 'AttemptAborted';
    this.code = code;
  }
}

/** How a failed attempt is reported. */
export interface AttemptFailure {
  code: string;
  message: string;
  retryable: boolean;
  retryAfterMs?: number;
}

export function terminal(code: string, message: string): AttemptFailure {
  return { code, message: bounded(message), retryable: false };
}

/** Makes a failure of anything at all: code run by strangers throws strings, null and objects with angry getters. */
export function failureOf(thrown: unknown): AttemptFailure {
  try {
    return describe(thrown);
  } catch {
    return { code: 'handler_error', message: 'the handler threw something that cannot be read', retryable: true };
  }
}

function describe(thrown: unknown): AttemptFailure {
  if (typeof thrown !== 'object' || thrown === null) {
    return { code: 'handler_error', message: bounded(`the handler threw ${shown(thrown)}`), retryable: true };
  }
  const error = thrown as { code?: unknown; message?: unknown; retryable?: unknown; retryAfterMs?: unknown };
  const failure: AttemptFailure = {
    code: isErrorCode(error.code) ? error.code : 'handler_error',
    message: bounded(messageOf(error)),
    retryable: error.retryable !== false,
  };
  if (typeof error.retryAfterMs === 'number' && error.retryAfterMs >= 0 && Number.isFinite(error.retryAfterMs)) {
    failure.retryAfterMs = error.retryAfterMs;
  }
  return failure;
}

/**
 * Where a handler broke, for its author to read in the log. Undefined for what was thrown on purpose: an error that says
 * whether it may be tried again, or has a code of its own, is an answer and not a fault.
 */
export function stackOf(thrown: unknown): string | undefined {
  try {
    if (!(thrown instanceof Error) || 'retryable' in thrown) return undefined;
    const { code } = thrown as { code?: unknown };
    return isErrorCode(code) ? undefined : thrown.stack?.slice(0, STACK_LENGTH_MAX);
  } catch {
    return undefined;
  }
}

export function isErrorCode(code: unknown): code is string {
  return typeof code === 'string' && code.length <= CODE_LENGTH_MAX && LOWER_SNAKE.test(code);
}

function messageOf(error: { message?: unknown }): string {
  if (typeof error.message === 'string' && error.message !== '') return error.message;
  if (error instanceof Error) return error.name;
  return `the handler threw ${JSON.stringify(error)}`;
}

function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

function bounded(text: string): string {
  return text.length > ERROR_MESSAGE_MAX ? `${text.slice(0, ERROR_MESSAGE_MAX - 1)}…` : text;
}
