/*
 * One call to a coordinator, repeated where that can do no harm. A call whose answer was lost may have taken effect, so
 * only the caller knows whether it may be repeated; everything else about failing is decided here. Connections are kept
 * alive by `fetch`; the gates bound how many there are.
 */
import { pause, type Runtime } from '../runtime/runtime.ts';
import { backoffMs } from '../store/patience.ts';
import { bytesOf } from './bytes.ts';
import { ResponseError, type ResponseFacts, UnreachableError } from './errors.ts';
import { Gate } from './gate.ts';

const TRIES = 4;
/** What a server may make a client wait before it asks again. */
export const RETRY_AFTER_MAX_MS = 10_000;
const ANSWER_WITHIN_MS = 30_000;
const REQUESTS_MAX = 64;
/** Waits for a task hold their connection; few systems let a process have more than 1,024 files open. */
const WAITS_MAX = 256;
const NO_CONTENT = 204;
/** One wait while others stand in line for its connection. */
const CROWDED_WAIT_MS = 250;

export interface Call {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** With its query; begins with a slash. */
  path: string;
  body?: unknown;
  /** Sent as it comes instead of `body`, with a `content-type` among the headers. */
  source?: AsyncIterable<string | Uint8Array>;
  /** Beside those that every call has. */
  headers?: Record<string, string>;
  /** Asking twice is the same as asking once. */
  repeatable: boolean;
  signal?: AbortSignal | undefined;
}

export interface Answer {
  status: number;
  body: unknown;
}

export interface HttpCallerOptions {
  /** Origin and perhaps a path before ours, without a slash at the end. */
  url: string;
  apiKey: string | null;
  fetch: typeof fetch;
  runtime: Runtime;
}

export class HttpCaller {
  readonly #options: HttpCallerOptions;
  readonly #requests = new Gate(REQUESTS_MAX);
  readonly #waits = new Gate(WAITS_MAX);

  constructor(options: HttpCallerOptions) {
    this.#options = options;
  }

  /** @throws ResponseError, UnreachableError, or the reason of the call's signal */
  async call(call: Call): Promise<Answer> {
    for (let tried = 1; ; tried++) {
      try {
        return await this.#requests.through(() => this.#once(call, ANSWER_WITHIN_MS));
      } catch (error) {
        const waitMs = tried < TRIES && call.repeatable ? this.#mayRepeatIn(error, tried) : null;
        if (waitMs === null) throw error;
        await pause(this.#options.runtime, waitMs, call.signal);
        call.signal?.throwIfAborted();
      }
    }
  }

  /** A call that the server answers within `waitMs` of its own; not repeated, for its caller asks again anyway. */
  wait(call: Call, waitMs: number, withWait: (path: string, waitMs: number) => string): Promise<Answer> {
    return this.#waits.through(() => {
      const ms = this.#waits.crowded ? Math.min(waitMs, CROWDED_WAIT_MS) : waitMs;
      return this.#once({ ...call, path: withWait(call.path, ms) }, ms + ANSWER_WITHIN_MS);
    });
  }

  /**
   * The text of an answer that goes on, piece by piece as it comes. One that is silent for `silenceMs` counts as cut off.
   *
   * @throws ResponseError, UnreachableError, or the reason of the call's signal
   */
  async *stream(call: Call, silenceMs: number): AsyncGenerator<string> {
    const { runtime, url } = this.#options;
    const silent = new AbortController();
    let cancel = () => {};
    const heard = () => {
      cancel();
      cancel = runtime.after(silenceMs, () => silent.abort());
    };
    try {
      heard();
      const signal = call.signal ? AbortSignal.any([silent.signal, call.signal]) : silent.signal;
      const response = await this.#request(call, signal);
      if (!response.ok) throw errorOf(response, parse(await response.text()), `${call.method} ${url}${call.path}`);
      const decoder = new TextDecoder();
      for await (const piece of response.body ?? []) {
        heard();
        yield decoder.decode(piece as Uint8Array, { stream: true });
      }
    } catch (error) {
      call.signal?.throwIfAborted();
      if (error instanceof ResponseError) throw error;
      const why = silent.signal.aborted ? `it was silent for ${silenceMs} ms` : whyOf(error);
      throw new UnreachableError(`cannot reach ${url}: ${why}`, error);
    } finally {
      cancel();
    }
  }

  async #once(call: Call, withinMs: number): Promise<Answer> {
    const late = new AbortController();
    const cancel = this.#options.runtime.after(withinMs, () => late.abort());
    try {
      return await this.#fetch(call, call.signal ? AbortSignal.any([late.signal, call.signal]) : late.signal);
    } catch (error) {
      call.signal?.throwIfAborted();
      if (error instanceof ResponseError) throw error;
      const why = late.signal.aborted ? `no answer within ${withinMs} ms` : whyOf(error);
      throw new UnreachableError(`cannot reach ${this.#options.url}: ${why}`, error);
    } finally {
      cancel();
    }
  }

  async #fetch(call: Call, signal: AbortSignal): Promise<Answer> {
    return read(await this.#request(call, signal), `${call.method} ${this.#options.url}${call.path}`);
  }

  #request({ method, path, body, source, headers: more }: Call, signal: AbortSignal): Promise<Response> {
    const { url, apiKey, fetch } = this.#options;
    const headers: Record<string, string> = { accept: 'application/json', ...more };
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (apiKey !== null) headers['x-api-key'] = apiKey;
    const text = body === undefined ? undefined : JSON.stringify(body);
    return fetch(url + path, {
      method,
      headers,
      // Node's fetch sends whatever can be iterated; the types know of the web's streams alone.
      ...(source ? { body: bytesOf(source) as unknown as ReadableStream, duplex: 'half' } : { body: text }),
      // A redirect could carry the key to another host.
      redirect: 'manual',
      signal,
    } as RequestInit);
  }

  #mayRepeatIn(error: unknown, tried: number): number | null {
    const passing = error instanceof UnreachableError || (error instanceof ResponseError && error.retryable);
    if (!passing) return null;
    const asked = error instanceof ResponseError ? error.retryAfterMs : undefined;
    return asked ?? backoffMs(tried, this.#options.runtime.random());
  }
}

