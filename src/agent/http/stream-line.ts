import type { AttemptUsage, LogLevel } from '../context.ts';
import { badAnswer, excerpt } from './call-error.ts';

/** One line of a streamed answer. The last one is a result or an error; those before it report. */
export type StreamLine =
  | { kind: 'result'; result: unknown }
  | { kind: 'error'; error: unknown }
  | { kind: 'report'; progress?: number; note?: string; usage?: AttemptUsage; log?: LogLine };

export interface LogLine {
  level: LogLevel;
  message: string;
  fields: Record<string, unknown> | undefined;
}

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];
const LOG_MESSAGE_MAX = 2_000;

/**
 * Fields that are not known are left out, so that an agent may be newer than the system.
 * @param where which line of whose answer, for the message of a refusal
 */
export function readLine(text: string, where: string): StreamLine {
  const line = parse(text);
  if (!isRecord(line)) throw badAnswer(`${where} is ${excerpt(text)}, wanted a JSON object`);
  if (Object.hasOwn(line, 'result')) return { kind: 'result', result: line.result };
  if (Object.hasOwn(line, 'error')) return { kind: 'error', error: line.error };
  const { progress, note, usage, log } = line;
  const refuse = (field: string, found: unknown, wanted: string) => {
    throw badAnswer(`${where} has ${field} ${excerpt(JSON.stringify(found))}, wanted ${wanted}`);
  };
  if (progress !== undefined && typeof progress !== 'number') refuse('progress', progress, 'a number from 0 to 1');
  if (note !== undefined && typeof note !== 'string') refuse('note', note, 'a text');
  if (usage !== undefined && !isRecord(usage)) refuse('usage', usage, 'an object such as {"inputTokens":100}');
  if (log !== undefined && typeof log !== 'string') refuse('log', log, 'a text');
  return {
    kind: 'report',
    progress: progress as number | undefined,
    note: note as string | undefined,
    usage: usage as AttemptUsage | undefined,
    log: log === undefined ? undefined : logLine(log as string, line),
  };
}

function logLine(message: string, { level, fields }: Record<string, unknown>): LogLine {
  return {
    level: LEVELS.find((known) => known === level) ?? 'info',
    message: excerpt(message, LOG_MESSAGE_MAX),
    fields: isRecord(fields) ? fields : undefined,
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
