/*
 * The message key of an embedded store that was given none. With a journal it is kept beside it: tasks that were sealed
 * before a restart must verify after it.
 */
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigurationError } from './errors.ts';
import { SECRET_BYTES_MIN } from './message/keys.ts';

const NAME = 'message-key';
/** Not that of a key that is given: what was sealed under the one is of an unknown key, not a forgery, under the other. */
export const KEPT_GENERATION = 'kept';

/**
 * The key that is kept in `folder`, which is `fresh` where there is none yet.
 * @throws ConfigurationError when it cannot be read or kept
 */
export async function keptKey(folder: string, fresh: Uint8Array): Promise<string> {
  const path = join(folder, NAME);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await keepUnlessThere(path, `${Buffer.from(fresh).toString('base64url')}\n`);
    return checked(path, (await readFile(path, 'utf8')).trim());
  } catch (error) {
    if (error instanceof ConfigurationError) throw error;
    const { code = String(error) } = error as NodeJS.ErrnoException;
    throw new ConfigurationError([`DATA_DIR ${folder} cannot be used (${code}), wanted a folder to read and write`]);
  }
}

/** Under its name it stands whole or not at all, whoever else starts or stops at the same moment. */
async function keepUnlessThere(path: string, text: string): Promise<void> {
  const draft = `${path}.${process.pid}.new`;
  try {
    await writeFile(draft, text, { mode: 0o600, flush: true });
    await link(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

function checked(path: string, key: string): string {
  if (/^[A-Za-z0-9_-]+$/.test(key) && Buffer.from(key, 'base64url').length >= SECRET_BYTES_MIN) return key;
  throw new ConfigurationError([
    `${path} holds no message key: put the file back that stood there; tasks sealed under another key are not run`,
  ]);
}
