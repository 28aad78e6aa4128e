/**
 * The seal of a specification: proof that a coordinator accepted exactly this task. It is made once, stands in the
 * record, and is checked before an assignment is signed that carries the specification; so a task that was written into
 * the store by a stranger is never run. It says nothing about when: an old record put back passes.
 */
import { hash } from 'node:crypto';
import type { KeyRing } from './keys.ts';
import { macMatches, macOf } from './signature.ts';

/** `wrong`: end the task as rejected. `unknown_key`: sealed under a root that this process does not hold, so wait. */
export type SealVerdict = 'ok' | 'wrong' | 'unknown_key';

/** `<generation>.<MAC in base64url>` over the exact text of the specification. */
export function seal(specText: string, keyRing: KeyRing): string {
  const { generation, secret } = keyRing.signingKey('seal');
  return `${generation}.${macOf(secret, specText)}`;
}

export function checkSeal(specText: string, sealText: string, keyRing: KeyRing): SealVerdict {
  const dot = sealText.indexOf('.');
  if (dot < 0) return 'wrong';
  const key = keyRing.verifyingKey(sealText.slice(0, dot), 'seal');
  if (key === undefined) return 'unknown_key';
  return macMatches(key.secret, specText, sealText.slice(dot + 1)) ? 'ok' : 'wrong';
}

/** SHA-256 in base64url: what a specification says about the payload that travels beside it. */
export function digestOf(text: string): string {
  return hash('sha256', text, 'base64url');
}
