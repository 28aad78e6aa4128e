import { CommanderError } from 'commander';
import { describe, expect, it } from 'vitest';
import { endsEverything, failureOf } from '../../src/cli/failure.ts';
import { Interrupted } from '../../src/cli/io.ts';
import {
  ResponseError,
  TaskCancelledError,
  TaskFailedError,
  UnreachableError,
  WaitTimeoutError,
} from '../../src/client/errors.ts';
import { FileError } from '../../src/demo/file-error.ts';
import { AgentSystemError, ConfigurationError } from '../../src/errors.ts';
import { viewOf } from '../../src/task/view.ts';
import { aTask } from '../support/builders.ts';

const FAILED = {
  ...viewOf(aTask({ state: 'failed' }), 'memory'),
  error: { code: 'handler_error', message: 'no \u001b[1mpaper', retryable: true },
};
const response = (status: number, code: string) => new ResponseError(status, { code, message: 'said so' });

describe('the exit code', () => {
  it.each<[string, unknown, number]>([
    ['help that was asked for', new CommanderError(0, 'commander.helpDisplayed', ''), 0],
    ['help instead of a command', new CommanderError(1, 'commander.help', ''), 2],
    ['a wrong flag', new CommanderError(1, 'commander.unknownOption', ''), 2],
    ['Ctrl-C', new Interrupted('SIGINT'), 130],
    ['SIGTERM', new Interrupted('SIGTERM'), 143],
    ['a wrong setting', new ConfigurationError(['a', 'b']), 78],
    ['an agent module that cannot be loaded', new AgentSystemError('AGENT_MODULE_REFUSED', 'x'), 78],
    ['no system there', new UnreachableError('cannot reach it'), 69],
    ['something else there', response(200, 'UNEXPECTED_ANSWER'), 69],
    ['no key', response(401, 'UNAUTHORIZED'), 77],
    ['a key that may not', response(403, 'FORBIDDEN'), 77],
    ['not found', response(404, 'NOT_FOUND'), 1],
    ['a full queue', response(503, 'QUEUE_FULL'), 1],
    ['a failed task', new TaskFailedError(FAILED), 1],
    ['a cancelled task', new TaskCancelledError({ ...FAILED, state: 'cancelled' }), 3],
    ['a wait that was too short', new WaitTimeoutError(FAILED, 5), 4],
    ['a folder that is none', new FileError('not_a_folder', 'x'), 1],
    ['a defect', new TypeError('x is not a function'), 1],
  ])('of %s', (_what, error, code) => {
    expect(failureOf(error).code).toBe(code);
  });

  it('comes with each problem of a configuration by itself', () => {
    expect(failureOf(new ConfigurationError(['a', 'b'])).errors).toEqual(['a', 'b']);
  });

  it('comes with what to do when no system is there, it lets nobody in, or the agent is unknown', () => {
    expect(failureOf(new UnreachableError('x')).hint).toContain('agent-system --role all');
    expect(failureOf(response(401, 'UNAUTHORIZED')).hint).toContain('--api-key');
    expect(failureOf(response(404, 'UNKNOWN_AGENT')).hint).toContain('agent-system agents list');
    expect(failureOf(response(404, 'NOT_FOUND')).hint).toBeUndefined();
  });

  it('comes with a sentence that cannot move the cursor', () => {
    expect(failureOf(new TaskFailedError(FAILED)).errors[0]).toMatch(
      /after 1 attempt: handler_error: no \\u001b\[1mpaper$/,
    );
  });

  it('shows where a defect is', () => {
    expect(failureOf(new TypeError('x')).errors[0]).toMatch(/^this should not happen: TypeError: x\n\s+at /);
    const nodes = Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
    expect(failureOf(nodes).errors[0]).toMatch(/^this should not happen/);
  });

  it('ends the whole command for what will fail for everything', () => {
    const all = [new UnreachableError('x'), response(401, 'UNAUTHORIZED'), new Interrupted('SIGINT')];
    expect(all.every(endsEverything)).toBe(true);
    expect(endsEverything(response(404, 'NOT_FOUND'))).toBe(false);
  });
});
