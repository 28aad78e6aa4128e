import { createReadStream } from 'node:fs';
import { access } from 'node:fs/promises';
import { AgentSystemError, ConfigurationError } from './errors.ts';
import { type RestoreOptions, type RestoreReport, restoreSnapshot } from './snapshot/restore.ts';

/**
 * For a start with `--restore`: the store must be empty, or hold what an earlier start began to restore from the same
 * file.
 *
 * @throws ConfigurationError when there is no such file, it is refused, or the store holds other tasks
 */
export async function restoreFile(
  path: string,
  options: Omit<RestoreOptions, 'force' | 'open'>,
): Promise<RestoreReport> {
  try {
    await access(path);
    return await restoreSnapshot({ ...options, force: false, open: () => createReadStream(path) });
  } catch (error) {
    if (error instanceof AgentSystemError && !error.retryable) throw refused(path, error.message);
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (syscall !== undefined) throw refused(path, `it cannot be read (${code})`);
    throw error;
  }
}

function refused(path: string, why: string): ConfigurationError {
  return new ConfigurationError([`--restore ${path}: ${why}`]);
}
