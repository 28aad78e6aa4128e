import type { FastifyError } from 'fastify';
import { AgentSystemError } from '../errors.ts';

/** The one table from error codes to HTTP: every code that may reach a caller stands here. */
const STATUS: Record<string, number> = {
  BAD_REQUEST: 400,
  SNAPSHOT_REFUSED: 400,
  UNKNOWN_METHOD: 400,
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  UNKNOWN_AGENT: 404,
  METHOD_NOT_ALLOWED: 405,
  REQUEST_TIMEOUT: 408,
  DURABILITY_UNSUPPORTED: 409,
  KEY_CONFLICT: 409,
  SCHEDULE_EXISTS: 409,
  AMBIGUOUS: 409,
  TOO_MANY_SCHEDULES: 409,
  SNAPSHOT_UNDER_WAY: 409,
  STATE_CONFLICT: 409,
  STORE_NOT_EMPTY: 409,
  WRONG_STATE: 409,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  RATE_LIMITED: 429,
  TOO_MANY_REQUIREMENTS: 429,
  HEADERS_TOO_LARGE: 431,
  COMMIT_REFUSED: 500,
  INTERNAL: 500,
  DURABILITY_UNAVAILABLE: 503,
  QUEUE_FULL: 503,
  NO_ROOM: 503,
  SHUTTING_DOWN: 503,
  SNAPSHOT_FELL_BEHIND: 503,
  STORE_FULL: 503,
  STORE_UNAVAILABLE: 503,
  TOO_MANY_STREAMS: 503,
  TOO_MANY_WAITS: 503,
};

const RETRY_AFTER_S = 1;

export interface ErrorBody {
  error: { code: string; message: string; details?: Record<string, unknown> };
}

export interface ErrorReply {
  status: number;
  /** Seconds; set with 429 and 503. */
  retryAfterS?: number;
  body: ErrorBody;
}

/** What a caller is told of `error`. What is not ours is told as INTERNAL alone: its text may hold anything. */
export function errorReplyOf(error: unknown): ErrorReply {
  if (!(error instanceof AgentSystemError)) {
    return {
      status: 500,
      body: bodyOf('INTERNAL', 'the request failed for a reason that stands in the log of this process'),
    };
  }
  const status = STATUS[error.code] ?? (error.retryable ? 503 : 500);
  const reply: ErrorReply = { status, body: bodyOf(error.code, error.message, error.details) };
  if (status === 429 || status === 503) reply.retryAfterS = retryAfterS(error);
  return reply;
}

function retryAfterS({ details }: AgentSystemError): number {
  const ms = details?.retryAfterMs;
  return typeof ms === 'number' ? Math.max(1, Math.ceil(ms / 1_000)) : RETRY_AFTER_S;
}

function bodyOf(code: string, message: string, details?: Record<string, unknown>): ErrorBody {
  return { error: details ? { code, message, details } : { code, message } };
}

/**
 * The server framework's own refusals in our words; everything else as it is.
 *
 * @param bodyLimit bytes, of the route that was asked
 */
export function fromFramework(error: unknown, bodyLimit: number): unknown {
  if (error instanceof AgentSystemError) return error;
  const { code, statusCode, message } = error as Partial<FastifyError>;
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new AgentSystemError(
        'PAYLOAD_TOO_LARGE',
        `the body has more than the ${bodyLimit} bytes that are taken here`,
        {
          details: { max: bodyLimit },
        },
      );
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return unsupportedMediaType('the body has no content type, or one that is not taken here');
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new AgentSystemError('BAD_REQUEST', 'the body has another length than Content-Length says');
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new AgentSystemError(
        'NOT_FOUND',
        'there is nothing at this path: a part of it is longer than any name here',
      );
    case 'FST_ERR_BAD_URL':
      return new AgentSystemError(
        'BAD_REQUEST',
        'the path is not valid: a % must be followed by two hexadecimal digits',
      );
  }
  // A client that broke off while it sent its body: nobody reads this answer, but it is no fault of ours either.
  if (statusCode === 400) return new AgentSystemError('BAD_REQUEST', message ?? 'the request was broken off');
  return error;
}

export function unsupportedMediaType(found: string): AgentSystemError {
  return new AgentSystemError(
    'UNSUPPORTED_MEDIA_TYPE',
    `${found}; send JSON in UTF-8 with Content-Type: application/json`,
  );
}

/** The answer to bytes that are not HTTP, for the bare socket: no route was found yet, so no framework stands behind it. */
export function rawReplyTo(error: { code?: string }): string {
  const { status, body } = errorReplyOf(protocolError(error.code));
  const text = JSON.stringify(body);
  const head = `HTTP/1.1 ${status} ${REASON[status]}\r\ncontent-type: application/json; charset=utf-8`;
  return `${head}\r\ncontent-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`;
}

const REASON: Record<number, string> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
};

function protocolError(code: string | undefined): AgentSystemError {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new AgentSystemError('HEADERS_TOO_LARGE', 'the headers are larger than 16 KiB');
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new AgentSystemError('REQUEST_TIMEOUT', 'the request did not arrive in time');
  }
  return new AgentSystemError('BAD_REQUEST', 'what arrived is not a valid HTTP/1.1 request');
}
