import { CommanderError } from 'commander';
import {
  ResponseError,
  TaskCancelledError,
  TaskFailedError,
  UnreachableError,
  WaitTimeoutError,
} from '../client/errors.ts';
import { AgentSystemError, ConfigurationError } from '../errors.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { Interrupted } from './io.ts';
import { printable } from './text-width.ts';

export interface Failure {
  code: number;
  /** For stderr; a command that was told everything already has none. */
  lines: string[];
}

/** The one table from errors to exit codes and sentences. */
export function failureOf(error: unknown): Failure {
  if (error instanceof CommanderError) return { code: usageCode(error), lines: [] };
  if (error instanceof ConfigurationError) return { code: EXIT.configuration, lines: [...error.problems] };
  if (error instanceof Interrupted) return { code: exitCodeOf(error.signal), lines: [] };
  if (isUnreachable(error)) return { code: EXIT.unreachable, lines: [error.message, HOW_TO_START] };
  if (isRefusedAccess(error)) return { code: EXIT.notAllowed, lines: [error.message, HOW_TO_BE_LET_IN] };
  if (error instanceof TaskCancelledError)
    return said(EXIT.cancelled, `task ${error.task.id} was cancelled: ${error.message}`);
  if (error instanceof TaskFailedError) return said(EXIT.failed, failedSentence(error));
  if (error instanceof WaitTimeoutError) return said(EXIT.waitedTooLong, `${error.message}; it goes on`);
  if (error instanceof AgentSystemError) return said(EXIT.failed, error.message);
  return { code: EXIT.failed, lines: isForPeople(error) ? [error.message] : unexpected(error) };
}

/** True when what failed for one thing will fail for every other: there is no point in going on. */
export function endsEverything(error: unknown): boolean {
  return error instanceof Interrupted || isUnreachable(error) || isRefusedAccess(error);
}

const HOW_TO_START =
  'start a system with "agent-system --role all", or say where one is with --url or AGENT_SYSTEM_URL';
const HOW_TO_BE_LET_IN = 'give the key with --api-key or API_KEY';

/** The parser has said what is wrong itself. Help that was asked for is no error, help instead of a command is. */
function usageCode({ exitCode }: CommanderError): number {
  return exitCode === 0 ? EXIT.ok : EXIT.usage;
}

function isUnreachable(error: unknown): error is AgentSystemError {
  if (error instanceof UnreachableError) return true;
  return error instanceof ResponseError && error.code === 'UNEXPECTED_ANSWER';
}

function isRefusedAccess(error: unknown): error is ResponseError {
  return error instanceof ResponseError && (error.status === 401 || error.status === 403);
}

function failedSentence({ task, code, message }: TaskFailedError): string {
  const attempts = task.attempt === 1 ? '1 attempt' : `${task.attempt} attempts`;
  return `task ${task.id} failed after ${attempts}: ${code}: ${message}`;
}

function said(code: number, sentence: string): Failure {
  // Parts of it may come from a handler: control characters must not reach the terminal.
  return { code, lines: [printable(sentence)] };
}

/** Errors with a code of ours (`not_a_folder`) are sentences for people; those of Node (`ENOENT`) are not. */
function isForPeople(error: unknown): error is Error {
  return error instanceof Error && /^[a-z_]+$/.test(String((error as { code?: unknown }).code));
}

function unexpected(error: unknown): string[] {
  return ['this should not happen:', error instanceof Error ? (error.stack ?? error.message) : String(error)];
}
