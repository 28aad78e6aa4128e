/** A file of message keys as the commands change it: never half written, never readable by more people than before. */
import { type FileHandle, open, readFile, realpath, rename, stat, unlink } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type KeyList, parseKeyList } from '../config/key-list.ts';
import { AgentSystemError, ConfigurationError } from '../errors.ts';
import { UsageError } from './usage-error.ts';

export interface KeyFile extends KeyList {
  text: string;
}

const NEW_FILE_MODE = 0o600;

/** @throws UsageError when there is none, ConfigurationError when it is no list of keys */
export async function readKeyFile(path: string, cwd: string): Promise<KeyFile> {
  const file = await readIfThere(resolve(cwd, path), path);
  if (file !== null) return file;
  throw new UsageError(
    `${path} cannot be read: there is no such file, or an empty one; make it with: keys rotate --keys-file ${path}`,
  );
}

/**
 * Puts the text that `change` answers in the place of the file, or of nothing (it is then given null). The new file is
 * written beside it and takes its name when it is on the disk; its own name is the lock between two commands at once.
 */
export async function changeKeyFile(
  path: string,
  cwd: string,
  change: (file: KeyFile | null) => string,
): Promise<KeyFile> {
  const named = resolve(cwd, path);
  // Behind a link the file itself is replaced, not the link.
  const target = await realpath(named).catch(() => named);
  const beside = `${target}.new`;
  const handle = await openNew(beside, path);
  try {
    const text = change(await readIfThere(target, path));
    await writeLike(handle, target, text);
    await rename(beside, target);
    return { text, ...parsed(text, path) };
  } catch (error) {
    await unlink(beside).catch(() => undefined);
    throw asRefusal(error, path);
  } finally {
    await handle.close();
  }
}

/** Permissions of a file that others can read; null when only its owner (and its group) can. */
export async function looseMode(path: string, cwd: string): Promise<string | null> {
  const { mode } = await stat(resolve(cwd, path));
  return (mode & 0o007) === 0 ? null : (mode & 0o777).toString(8);
}

async function openNew(beside: string, path: string): Promise<FileHandle> {
  return open(beside, 'wx', NEW_FILE_MODE).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw asRefusal(error, path);
    throw new AgentSystemError(
      'KEY_FILE_BUSY',
      `${beside} exists: another command changes ${path} now, or one was killed; remove it if none is running`,
    );
  });
}

/** With the owner and the permissions of the file that it replaces: whoever reads that one must be able to read on. */
async function writeLike(handle: FileHandle, target: string, text: string): Promise<void> {
  const old = await stat(target).catch(() => null);
  const own = await handle.stat();
  if (old !== null && (old.uid !== own.uid || old.gid !== own.gid)) await handle.chown(old.uid, old.gid);
  if (old !== null) await handle.chmod(old.mode & 0o777);
  await handle.writeFile(text);
  await handle.sync();
}

async function readIfThere(target: string, path: string): Promise<KeyFile | null> {
  try {
    const text = await readFile(target, 'utf8');
    // As whoever wants certain permissions from the start makes it.
    return text === '' ? null : { text, ...parsed(text, path) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw asRefusal(error, path);
  }
}

function parsed(text: string, path: string): KeyList {
  const problems: string[] = [];
  const list = parseKeyList(text, path, (problem) => problems.push(problem));
  if (problems.length > 0) throw new ConfigurationError(problems);
  return list;
}

function asRefusal(error: unknown, path: string): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) return error;
  return new AgentSystemError('KEY_FILE_REFUSED', `${path} cannot be changed or read (${code} in ${syscall})`, {
    cause: error,
  });
}
