/**
 * Who may call a process while it runs: the keys, public keys and certificates that its files name, read again when they
 * change. A file that cannot be used, because somebody is just writing it or made a slip, changes nothing: locking
 * everybody out, or letting somebody in, must be meant.
 */
import { isDeepStrictEqual } from 'node:util';
import { ApiKeys } from './api/api-keys.ts';
import type { AccessParts } from './api/auth.ts';
import { Tokens } from './api/tokens.ts';
import { type TlsPem, tlsFaults } from './config/access-settings.ts';
import { API_KEYS_BYTES_MAX, readApiKeys } from './config/api-keys.ts';
import { JWKS_BYTES_MAX, readJwks } from './config/jwks.ts';
import type { Config } from './config/load.ts';
import { watchFiles } from './config/watch-files.ts';
import type { Observe } from './runtime/observer.ts';
import type { Runtime } from './runtime/runtime.ts';

const PEM_BYTES_MAX = 1024 * 1024;

export function openAccess({ access }: Config, { now }: Runtime): AccessParts {
  const { apiKey, metricsToken, apiKeys, jwt } = access;
  return {
    apiKey,
    metricsToken,
    apiKeys: apiKeys && new ApiKeys(apiKeys.keys),
    tokens: jwt && new Tokens({ ...jwt, now }),
  };
}

export interface AccessWatch {
  config: Config;
  parts: AccessParts;
  /** Serves with another certificate from now on. */
  replaceTls: (pem: TlsPem) => void;
  runtime: Runtime;
  signal: AbortSignal;
  observe: Observe;
}

/** Until the signal aborts. */
export function watchAccess(watch: AccessWatch): void {
  const { config, parts } = watch;
  const { apiKeys, jwt } = config.access;
  if (apiKeys) {
    follow(watch, [apiKeys.file], API_KEYS_BYTES_MAX, ([text]) => {
      const read = readApiKeys(text!);
      if ('problems' in read) return read.problems;
      parts.apiKeys?.replace(read.keys);
      return [];
    });
  }
  if (jwt) {
    follow(watch, [jwt.file], JWKS_BYTES_MAX, ([text]) => {
      const read = readJwks(text!);
      if ('problems' in read) return read.problems;
      parts.tokens?.replace(read.jwks);
      return [];
    });
  }
  if (config.tls) followTls(watch, config.tls);
}

function followTls(watch: AccessWatch, { pem: first, files: { cert, key, ca } }: NonNullable<Config['tls']>): void {
  let served: TlsPem = first;
  follow(watch, ca === null ? [cert, key] : [cert, key, ca], PEM_BYTES_MAX, ([cert, key, ca]) => {
    const pem = { cert: cert!, key: key!, ca: ca ?? null };
    const faults = tlsFaults(pem);
    // The first look finds what is served already: replacing it would only cut connections that were just made.
    if (faults.length === 0 && !isDeepStrictEqual(pem, served)) watch.replaceTls(pem);
    if (faults.length === 0) served = pem;
    return faults;
  });
}

type TakeOver = (texts: string[]) => readonly string[];

function follow(
  { runtime, signal, observe }: AccessWatch,
  files: readonly string[],
  bytesMax: number,
  onTexts: TakeOver,
): void {
  void watchFiles({
    paths: files,
    bytesMax,
    runtime,
    signal,
    onTexts,
    onChanged: () => observe({ type: 'access.changed', files }),
    onRefused: (problems) => observe({ type: 'access.unreadable', files, problems }),
  });
}