async function read(response: Response, what: string): Promise<Answer> {
  const text = await response.text();
  const body = parse(text);
  if (response.ok && (body !== undefined || response.status === NO_CONTENT)) return { status: response.status, body };
  throw errorOf(response, body, what);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function errorOf(response: Response, body: unknown, what: string): ResponseError {
  const { code, message, details } = (body as { error?: Partial<ResponseFacts> } | undefined)?.error ?? {};
  if (typeof code !== 'string' || typeof message !== 'string') return strange(response, what);
  return new ResponseError(response.status, { code, message, details, retryAfterMs: retryAfterMs(response) });
}

/** A proxy, or something else altogether, listens there. */
function strange(response: Response, what: string): ResponseError {
  const { status, headers } = response;
  const type = headers.get('content-type')?.split(';')[0] ?? 'nothing';
  const where = headers.get('location');
  const found = where ? `a redirect to ${where}` : `status ${status} and ${type}`;
  const message = `${what} was answered with ${found}, not as agent-system does`;
  return new ResponseError(status, { code: 'UNEXPECTED_ANSWER', message, retryAfterMs: retryAfterMs(response) });
}

/** RFC 9110, 10.2.3, in seconds; a date is left to the usual pause, for the clocks may differ. */
function retryAfterMs({ headers }: Response): number | undefined {
  const text = headers.get('retry-after');
  return text && /^\d{1,6}$/.test(text) ? Math.min(Number(text) * 1_000, RETRY_AFTER_MAX_MS) : undefined;
}

const UNKNOWN_AUTHORITY =
  'its certificate is signed by an authority that is not known here (tls.ca, A2A_CA_PATH or --ca-file names it)';
const NO_TLS = 'it does not speak TLS, or none that fits: is it http:// instead?';

const WHY: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there (connection refused)',
  ECONNRESET: 'the connection was closed',
  UND_ERR_SOCKET: 'the connection was closed',
  ENOTFOUND: 'the host name is not known',
  EAI_AGAIN: 'the host name cannot be looked up now',
  EHOSTUNREACH: 'there is no route to the host',
  ETIMEDOUT: 'the connection timed out',
  UND_ERR_CONNECT_TIMEOUT: 'the connection timed out',
  EPROTO: NO_TLS,
  ERR_SSL_WRONG_VERSION_NUMBER: NO_TLS,
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name or address',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
};

function whyOf(error: unknown): string {
  const code = codeOf(error) ?? codeOf((error as { cause?: unknown }).cause);
  if (code) return WHY[code] ?? code;
  const { cause, message } = error as { cause?: { message?: string }; message?: string };
  return cause?.message ?? message ?? String(error);
}

/** Several addresses were tried for one name: the first failure speaks for all. */
function codeOf(error: unknown): string | undefined {
  const { code, errors } = (error ?? {}) as { code?: unknown; errors?: { code?: unknown }[] };
  const found = code ?? errors?.[0]?.code;
  return typeof found === 'string' ? found : undefined;
}
