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
  /** What is wrong, each for itself; nothing when the person knows already. */
  errors: string[];
  /** What to do about it. */
  hint?: string;
}

/** The one table from errors to exit codes and sentences. */
export function failureOf(error: unknown): Failure {
  if (error instanceof CommanderError) return { code: usageCode(error), errors: [] };
  if (error instanceof Interrupted) return { code: exitCodeOf(error.signal), errors: [] };
  if (error instanceof ConfigurationError) return { code: EXIT.configuration, errors: [...error.problems] };
  if (isUnreachable(error)) return { code: EXIT.unreachable, errors: [printable(error.message)], hint: HOW_TO_START };
  if (isRefusedAccess(error))
    return { code: EXIT.notAllowed, errors: [printable(error.message)], hint: howToBeLetIn(error) };
  if (error instanceof TaskCancelledError) return cancelled(error);
  if (error instanceof TaskFailedError) return failed(failedSentence(error));
  if (error instanceof WaitTimeoutError) return { code: EXIT.waitedTooLong, errors: [`${error.message}; it goes on`] };
  if (error instanceof AgentSystemError && AGENT_CODES.has(error.code))
    return { code: EXIT.configuration, errors: error.message.split('\n') };
  if (!isForPeople(error)) return unexpected(error);
  const hint = whatToDo(error);
  return hint === undefined ? failed(error.message) : { ...failed(error.message), hint };
}

export function tell(failure: Failure, err: (text: string) => void): void {
  for (const error of failure.errors) err(`error: ${error}\n`);
  if (failure.hint) err(`${failure.hint}\n`);
}

/** True when what failed for one thing will fail for every other: there is no point in going on. */
export function endsEverything(error: unknown): boolean {
  return error instanceof Interrupted || isUnreachable(error) || isRefusedAccess(error);
}

const HOW_TO_START =
  'start a system with "agent-system --role all", or say where one is with --url or AGENT_SYSTEM_URL';
const HOW_TO_FIND_AGENTS = '"agent-system agents list" shows the agents there are; a worker brings its own with AGENTS';
const HOW_TO_FORCE = 'to do it all the same, say it again with --force';

/** The sentence is the same for every caller; how the way out is spelt on a command line is known only here. */
function whatToDo(error: Error): string | undefined {
  if (!(error instanceof AgentSystemError)) return undefined;
  if (error.code === 'UNKNOWN_AGENT') return HOW_TO_FIND_AGENTS;
  return error.details?.forcible === true ? HOW_TO_FORCE : undefined;
}

/** A key that was taken, but may not do this, is not helped by being given again. */
function howToBeLetIn({ status, details }: ResponseError): string {
  if (status === 403)
    return 'use a key that may do this; "agent-system keys api" makes one for the API_KEYS_FILE of the system';
  if (details?.wanted === 'certificate')
    return 'name one with --cert-file and --key-file, or A2A_CERT_PATH and A2A_KEY_PATH';
  return 'give the key with --api-key or API_KEY';
}

/** AGENTS names a module that cannot be used: a wrong setting, though it shows only when the module is loaded. */
const AGENT_CODES = new Set(['AGENT_MODULE_REFUSED', 'AGENT_INVALID', 'AGENT_NAME_TAKEN', 'TOO_MANY_AGENTS']);

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

function cancelled({ task, message }: TaskCancelledError): Failure {
  return { code: EXIT.cancelled, errors: [printable(`task ${task.id} was cancelled: ${message}`)] };
}

function failedSentence({ task, code, message }: TaskFailedError): string {
  const attempts = task.attempt === 1 ? '1 attempt' : `${task.attempt} attempts`;
  return `task ${task.id} failed after ${attempts}: ${code}: ${message}`;
}

/** Parts of the sentence may come from a handler or a server: control characters must not reach the terminal. */
function failed(sentence: string): Failure {
  return { code: EXIT.failed, errors: [printable(sentence)] };
}

/** Errors with a code of ours, such as `not_a_folder`, are sentences for people; those of Node (`ENOENT`) are not. */
function isForPeople(error: unknown): error is Error {
  if (error instanceof AgentSystemError) return true;
  const { code } = (error ?? {}) as { code?: unknown };
  return error instanceof Error && typeof code === 'string' && /^[a-z_]+$/.test(code);
}

function unexpected(error: unknown): Failure {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: EXIT.failed, errors: [`this should not happen: ${text}`] };
}
