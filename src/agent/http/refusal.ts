import { isErrorCode } from '../errors.ts';
import { excerpt, HttpAgentError } from './call-error.ts';
import { isRecord } from './stream-line.ts';

/** Of the 4xx, those that say "not now". Every 5xx may be over the next time. */
const RETRYABLE_STATUS = [408, 425, 429];

/** What an answer that refuses says about itself. */
export interface Refusal {
  /** The agent, as messages name it. */
  from: string;
  status: number;
  statusText: string;
  retryAfter: string | undefined;
  location: string | undefined;
  body: string;
  /** Local wall clock, for a Retry-After that names a date. */
  now: number;
}

/** The failure that a status other than 200 and 204 means, as far as the body says nothing else. */
export function refused(refusal: Refusal): HttpAgentError {
  const { from, status, statusText, location, body } = refusal;
  const answered = `${from} answered ${status}${statusText ? ` ${statusText}` : ''}`;
  if (status >= 300 && status < 400) return redirected(answered, location);
  const message = body.trim() === '' ? answered : `${answered}: ${excerpt(body)}`;
  const retryable = RETRYABLE_STATUS.includes(status) || status >= 500;
  const retryAfterMs = retryAfterOf(refusal.retryAfter, refusal.now);
  return failureOf(errorIn(body), { code: `http_${status}`, message, retryable, retryAfterMs });
}

/** The failure in `{"error":{code,message,retryable,retryAfterMs}}`; `otherwise` stands in for what it leaves out. */
export function failureOf(
  error: unknown,
  otherwise: { code: string; message: string; retryable: boolean; retryAfterMs?: number | undefined },
): HttpAgentError {
  const { code, message, retryable, retryAfterMs } = isRecord(error) ? error : { message: error };
  return new HttpAgentError(
    isErrorCode(code) ? code : otherwise.code,
    typeof message === 'string' && message !== '' ? message : otherwise.message,
    {
      retryable: typeof retryable === 'boolean' ? retryable : otherwise.retryable,
      retryAfterMs: isDuration(retryAfterMs) ? retryAfterMs : otherwise.retryAfterMs,
    },
  );
}

/** Not followed: the place it names was not checked, and the request with its signature was not meant for it. */
function redirected(answered: string, location: string | undefined): HttpAgentError {
  const where = location === undefined ? 'nowhere' : excerpt(location.replace(/[?#].*$/s, ''));
  const message = `${answered}, which leads to ${where}; redirects are not followed, configure the URL they lead to`;
  return new HttpAgentError('http_redirected', message, { retryable: false });
}

function errorIn(body: string): unknown {
  try {
    const parsed: unknown = JSON.parse(body);
    return isRecord(parsed) && isRecord(parsed.error) ? parsed.error : undefined;
  } catch {
    return undefined;
  }
}

/** Retry-After is seconds or a date (RFC 9110). */
function retryAfterOf(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text.trim())) return Number(text) * 1_000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

function isDuration(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}
