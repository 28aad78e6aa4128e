import type { Config } from './config/load.ts';
import type { KeySet } from './message/rotating-key-ring.ts';
import type { Secret } from './observability/redact.ts';

const WORKER_KEY_BYTES = 32;

/** Everything in a configuration that must never be shown, for the log to keep it out. */
export function secretsOf({ keys, redis, access, work, tls }: Config): Secret[] {
  return [
    ...(keys ? secretsOfKeys(keys) : []),
    redis?.password,
    redis?.sentinel?.password,
    access.apiKey,
    access.metricsToken,
    work.http.secret,
    ...secretsOfPem(tls?.pem.key),
    ...secretsOfPem(redis?.tls?.key),
  ];
}

/** The secrets of all generations; of a worker's, each of its keys too. */
export function secretsOfKeys({ generations, worker }: KeySet): Secret[] {
  return generations.flatMap(({ secret }) => {
    if (worker === null || typeof secret === 'string') return [secret];
    const parts = Array.from({ length: Math.ceil(secret.length / WORKER_KEY_BYTES) }, (_, i) =>
      secret.subarray(i * WORKER_KEY_BYTES, (i + 1) * WORKER_KEY_BYTES),
    );
    return [secret, ...parts];
  });
}

/** The text of a private key, and what stands between its first and last line without line breaks. */
export function secretsOfPem(pem: string | null | undefined): Secret[] {
  return pem ? [pem.trim(), pem.replaceAll(/-----[^-]+-----|\s/g, '')] : [];
}
