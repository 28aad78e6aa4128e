import { z } from 'zod';

/** A set of public keys (RFC 7517) that tokens may be signed with. */
export interface JwkSet {
  keys: { kty: string; [member: string]: unknown }[];
}

export const JWKS_BYTES_MAX = 1024 * 1024;
const KEYS_MAX = 100;

const WANTED = 'wanted a JWK set: {"keys": […]} with public keys of the kinds RSA, EC or OKP';
const set = z.looseObject({
  keys: z
    .array(z.looseObject({ kty: z.string() }))
    .min(1)
    .max(KEYS_MAX),
});

/**
 * A key that is secret is refused, though its public half would do: it does not belong into a file that many read. So is
 * a symmetric one, which whoever can check a token could also make one with.
 */
export function readJwks(text: string): { jwks: JwkSet } | { problems: string[] } {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { problems: [`it is not JSON, ${WANTED}`] };
  }
  const read = set.safeParse(json);
  if (!read.success) return { problems: [WANTED] };
  const problems = read.data.keys.flatMap((key, at) => faultOf(key).map((fault) => `keys[${at}] ${fault}`));
  return problems.length > 0 ? { problems } : { jwks: read.data };
}

function faultOf({ kty, d }: { kty: string; d?: unknown }): string[] {
  if (!['RSA', 'EC', 'OKP'].includes(kty)) return [`is of the kind ${JSON.stringify(kty.slice(0, 20))}, ${WANTED}`];
  return d === undefined ? [] : ['holds a private key, wanted public ones only'];
}
