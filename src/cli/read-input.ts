import { createReadStream } from 'node:fs';
import { resolve } from 'node:path';
import type { Io } from './io.ts';
import { UsageError } from './usage-error.ts';

const INPUT_BYTES_MAX = 256 * 1024 * 1024;

/** The value of `--input`: JSON itself, `@FILE`, or `-` for stdin. */
export async function readInput(text: string, io: Io): Promise<unknown> {
  const source = openSource(text, io);
  if (source === null) return parsed(text, '--input');
  return parsed(await whole(source), source.name);
}

export interface Source {
  name: string;
  chunks: AsyncIterable<Uint8Array>;
}

/** Null: the text is the value itself. */
function openSource(text: string, io: Io): Source | null {
  if (text === '-') return { name: 'stdin', chunks: io.stdin() };
  return text.startsWith('@') ? fileSource(text.slice(1), io.cwd) : null;
}

export function fileSource(path: string, cwd: string): Source {
  if (path === '') throw new UsageError('--input @ names no file; wanted @FILE');
  return { name: path, chunks: createReadStream(resolve(cwd, path)) };
}

async function whole({ name, chunks }: Source): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of readable({ name, chunks })) {
    bytes += part.length;
    if (bytes > INPUT_BYTES_MAX)
      throw new UsageError(`${name} has more than ${INPUT_BYTES_MAX} bytes; no system takes that`);
    parts.push(part);
  }
  return Buffer.concat(parts)
    .toString('utf8')
    .replace(/^\ufeff/, '');
}

/** The chunks of a source; one that cannot be read is a usage error that names it. */
export async function* readable({ name, chunks }: Source): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new UsageError(`${name} cannot be read: ${whyUnusable(code)}`);
  }
}

/** What a code of the file system, such as `ENOENT`, means to a person. */
export function whyUnusable(code: string): string {
  return WHY[code] ?? code;
}

const WHY: Record<string, string> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'permission denied',
  EISDIR: 'it is a folder',
};

function parsed(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const hint = name === '--input' ? '; wanted JSON, @FILE, or - for stdin' : '';
    throw new UsageError(`${name} is not JSON: ${(error as Error).message}${hint}`);
  }
}
