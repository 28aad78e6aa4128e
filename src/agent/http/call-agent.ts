/**
 * One request to an agent at a URL, from the look-up of its host to the end of its answer. Each step has its limit, and
 * the attempt's own end cuts every one of them short: the agent then sees its connection close.
 */
import { type ClientRequest, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { AllowEntry, Target } from '../../net/address-guard.ts';
import { permittedAddresses, pinnedLookup, type Resolve, type ResolvedAddress } from '../../net/guarded-lookup.ts';
import type { Runtime } from '../../runtime/runtime.ts';
import type { AgentContext } from '../context.ts';
import { type Answer, readAnswer } from './answer.ts';
import { badAnswer, HttpAgentError, incomplete, shownUrl } from './call-error.ts';
import { Patience } from './patience.ts';

export interface CallLimits {
  /** To resolve the host and to connect, TLS included. */
  connectTimeoutMs: number;
  /** From there to the headers of the answer. */
  headersTimeoutMs: number;
  /** Between two pieces of the answer. */
  silenceTimeoutMs: number;
  answerBytesMax: number;
}

export interface AgentCall extends CallLimits {
  url: URL;
  allow: readonly AllowEntry[];
  headers: Record<string, string>;
  body: Buffer;
  runtime: Runtime;
  resolve?: Resolve | undefined;
}

/** The agent's result. Rejects with an `HttpAgentError`, or with the reason for which the attempt was told to end. */
export async function callAgent(call: AgentCall, ctx: AgentContext): Promise<unknown> {
  const answer = await answerTo(call, ctx);
  if (answer.ok) return answer.result;
  throw answer.error;
}

async function answerTo(call: AgentCall, ctx: AgentContext): Promise<Answer> {
  ctx.signal.throwIfAborted();
  const patience = new Patience(call.runtime, ctx.signal);
  let request: ClientRequest | undefined;
  try {
    limit(call, patience, 'connectTimeoutMs', 'did not accept a connection');
    const addresses = await unlessAborted(addressesOf(call), patience.signal);
    request = open(call, addresses, patience);
    return await readAnswer(await responseOf(request, call), {
      ctx,
      runtime: call.runtime,
      from: nameOf(call),
      answerBytesMax: call.answerBytesMax,
      heard: () => limit(call, patience, 'silenceTimeoutMs', 'went silent: not a byte of its answer came'),
    });
  } catch (error) {
    request?.destroy();
    // Whatever broke because the call was ended is told by the reason for its end.
    throw patience.signal.aborted ? patience.signal.reason : error;
  } finally {
    patience.end();
  }
}

async function addressesOf({ url, allow, resolve }: AgentCall): Promise<ResolvedAddress[]> {
  const target = targetOf(url);
  const found = await permittedAddresses(target, allow, resolve).catch((error: unknown) => {
    throw unreachable(`the host ${target.host} cannot be resolved: ${reasonOf(error)}`, error);
  });
  if (found.ok) return found.addresses;
  throw forbidden(target, found.refused);
}

function open(call: AgentCall, addresses: ResolvedAddress[], patience: Patience): ClientRequest {
  const { url, headers, body } = call;
  const isTls = url.protocol === 'https:';
  const { host: hostname, port } = targetOf(url);
  const options: RequestOptions = {
    method: 'POST',
    protocol: url.protocol,
    hostname,
    port,
    path: `${url.pathname}${url.search}`,
    headers: { ...headers, 'content-length': String(body.length) },
    lookup: pinnedLookup(addresses),
    // A connection of its own: one that was kept could have been closed by the agent in the meantime, which would cost
    // an attempt, and it would be a second way past the guard.
    agent: false,
  };
  const request = (isTls ? httpsRequest : httpRequest)(options);
  request.once('socket', (socket) => {
    socket.once(isTls ? 'secureConnect' : 'connect', () => {
      limit(call, patience, 'headersTimeoutMs', 'did not begin to answer');
    });
  });
  patience.signal.addEventListener('abort', () => request.destroy(patience.signal.reason as Error));
  request.end(body);
  return request;
}

function responseOf(request: ClientRequest, call: AgentCall): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve);
    // Stays to the end: an error after the response must not end the process.
    request.on('error', (error) => reject(unreachable(`${nameOf(call)} cannot be reached: ${reasonOf(error)}`, error)));
    request.once('upgrade', (response, socket) => {
      socket.destroy();
      reject(badAnswer(`${nameOf(call)} answered with status ${response.statusCode}: wanted no other protocol`));
    });
    // Whatever else ends it without an answer: the attempt must not wait for one for ever.
    request.once('close', () => reject(incomplete(`${nameOf(call)} closed the connection without an answer`)));
  });
}

function limit(call: AgentCall, patience: Patience, by: Exclude<keyof CallLimits, 'answerBytesMax'>, what: string) {
  const ms = call[by];
  patience.within(ms, () => {
    return new HttpAgentError('http_timeout', `${nameOf(call)} ${what} within ${ms} ms`, { retryable: true });
  });
}

/** A look-up of the system cannot be ended; its answer is then left alone. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    work.then(resolve, reject);
  });
}

function targetOf(url: URL): Target {
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
  return { host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port };
}

function forbidden({ host, port }: Target, refused: { address: string; kind: string }[]): HttpAgentError {
  const [first] = refused;
  const found = first ? `leads to ${first.address}, which is a ${first.kind} address` : 'has no address';
  return new HttpAgentError(
    'http_forbidden_address',
    `the host ${host} ${found}: only addresses of the public internet are called, unless HTTP_AGENT_ALLOW ` +
      `(\`allow\` of httpAgent) names the host or its range, such as ${first?.address.includes(':') ? `[${host}]` : host}:${port}`,
    { retryable: false },
  );
}

function unreachable(message: string, cause: unknown): HttpAgentError {
  return new HttpAgentError('http_unreachable', message, { retryable: true, cause });
}

/** Of several addresses tried in turn, Node tells all failures in one error without a message. */
function reasonOf(error: unknown): string {
  const { message, code, errors } = error as { message?: string; code?: string; errors?: unknown[] };
  if (message) return message;
  return errors?.length ? reasonOf(errors[0]) : (code ?? String(error));
}

function nameOf({ url }: AgentCall): string {
  return `the agent at ${shownUrl(url)}`;
}
