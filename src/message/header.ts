/**
 * The protected header of an envelope. Exactly one text is valid for a key id, and it is compared as text: no parser
 * runs on unverified bytes, and there is no room for another `alg`, for `crit`, `b64`, doubled or reordered fields.
 */
import { GENERATION_PATTERN, type KeyUse } from './keys.ts';
import { PRINCIPAL_PATTERN, type Principal } from './principals.ts';
import { RecentCache } from './recent-cache.ts';

export interface KeyId {
  readonly generation: string;
  readonly use: KeyUse;
  readonly from: Principal;
  readonly to: Principal;
}

/** The longest valid header has 382 bytes, 510 characters of base64url; what is longer is refused before it is decoded. */
const HEADER_LENGTH_MAX = 512;
const REMEMBERED_MAX = 4096;

const HEADER = new RegExp(
  `^\\{"alg":"HS256","kid":"(${GENERATION_PATTERN})\\.((${PRINCIPAL_PATTERN})>(${PRINCIPAL_PATTERN}))","typ":"agent-msg\\+jws"\\}$`,
);

// Both only remember results of pure functions, so they are shared by all rings of the process.
const encoded = new RecentCache<string, string>(REMEMBERED_MAX);
const decoded = new RecentCache<string, KeyId>(REMEMBERED_MAX);

/** The header that names this key, in base64url. */
export function encodeHeader(kid: string): string {
  return (
    encoded.get(kid) ??
    encoded.set(kid, Buffer.from(`{"alg":"HS256","kid":"${kid}","typ":"agent-msg+jws"}`).toString('base64url'))
  );
}

/** The key that a header names; undefined for everything that `encodeHeader` would not have written. */
export function decodeHeader(text: string): KeyId | undefined {
  return decoded.get(text) ?? parseHeader(text);
}

function parseHeader(text: string): KeyId | undefined {
  if (text.length > HEADER_LENGTH_MAX) return undefined;
  const bytes = Buffer.from(text, 'base64url');
  // Node decodes leniently (padding, foreign characters, stray bits), so only what encodes back to itself counts.
  if (bytes.toString('base64url') !== text) return undefined;
  const match = HEADER.exec(bytes.toString('latin1'));
  if (match === null) return undefined;
  const [, generation, use, from, to] = match;
  return decoded.set(text, {
    generation: generation!,
    use: use as KeyUse,
    from: from as Principal,
    to: to as Principal,
  });
}
