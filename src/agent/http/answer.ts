/**
 * Makes a result or a failure of an agent's answer: one JSON value, a stream of lines, or a status that refuses. What
 * each means is said in `http-agent.ts`.
 */
import type { IncomingMessage } from 'node:http';
import type { Runtime } from '../../runtime/runtime.ts';
import type { AgentContext } from '../context.ts';
import { badAnswer, excerpt, HttpAgentError, incomplete, tooLarge } from './call-error.ts';
import { linesOf, wholeOf } from './lines.ts';
import { failureOf, refused } from './refusal.ts';
import { readLine, type StreamLine } from './stream-line.ts';

export interface Reading {
  readonly ctx: AgentContext;
  readonly runtime: Runtime;
  /** The agent, as messages name it. */
  readonly from: string;
  /** Of a JSON answer, or of one line of a stream. */
  readonly answerBytesMax: number;
  /** Something has come. */
  readonly heard: () => void;
}

/** Of all lines together: a stream without an end must have one, also where no timeout makes it. */
export const STREAM_BYTES_MAX = 256 * 2 ** 20;
export const LOG_LINES_MAX = 1_000;
const REFUSAL_BYTES_MAX = 64 * 1024;
/** How long an agent that has given its last line may take to end its answer. */
const CLOSING_MS = 1_000;
const STREAM_TYPES = ['application/x-ndjson', 'application/ndjson', 'application/jsonl'];

/** What the agent has said, be it that it failed. Whatever keeps it from saying so rejects. */
export type Answer = { ok: true; result: unknown } | { ok: false; error: HttpAgentError };

export async function readAnswer(response: IncomingMessage, reading: Reading): Promise<Answer> {
  // A connection that breaks while nobody reads is told to whoever reads next; here it must only not end the process.
  response.on('error', () => undefined);
  const answer = await readByStatus(response, reading);
  leave(response, reading.runtime);
  return answer;
}

async function readByStatus(response: IncomingMessage, reading: Reading): Promise<Answer> {
  const { statusCode: status } = response;
  if (status === 204) return { ok: true, result: null };
  if (status !== 200) return { ok: false, error: await readRefusal(response, reading) };
  const encoding = response.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') throw badAnswer(`${reading.from} encoded its answer (${encoding}); none was asked for`);
  return STREAM_TYPES.includes(mediaTypeOf(response)) ? readStream(response, reading) : readJson(response, reading);
}

async function readJson(response: IncomingMessage, reading: Reading): Promise<Answer> {
  const { from, answerBytesMax } = reading;
  const text = await wholeOf(chunksOf(response, reading, answerBytesMax), answerBytesMax);
  try {
    return { ok: true, result: JSON.parse(text) };
  } catch {
    const type = mediaTypeOf(response) || 'something without a content type';
    throw badAnswer(`${from} answered ${type} that is not JSON: ${excerpt(text) || 'an empty body'}`);
  }
}

async function readStream(response: IncomingMessage, reading: Reading): Promise<Answer> {
  const { from, ctx, answerBytesMax } = reading;
  let count = 0;
  let logged = 0;
  for await (const text of linesOf(chunksOf(response, reading, STREAM_BYTES_MAX), answerBytesMax)) {
    count += 1;
    // An empty line is a heartbeat: it only says that the agent lives.
    if (text.trim() === '') continue;
    const where = `line ${count} of the answer of ${from}`;
    const line = readLine(text, where);
    if (line.kind === 'result') return { ok: true, result: line.result };
    if (line.kind === 'error') return { ok: false, error: agentFailed(line.error, from) };
    if (line.log) logged += 1;
    report(line, { ctx, where, logged });
  }
  throw incomplete(`${from} ended its answer after ${count} lines without a result or an error`);
}

function report(
  { progress, note, usage, log }: Extract<StreamLine, { kind: 'report' }>,
  { ctx, where, logged }: { ctx: AgentContext; where: string; logged: number },
): void {
  if (progress !== undefined) ctx.progress(progress, note);
  if (log && logged <= LOG_LINES_MAX) ctx.log[log.level](log.message, log.fields);
  if (log && logged === LOG_LINES_MAX) ctx.log.warn('Further log lines of this attempt are left out', { logged });
  try {
    if (usage) ctx.usage(usage);
  } catch (error) {
    throw badAnswer(`${where} has a wrong usage: ${(error as Error).message}`);
  }
}

function agentFailed(error: unknown, from: string): HttpAgentError {
  return failureOf(error, { code: 'handler_error', message: `${from} failed without a message`, retryable: true });
}

async function readRefusal(response: IncomingMessage, reading: Reading): Promise<HttpAgentError> {
  const { statusCode: status = 0, statusMessage: statusText = '', headers } = response;
  // The status is the answer; a body that is cut off or too long only leaves it without an explanation.
  const body = await wholeOf(chunksOf(response, reading, REFUSAL_BYTES_MAX), REFUSAL_BYTES_MAX).catch(() => '');
  const { 'retry-after': retryAfter, location } = headers;
  return refused({ from: reading.from, status, statusText, retryAfter, location, body, now: reading.runtime.now() });
}

/** The bytes of the body. Leaving the loop does not close the connection: see `leave`. */
async function* chunksOf(
  response: IncomingMessage,
  { from, heard }: Reading,
  bytesMax: number,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  try {
    for await (const chunk of response.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      heard();
      bytes += chunk.length;
      if (bytes > bytesMax) throw tooLarge(bytesMax);
      yield chunk;
    }
  } catch (error) {
    if (error instanceof HttpAgentError) throw error;
    throw incomplete(`the connection to ${from} was cut after ${bytes} bytes of its answer`, error);
  }
}

/**
 * All has been said, but the agent may still have to end its answer: a connection closed in its face would look to it
 * like a cancel. One that does not end is cut.
 */
function leave(response: IncomingMessage, runtime: Runtime): void {
  if (response.closed) return;
  const clear = runtime.after(CLOSING_MS, () => response.destroy());
  response.once('close', clear);
  response.resume();
}

function mediaTypeOf(response: IncomingMessage): string {
  return (response.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase();
}
