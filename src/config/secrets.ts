/** What is no secret at all, and what one of `A2A_TOKEN_SECRET` is called. Nothing here ever shows a value. */
import { createHash } from 'node:crypto';
import { type KeyGeneration, SECRET_BYTES_MIN } from '../message/keys.ts';

/**
 * The name of the one generation of `A2A_TOKEN_SECRET`, which all processes with that secret agree on. It is drawn from
 * the secret, so that a process with another one finds our tasks sealed by an unknown key and leaves them alone, rather
 * than by a wrong one, which would end them. 48 bits of a hash tell nothing of a secret that is one.
 */
function kidOf(secret: Uint8Array): string {
  return createHash('sha256').update('agent-system kid ').update(secret).digest('base64url').slice(0, KID_LENGTH);
}

const KID_LENGTH = 8;

const ONE_LINER = 'openssl rand -base64 48';

const PLACEHOLDERS = [
  /change[-_ ]?(me|this|it)/i,
  /replace[-_ ]?(me|this|with)/i,
  /placeholder/i,
  /^(my|the|a|super|top|very)?[-_ ]?secret([-_ ]?(key|token|here))?$/i,
  /^your[-_ ]/i,
  /^example/i,
  /^(password|passw0rd|token|key|apikey|api-key|test|demo|dummy|default|todo|tbd|none|null|undefined)$/i,
  /^<.*>$/,
  /^(.)\1+$/,
  /^x{3,}[-_ x]*$/i,
];

export function isPlaceholder(secret: string): boolean {
  return PLACEHOLDERS.some((pattern) => pattern.test(secret));
}

export const MISSING_KEYS =
  'Redis is configured but no key to sign messages with: every process needs the same A2A_TOKEN_SECRET of at least ' +
  `${SECRET_BYTES_MIN} bytes (or MESSAGE_KEYS; a worker may have its WORKER_KEY). Make one with:\n  agent-system keys generate\nor:\n  ${ONE_LINER}`;

export function tooShort(name: string, found: number): string {
  return `${name} has ${found} bytes, wanted at least ${SECRET_BYTES_MIN}; make one with: ${ONE_LINER}`;
}

/** The one generation of `A2A_TOKEN_SECRET`. */
export function readTokenSecret(text: string, refuse: (problem: string) => void): KeyGeneration {
  const secret = Buffer.from(text, 'utf8');
  if (secret.length < SECRET_BYTES_MIN) refuse(tooShort('A2A_TOKEN_SECRET', secret.length));
  return { kid: kidOf(secret), secret };
}
