import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { ClientTls } from '../client/tls-fetch.ts';
import type { TlsFiles } from '../config/load.ts';
import { codeOf } from '../config/sources.ts';
import { ConfigurationError } from '../errors.ts';

/** What a command needs to talk to a system over HTTPS; undefined where plain HTTP is spoken or no file is named. */
export function readTlsFiles(url: string, files: TlsFiles, cwd: string): ClientTls | undefined {
  const named = Object.entries(files).filter((file): file is [keyof TlsFiles, string] => Boolean(file[1]));
  if (!url.startsWith('https:') || named.length === 0) return undefined;
  return Object.fromEntries(named.map(([part, path]) => [part, read(part, resolve(cwd, path))]));
}

function read(part: keyof TlsFiles, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const name = part.toUpperCase();
    throw new ConfigurationError([
      `A2A_${name}_PATH or --${part}-file names ${path}, which cannot be read (${codeOf(error)})`,
    ]);
  }
}
