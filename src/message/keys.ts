/**
 * Which key protects what. Every directed pair of principals has a key of its own, derived from a root secret, so that
 * a message to one receiver proves nothing to another and a stolen worker key speaks for that worker only.
 *
 * Callers see the `KeyRing` port alone. `keyRing` below holds roots and derives what it is asked for; what changes while
 * a process runs is `RotatingKeyRing`, and a worker in hardened mode holds no root but four keys (worker-key.ts).
 */
import { createHash, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';
import { AgentSystemError, ConfigurationError } from '../errors.ts';
import type { Principal } from './principals.ts';
import { RecentCache } from './recent-cache.ts';

/**
 * What one derived key is for: messages of a directed pair, the seal that coordinators and distributors share, or the
 * signature of snapshots. The last two hold no `>`, so no envelope can name their keys.
 */
export type KeyUse = `${Principal}>${Principal}` | 'seal' | 'snapshot';

export interface Key {
  /** `<generation>.<use>`, as in the header of an envelope. */
  readonly kid: string;
  readonly generation: string;
  readonly secret: KeyObject;
}

export interface KeyRing {
  /** The key of the newest generation for this use; throws `KEY_NOT_HELD` when this ring may not sign for it. */
  signingKey(use: KeyUse): Key;
  /** The key of a named generation, or undefined when that generation is unknown, retired or not held for this use. */
  verifyingKey(generation: string, use: KeyUse): Key | undefined;
}

export interface KeyGeneration {
  /** Name of the root: 1 to 64 letters, digits, underscores and hyphens (no dot, it ends the name inside a `kid`). */
  readonly kid: string;
  /** At least 32 bytes; text counts as its UTF-8 bytes. */
  readonly secret: string | Uint8Array;
}

/** The keys of one generation, as far as a process holds them. */
export interface HeldGeneration {
  readonly kid: string;
  /** Equal only for the same name with the same secret; tells nothing of the secret. */
  readonly fingerprint: string;
  /** Undefined for a use whose key is not held. */
  keyFor(use: KeyUse): Key | undefined;
}

/** The source of a regular expression that matches the name of one generation. */
export const GENERATION_PATTERN = '[A-Za-z0-9_-]{1,64}';
export const SECRET_BYTES_MIN = 32;
export const GENERATIONS_MAX = 16;
/** Derived keys kept per generation; beyond it the least recently used are derived again (10 µs each). */
const DERIVED_KEYS_MAX = 10_000;

/** A ring with a single root, as `A2A_TOKEN_SECRET` gives it. */
export function keyRingFromSecret(secret: string | Uint8Array, generation = 'root'): KeyRing {
  return keyRing([{ kid: generation, secret }]);
}

/**
 * A ring of roots, newest first: the first signs, each of them verifies.
 * Throws a `ConfigurationError` that lists everything wrong with them; secrets are never quoted.
 */
export function keyRing(generations: readonly KeyGeneration[]): KeyRing {
  const held = new Map(rootGenerations(generations).map((generation) => [generation.kid, generation]));
  const newest = held.get(generations[0]!.kid)!;
  return {
    signingKey: (use) => newest.keyFor(use)!,
    verifyingKey: (generation, use) => held.get(generation)?.keyFor(use),
  };
}

/** Roots, of which every key can be derived. Throws as `keyRing` does. */
export function rootGenerations(generations: readonly KeyGeneration[]): HeldGeneration[] {
  const problems = problemsOf(generations);
  if (problems.length > 0) throw new ConfigurationError(problems);
  return generations.map((generation) => ({
    kid: generation.kid,
    fingerprint: fingerprintOf(generation),
    keyFor: derivedKeysOf(generation),
  }));
}

/** For people, to compare what two processes hold, and for programs, to see that nothing changed: 60 bits of a hash. */
export function fingerprintOf({ kid, secret }: KeyGeneration): string {
  const hash = createHash('sha256').update(`agent-system fingerprint ${kid} `).update(secret);
  return hash.digest('base64url').slice(0, FINGERPRINT_LENGTH);
}

const FINGERPRINT_LENGTH = 10;

/** The error of a ring that is asked to sign for a use it does not hold. */
export function keyNotHeld(use: KeyUse): AgentSystemError {
  return new AgentSystemError('KEY_NOT_HELD', `This process holds no key to sign as "${use}".`);
}

/** HKDF-SHA-256 (RFC 5869): the use stands in `info`, after a fixed name and layout version of our own. */
export function deriveKey(secret: Uint8Array, use: KeyUse): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, 'agent-system', `v1 ${use}`, 32));
}

function derivedKeysOf({ kid: generation, secret }: KeyGeneration): (use: KeyUse) => Key {
  // A copy, because the caller may wipe or reuse its buffer.
  const root = Buffer.from(secret);
  const derived = new RecentCache<KeyUse, Key>(DERIVED_KEYS_MAX);
  return (use) =>
    derived.get(use) ??
    derived.set(use, { kid: `${generation}.${use}`, generation, secret: createSecretKey(deriveKey(root, use)) });
}

function problemsOf(generations: readonly KeyGeneration[]): string[] {
  if (generations.length === 0) return ['No message key is given; make one with: agent-system keys generate'];
  if (generations.length > GENERATIONS_MAX) {
    return [`${generations.length} message keys are given, at most ${GENERATIONS_MAX} are read; retire the oldest.`];
  }
  const seen = new Set<string>();
  return generations.flatMap((generation) => {
    const problems = problemsOfOne(generation);
    if (seen.has(generation.kid)) problems.push(`The message key "${generation.kid}" is given twice.`);
    seen.add(generation.kid);
    return problems;
  });
}

const WHOLE_GENERATION = new RegExp(`^${GENERATION_PATTERN}$`);

function problemsOfOne({ kid, secret }: KeyGeneration): string[] {
  const problems: string[] = [];
  if (!WHOLE_GENERATION.test(kid)) {
    problems.push(
      `The message key name ${JSON.stringify(kid)} must be 1 to 64 letters, digits, underscores or hyphens.`,
    );
  }
  const bytes = Buffer.byteLength(secret);
  if (bytes < SECRET_BYTES_MIN) {
    problems.push(
      `The secret of message key "${kid}" has ${bytes} bytes, at least ${SECRET_BYTES_MIN} are needed; make one with: agent-system keys generate`,
    );
  }
  return problems;
}
