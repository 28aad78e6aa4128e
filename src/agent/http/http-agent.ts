/**
 * Agents in any language: `httpAgent` makes an ordinary agent whose attempts are handed to a URL. This is the protocol.
 *
 * Each attempt is one `POST` of a JSON object, on a connection of its own:
 *
 *     {"task":"…","agent":"summarize","method":"run","attempt":1,"input":…,"tenant":"…","session":"…","deadline":1760000000000}
 *
 * `deadline` is when the attempt is given up, in Unix milliseconds; tenant and session stand there when the task has them.
 * Headers:
 *
 *     content-type: application/json         accept: application/x-ndjson, application/json
 *     x-agent-system-task, -attempt          as in the body
 *     idempotency-key: <task>/<attempt>      the same attempt can come twice only from a worker that was cut off
 *     x-agent-system-timestamp, -id, -signature: v1=…    see net/request-signature.ts; signed when there is a secret
 *
 * It answers in one of these ways.
 * - 200 with JSON: the whole body is the result. 204: the result is null.
 * - 200 with `content-type: application/x-ndjson`: lines, each written as soon as there is something to say, such as
 *   `{"progress":0.4,"note":"page 2"}`, `{"log":"…","level":"warn","fields":{…}}`, `{"usage":{"inputTokens":100}}`, or an
 *   empty line as a sign of life. The last line is `{"result":…}` or `{"error":{code,message,retryable,retryAfterMs}}`;
 *   an answer that ends without it has failed as `http_incomplete` and is tried again.
 * - Any other status fails the attempt as `http_<status>`: to be tried again after 408, 425, 429 and 5xx, with
 *   Retry-After if there is one, and for good after the other 4xx. A body `{"error":{…}}` as above overrides all of it.
 *
 * A task that is cancelled, or whose time is over, closes the connection: whoever streams notices when writing fails.
 * Redirects are not followed. What leads to an address that is not public is refused as `http_forbidden_address` unless
 * it is allowed (see net/address-guard.ts), and the connection goes to the very address that was checked.
 */
import { validateHeaderName, validateHeaderValue } from 'node:http';
import type { z } from 'zod';
import { AgentSystemError } from '../../errors.ts';
import { ALLOW_ENTRY_WANTED, type AllowEntry, parseAllowEntry } from '../../net/address-guard.ts';
import type { Resolve } from '../../net/guarded-lookup.ts';
import { SIGNING_SECRET_BYTES_MIN, signatureHeaders } from '../../net/request-signature.ts';
import { type AgentContext, type AttemptContext, FACTS, RUNTIME } from '../context.ts';
import { type Agent, type AgentRetry, type AnyDefinition, DEFAULT_METHOD, defineAgent } from '../define-agent.ts';
import { type CallLimits, callAgent } from './call-agent.ts';

export interface HttpAgentOptions<In = unknown, Out = unknown> extends Partial<CallLimits> {
  name: string;
  /** http or https, without user and password. */
  url: string;
  version?: string;
  description?: string;
  /** At least 32 bytes, which the agent knows too: requests are signed with it. Default: not signed. */
  secret?: string | Uint8Array | null;
  /** Hosts, host:port, addresses and ranges (`10.0.0.0/8`) that may be called although they are not public. */
  allow?: readonly string[];
  /** Sent with each request, such as `authorization`. */
  headers?: Readonly<Record<string, string>>;
  /** Methods beside `run`; the body says which one is meant. */
  methods?: readonly string[];
  input?: z.ZodType<unknown, In>;
  output?: z.ZodType<Out>;
  timeoutMs?: number;
  retry?: AgentRetry;
  exclusive?: boolean;
  concurrency?: number;
  concurrencyPerKey?: number;
}

const DEFAULT_LIMITS: CallLimits = {
  connectTimeoutMs: 10_000,
  // Long, because an agent that does not stream begins to answer when it has ended.
  headersTimeoutMs: 300_000,
  silenceTimeoutMs: 60_000,
  answerBytesMax: 16 * 2 ** 20,
};
const REQUEST_ID_LENGTH = 26;
const HEADERS_MAX = 50;
const OWN_HEADER =
  /^(content-type|content-length|transfer-encoding|connection|host|accept|accept-encoding|idempotency-key|x-agent-system-.*)$/i;

/** @throws AgentSystemError with everything that is wrong with the options */
export function httpAgent<In = unknown, Out = unknown>(options: HttpAgentOptions<In, Out>): Agent<In, Out> {
  return makeHttpAgent(options) as Agent<In, Out>;
}

