import { createHash } from 'node:crypto';

/** Root secrets as they are configured, and what is no secret at all. Nothing here ever shows a value. */
export interface KeyGeneration {
  kid: string;
  secret: Uint8Array;
}

export const SECRET_BYTES_MIN = 32;
const GENERATIONS_MAX = 16;

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
  `${SECRET_BYTES_MIN} bytes (or MESSAGE_KEYS). Make one with:\n  agent-system keys generate\nor:\n  ${ONE_LINER}`;

/** Null when neither is set. `MESSAGE_KEYS` is `kid:base64url,…`, newest first. */
export function readGenerations(
  tokenSecret: string | null,
  messageKeys: string | null,
  refuse: (problem: string) => void,
): KeyGeneration[] | null {
  if (tokenSecret !== null && messageKeys !== null) {
    refuse('A2A_TOKEN_SECRET and MESSAGE_KEYS are both set: keep one of them (MESSAGE_KEYS can hold several secrets)');
    return null;
  }
  if (messageKeys !== null) return readMessageKeys(messageKeys, refuse);
  if (tokenSecret === null) return null;
  const secret = Buffer.from(tokenSecret, 'utf8');
  if (secret.length < SECRET_BYTES_MIN) refuse(tooShort('A2A_TOKEN_SECRET', secret.length));
  return [{ kid: kidOf(secret), secret }];
}

function readMessageKeys(text: string, refuse: (problem: string) => void): KeyGeneration[] {
  const entries = text.split(/[,\s]+/).filter((entry) => entry !== '');
  if (entries.length === 0 || entries.length > GENERATIONS_MAX)
    refuse(`MESSAGE_KEYS has ${entries.length} entries, wanted 1 to ${GENERATIONS_MAX} of the form kid:base64url`);
  const generations = entries.slice(0, GENERATIONS_MAX).map((entry, at) => readEntry(entry, at, refuse));
  const kids = generations.map((generation) => generation?.kid);
  for (const kid of new Set(kids.filter((kid, at) => kid !== undefined && kids.indexOf(kid) !== at)))
    refuse(`MESSAGE_KEYS names the kid "${kid}" more than once, wanted every kid once`);
  return generations.filter((generation) => generation !== undefined);
}

function readEntry(entry: string, at: number, refuse: (problem: string) => void): KeyGeneration | undefined {
  const [, kid, encoded] = /^([A-Za-z0-9_-]{1,64}):([A-Za-z0-9_-]+)=*$/.exec(entry) ?? [];
  if (kid === undefined) {
    refuse(`MESSAGE_KEYS entry ${at + 1} is not of the form kid:base64url (kid of up to 64 letters, digits, - or _)`);
    return undefined;
  }
  const secret = Buffer.from(encoded!, 'base64url');
  if (secret.length < SECRET_BYTES_MIN) refuse(tooShort(`MESSAGE_KEYS entry ${at + 1} ("${kid}")`, secret.length));
  return { kid, secret };
}

function tooShort(name: string, found: number): string {
  return `${name} has ${found} bytes, wanted at least ${SECRET_BYTES_MIN}; make one with: ${ONE_LINER}`;
}
