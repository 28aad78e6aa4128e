/** Who may call, as settings: keys, tokens, limits, and the certificates of HTTPS. Files are read here once, to refuse a start with wrong ones. */
import { createSecureContext } from 'node:tls';
import { type ApiKeyEntry, readApiKeys } from './api-keys.ts';
import { type JwkSet, readJwks } from './jwks.ts';
import type { Rate } from './parse.ts';
import type { Settings } from './schema.ts';
import { codeOf } from './sources.ts';

export interface AccessConfig {
  /** Every scope, every tenant. */
  readonly apiKey: string | null;
  readonly apiKeys: { readonly file: string; readonly keys: readonly ApiKeyEntry[] } | null;
  readonly jwt: JwtConfig | null;
  /** The reason given for listening without a key. */
  readonly allowNoAuth: string | null;
  readonly metricsToken: string | null;
  /** Requests of one caller; null = no limit. */
  readonly rateLimit: Rate | null;
  /** Addresses and networks whose word on where a request comes from is taken. */
  readonly trustProxy: readonly string[];
}

export interface JwtConfig {
  readonly issuer: string;
  readonly audience: string;
  readonly file: string;
  readonly jwks: JwkSet;
}

/** HTTPS instead of HTTP. */
export interface TlsConfig {
  readonly files: { readonly cert: string; readonly key: string; readonly ca: string | null };
  readonly pem: TlsPem;
}

/** PEM texts. Where there is a `ca`, clients must show a certificate that it signed. */
export interface TlsPem {
  readonly cert: string;
  readonly key: string;
  readonly ca: string | null;
}

type ReadFile = (path: string) => string;
interface Report {
  refuse: (problem: string) => void;
  warn: (warning: string) => void;
}

export function readAccess(s: Settings, readFile: ReadFile, { refuse }: Report): AccessConfig {
  return {
    apiKey: s.API_KEY,
    apiKeys: readKeysFile(s.API_KEYS_FILE, readFile, refuse),
    jwt: readJwt(s, readFile, refuse),
    allowNoAuth: s.ALLOW_NO_AUTH,
    metricsToken: s.METRICS_TOKEN,
    rateLimit: s.RATE_LIMIT === 'off' ? null : s.RATE_LIMIT,
    trustProxy: s.TRUST_PROXY ?? [],
  };
}

/** What keeps strangers out, any of them. */
export const AUTH_SETTINGS = ['API_KEY', 'API_KEYS_FILE', 'JWKS_FILE', 'A2A_USE_MTLS', 'ALLOW_NO_AUTH'] as const;

function readKeysFile(file: string | null, readFile: ReadFile, refuse: Report['refuse']): AccessConfig['apiKeys'] {
  const text = file === null ? null : readText('API_KEYS_FILE', file, readFile, refuse);
  if (file === null || text === null) return null;
  const read = readApiKeys(text);
  if ('keys' in read) return { file, keys: read.keys };
  for (const problem of read.problems) refuse(`API_KEYS_FILE names ${file}: ${problem}`);
  return null;
}

function readJwt(s: Settings, readFile: ReadFile, refuse: Report['refuse']): JwtConfig | null {
  const { JWT_ISSUER: issuer, JWT_AUDIENCE: audience, JWKS_FILE: file } = s;
  if (issuer === null && audience === null && file === null) return null;
  if (issuer === null || audience === null || file === null) {
    refuse(together({ JWT_ISSUER: issuer, JWT_AUDIENCE: audience, JWKS_FILE: file }));
    return null;
  }
  const text = readText('JWKS_FILE', file, readFile, refuse);
  if (text === null) return null;
  const read = readJwks(text);
  if ('jwks' in read) return { issuer, audience, file, jwks: read.jwks };
  for (const problem of read.problems) refuse(`JWKS_FILE names ${file}: ${problem}`);
  return null;
}

export function readTls(s: Settings, readFile: ReadFile, { refuse, warn }: Report): TlsConfig | null {
  const { A2A_USE_MTLS: mutual, A2A_CERT_PATH: cert, A2A_KEY_PATH: key, A2A_CA_PATH: caPath } = s;
  if (!mutual && cert === null && key === null) return null;
  const ca = mutual ? caPath : null;
  if (cert === null || key === null || (mutual && ca === null)) {
    const needed = { A2A_CERT_PATH: cert, A2A_KEY_PATH: key };
    refuse(together(mutual ? { A2A_USE_MTLS: true, ...needed, A2A_CA_PATH: ca } : needed));
    return null;
  }
  if (!mutual && caPath !== null)
    warn('A2A_CA_PATH has no effect on a role without A2A_USE_MTLS=true: no client is asked for a certificate');
  const pem = {
    cert: readText('A2A_CERT_PATH', cert, readFile, refuse),
    key: readText('A2A_KEY_PATH', key, readFile, refuse),
    ca: ca === null ? null : readText('A2A_CA_PATH', ca, readFile, refuse),
  };
  if (pem.cert === null || pem.key === null || (ca !== null && pem.ca === null)) return null;
  const files = { cert, key, ca };
  const usable = { cert: pem.cert, key: pem.key, ca: pem.ca };
  const faults = tlsFaults(usable);
  for (const fault of faults) refuse(`A2A_CERT_PATH names ${cert} and A2A_KEY_PATH ${key}: ${fault}`);
  return faults.length > 0 ? null : { files, pem: usable };
}

/** Why no server can be started with these, in the words of OpenSSL; empty when one can. */
export function tlsFaults({ cert, key, ca }: TlsPem): string[] {
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    return [`they make no certificate with its key (${messageOf(error)})`];
  }
  if (ca === null) return [];
  // A text without any certificate in it is no error to OpenSSL: it would then trust nobody, or everybody it knows.
  if (!ca.includes('-----BEGIN CERTIFICATE-----')) return ['the authorities of A2A_CA_PATH hold no certificate'];
  try {
    createSecureContext({ ca });
    return [];
  } catch (error) {
    return [`the authorities of A2A_CA_PATH cannot be read (${messageOf(error)})`];
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function together(settings: Record<string, string | true | null>): string {
  const names = Object.keys(settings);
  const missing = names.filter((name) => settings[name] === null);
  return `${names.join(', ')} belong together: set ${missing.join(' and ')} too`;
}

function readText(name: string, path: string, readFile: ReadFile, refuse: Report['refuse']): string | null {
  try {
    return readFile(path);
  } catch (error) {
    refuse(`${name} names ${path}, which cannot be read (${codeOf(error)})`);
    return null;
  }
}