/** @param resolve asks for the addresses of a host name; by default the system does */
export function makeHttpAgent(options: HttpAgentOptions, resolve?: Resolve): Agent {
  const checked = check(options);
  const method = (name: string) => (input: unknown, ctx: AgentContext) =>
    callAgent(callOf({ ...checked, method: name, input, resolve }, ctx as AttemptContext), ctx);
  const { url, secret, allow, headers, methods = [], ...settings } = options;
  const definition: AnyDefinition = {
    ...settings,
    description: options.description ?? 'Runs outside of the system and is called by HTTP.',
    run: method(DEFAULT_METHOD),
    methods: Object.fromEntries(methods.map((name) => [name, { run: method(name) }])),
  };
  return defineAgent(definition as Parameters<typeof defineAgent>[0]);
}

interface Checked extends CallLimits {
  name: string;
  url: URL;
  allow: AllowEntry[];
  secret: string | Uint8Array | null;
  extraHeaders: Record<string, string>;
}

interface ToCall extends Checked {
  method: string;
  input: unknown;
  resolve: Resolve | undefined;
}

function callOf(call: ToCall, ctx: AttemptContext) {
  const runtime = ctx[RUNTIME];
  const { taskId: task, attempt } = ctx;
  const { tenant, session, deadlineAt: deadline } = ctx[FACTS];
  const { name: agent, method, input, secret, extraHeaders } = call;
  const body = Buffer.from(JSON.stringify({ task, agent, method, attempt, input, tenant, session, deadline }));
  const headers = {
    ...extraHeaders,
    'content-type': 'application/json',
    accept: 'application/x-ndjson, application/json',
    'accept-encoding': 'identity',
    'idempotency-key': `${task}/${attempt}`,
    'x-agent-system-task': task,
    'x-agent-system-attempt': String(attempt),
    ...signatureHeaders(secret, { now: runtime.now(), id: runtime.id(REQUEST_ID_LENGTH), body }),
  };
  return { ...call, headers, body, runtime };
}

function check(options: HttpAgentOptions): Checked {
  const { name, secret = null, allow = [], headers = {} } = options;
  const problems: string[] = [];
  const url = urlOf(options.url, problems);
  if (secret !== null && Buffer.byteLength(secret) < SIGNING_SECRET_BYTES_MIN) {
    problems.push(`\`secret\` has ${Buffer.byteLength(secret)} bytes, wanted at least ${SIGNING_SECRET_BYTES_MIN}.`);
  }
  const entries = allow.map((text) => parseAllowEntry(text) ?? text);
  const wrong = entries.filter((entry) => typeof entry === 'string');
  if (wrong.length > 0) problems.push(`\`allow\` has ${wrong.join(', ')}, wanted each as ${ALLOW_ENTRY_WANTED}.`);
  problems.push(...headerProblems(headers), ...limitProblems(options));
  if (problems.length > 0) {
    const message = problems.map((problem) => `The HTTP agent "${String(name)}": ${problem}`).join(' ');
    throw new AgentSystemError('AGENT_INVALID', message, { details: { problems } });
  }
  const allowed = entries.filter((entry) => typeof entry !== 'string');
  return { name, url, allow: allowed, secret, extraHeaders: lowerCased(headers), ...limitsOf(options) };
}

function urlOf(text: string, problems: string[]): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || !/^https?:$/.test(url.protocol)) {
    problems.push(`\`url\` is ${JSON.stringify(String(text).slice(0, 80))}, wanted an http or https URL.`);
  } else if (url.username !== '' || url.password !== '') {
    problems.push('`url` holds a user or password, which would be shown; put them into `headers.authorization`.');
  }
  return url ?? new URL('http://invalid/');
}

function headerProblems(headers: Readonly<Record<string, string>>): string[] {
  const entries = Object.entries(headers);
  if (entries.length > HEADERS_MAX) return [`\`headers\` has ${entries.length}, at most ${HEADERS_MAX} are sent.`];
  return entries.flatMap(([name, value]) => {
    if (OWN_HEADER.test(name)) return [`\`headers\` may not set ${name}, which the protocol sets.`];
    try {
      validateHeaderName(name);
      validateHeaderValue(name, value);
      return [];
    } catch {
      return [`\`headers\` has ${JSON.stringify(name)}, which HTTP does not allow in its name or value.`];
    }
  });
}

function limitsOf(options: HttpAgentOptions): CallLimits {
  const { connectTimeoutMs, headersTimeoutMs, silenceTimeoutMs, answerBytesMax } = options;
  return {
    connectTimeoutMs: connectTimeoutMs ?? DEFAULT_LIMITS.connectTimeoutMs,
    headersTimeoutMs: headersTimeoutMs ?? DEFAULT_LIMITS.headersTimeoutMs,
    silenceTimeoutMs: silenceTimeoutMs ?? DEFAULT_LIMITS.silenceTimeoutMs,
    answerBytesMax: answerBytesMax ?? DEFAULT_LIMITS.answerBytesMax,
  };
}

function limitProblems(options: HttpAgentOptions): string[] {
  return Object.entries(limitsOf(options))
    .filter(([, value]) => !(Number.isFinite(value) && value > 0))
    .map(([field, value]) => `\`${field}\` is ${String(value)}, wanted a number above 0.`);
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
