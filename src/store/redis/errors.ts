import { AgentSystemError, StoreUnavailableError } from '../../errors.ts';
import type { OnRetry } from './connect.ts';
import { adviceFor } from './faults.ts';

/** Replies by which Redis says "not now" or "not here": the same call may succeed elsewhere, or a little later. */
const NOT_NOW =
  /^(READONLY|LOADING|MASTERDOWN|NOREPLICAS|CLUSTERDOWN|MOVED|ASK|TRYAGAIN|BUSY|MISCONF|UNBLOCKED|ERR max number of clients)/;
const NOT_ALLOWED =
  /^(NOAUTH|WRONGPASS|NOPERM|ERR AUTH|ERR invalid password|DENIED)|user executing the script can't|ACL failure in script/;
/** Said without having been asked anything by the server: the connection, not the command, failed. */
const NO_CONNECTION =
  /Connection is closed|Stream isn't writeable|Command timed out|Command aborted|max retries per request|connect ETIMEDOUT|Socket (timeout|closed)/i;

/**
 * What an error of the client means to the callers of the port. `address` goes into the message for people, and so does
 * `what`, the command, where a user was not allowed to run it.
 */
export function meaningOf(error: unknown, address: string, what?: string): Error {
  if (error instanceof AgentSystemError) return error;
  if (!(error instanceof Error)) return new AgentSystemError('STORE_FAILED', `Redis at ${address} failed: ${error}`);
  const { message } = error;
  forgetArguments(error);
  if (isConnectionError(error)) return unavailable(address, error);
  if (NOT_NOW.test(message)) return unavailable(address, error);
  if (/^OOM /.test(message)) {
    const text = `Redis at ${address} is out of memory and accepts no new tasks: raise maxmemory or let the queue drain`;
    return new AgentSystemError('STORE_FULL', text, { retryable: true, cause: error });
  }
  if (NOT_ALLOWED.test(message)) {
    const text = `Redis at ${address} refused the user${what ? ` ${what}` : ''}: ${message}; ${adviceFor(error)}`;
    return new AgentSystemError('STORE_FORBIDDEN', text, { cause: error });
  }
  return new AgentSystemError('STORE_FAILED', `Redis at ${address} answered with an error: ${message}`, {
    cause: error,
  });
}

export function unavailable(address: string, cause: unknown): StoreUnavailableError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const advice = adviceFor(cause);
  if (cause instanceof Error) forgetArguments(cause);
  return new StoreUnavailableError(`Redis connection failed (${address}): ${why}${advice ? `; ${advice}` : ''}`, cause);
}

/** The client notes the command and its arguments on its errors: payloads, and with AUTH the password. No log may see them. */
function forgetArguments(error: Error): void {
  Reflect.deleteProperty(error, 'command');
}

/** One word for what failed: Redis's own (`OOM`, `MOVED`), or the network's (`ECONNREFUSED`). */
export function faultCode(error: unknown): string {
  if (!(error instanceof Error)) return 'UNKNOWN';
  const { code } = error as NodeJS.ErrnoException;
  if (typeof code === 'string') return code;
  if (error.message === 'Command timed out') return 'TIMEOUT';
  return /^[A-Z][A-Z]+\b/.exec(error.message)?.[0] ?? 'CLOSED';
}

/** Lets whoever repeats the call say so to the store's own listener. */
export function withRetries<E>(error: E, what: string, onRetry: OnRetry | undefined): E {
  if (onRetry && error instanceof StoreUnavailableError) {
    error.onRetry = (tried, waitMs) => onRetry(what, tried, waitMs, error.message);
  }
  return error;
}

/** Nothing is known of what became of the command. */
export function isConnectionError(error: Error): boolean {
  const { code, syscall } = error as NodeJS.ErrnoException;
  return (
    syscall !== undefined ||
    /^(E[A-Z]+|ERR_TLS|ERR_SSL|ERR_OSSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/.test(code ?? '') ||
    NO_CONNECTION.test(error.message)
  );
}
