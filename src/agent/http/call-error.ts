/** How a call to an agent at a URL failed, in the fields that `failureOf` reads. */
export class HttpAgentError extends Error {
  readonly code: string;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(
    code: string,
    message: string,
    options: { retryable: boolean; retryAfterMs?: number | undefined; cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'HttpAgentError';
    this.code = code;
    this.retryable = options.retryable;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The agent does not keep to the protocol, which another attempt would not mend. */
export function badAnswer(message: string): HttpAgentError {
  return new HttpAgentError('http_bad_answer', message, { retryable: false });
}

export function tooLarge(bytesMax: number): HttpAgentError {
  return new HttpAgentError('result_too_large', `the answer, or a line of it, has more than ${bytesMax} bytes`, {
    retryable: false,
  });
}

/** The connection ended before the answer did: nobody knows what the agent has done. */
export function incomplete(what: string, cause?: unknown): HttpAgentError {
  return new HttpAgentError('http_incomplete', what, { retryable: true, cause });
}

/** Without user, password and query, which may be secrets. */
export function shownUrl(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

/** The first part of a text from outside, on one line. */
export function excerpt(text: string, lengthMax = 200): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > lengthMax ? `${line.slice(0, lengthMax - 1)}…` : line;
}
