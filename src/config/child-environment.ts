import { resolve } from 'node:path';

/** What finds programs and certificates, and how a Redis is reached whose address is named otherwise. */
const KEPT = [
  'PATH',
  'HOME',
  'TMPDIR',
  'TZ',
  'NODE_OPTIONS',
  'NODE_EXTRA_CA_CERTS',
  'REDIS_USERNAME',
  'REDIS_PASSWORD',
  'REDIS_SSL_CERT_REQS',
  'ALLOW_UNSAFE_REDIS',
] as const;
const KEPT_PATHS = ['REDIS_CA_FILE', 'REDIS_CERT_FILE', 'REDIS_KEY_FILE'] as const;

/**
 * The part of this process's environment that a role started by it may have. Anything else, such as an AGENTS or SHARDS
 * meant for another system, would make the child something that nobody asked for. Paths are made absolute: the child may
 * work in another directory.
 */
export function childEnvironment(env: Readonly<Record<string, string | undefined>> = process.env) {
  const kept: Record<string, string> = {};
  for (const name of KEPT) if (env[name]) kept[name] = env[name];
  for (const name of KEPT_PATHS) if (env[name]) kept[name] = resolve(env[name]);
  return kept;
}
