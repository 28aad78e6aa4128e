/*
 * Tokens (JWT, RFC 7519) of one issuer, checked against a set of public keys in a file: nothing is fetched, so nobody can
 * send us to a key server of their own. Which algorithms may be used is said here and not by the token: `none` and
 * symmetric ones, for which a public key would be the secret, are none of them.
 */
import { createHash } from 'node:crypto';
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { AgentSystemError } from '../errors.ts';
import { RecentCache } from '../message/recent-cache.ts';
import type { Caller, Scope } from '../service/caller.ts';
import { SCOPES } from '../service/caller.ts';

const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];
const CLOCK_TOLERANCE_S = 5;
const NAME_LENGTH_MAX = 256;
const VERIFIED_MAX = 1_000;
const TENANT_LENGTH_MAX = 128;

export interface TokensOptions {
  issuer: string;
  audience: string;
  jwks: object;
  now: () => number;
}

/** Why a token is not taken. The reason is for the log: whoever sent the token is told only that it has expired. */
export class TokenRefusedError extends Error {
  readonly expired: boolean;

  constructor(reason: string, { expired = false, cause }: { expired?: boolean; cause?: unknown } = {}) {
    super(reason, { cause });
    this.expired = expired;
  }
}

interface Verified {
  caller: Caller;
  /** When the token expires, milliseconds. */
  until: number;
}

export class Tokens {
  readonly #options: TokensOptions;
  #key: JWTVerifyGetKey;
  /** By digest. A signature costs some 100 µs to check, and most tokens come again and again. */
  #verified = new RecentCache<string, Verified>(VERIFIED_MAX);

  constructor(options: TokensOptions) {
    this.#options = options;
    this.#key = createLocalJWKSet(options.jwks as JSONWebKeySet);
  }

  /** From now on tokens are signed with these, and no others. */
  replace(jwks: object): void {
    this.#key = createLocalJWKSet(jwks as JSONWebKeySet);
    this.#verified = new RecentCache(VERIFIED_MAX);
  }

  /** Whom a token speaks for that was verified with the keys of now; null: it must be, or be again. */
  recall(token: string): Caller | null {
    const verified = this.#verified.get(digestOf(token));
    return verified && this.#options.now() < verified.until ? verified.caller : null;
  }

  /**
   * Whom the token speaks for.
   * @throws TokenRefusedError, or FORBIDDEN for a good token that is for no tenant and not for all of them either
   */
  async verify(token: string): Promise<Caller> {
    // Taken before the wait: what was verified with keys that are replaced meanwhile is not remembered beyond them.
    const verified = this.#verified;
    const claims = await this.#claims(token);
    const caller = callerOf(claims);
    verified.set(digestOf(token), { caller, until: claims.exp! * 1_000 });
    return caller;
  }

  async #claims(token: string): Promise<JWTPayload> {
    const { issuer, audience, now } = this.#options;
    try {
      const { payload } = await jwtVerify(token, this.#key, {
        algorithms: ALGORITHMS,
        issuer,
        audience,
        // `nbf` is checked where it is there: many issuers leave it out.
        requiredClaims: ['iss', 'aud', 'exp', 'sub'],
        clockTolerance: CLOCK_TOLERANCE_S,
        currentDate: new Date(now()),
      });
      return payload;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new TokenRefusedError(reason, { expired: cause instanceof errors.JWTExpired, cause });
    }
  }
}

function digestOf(token: string): string {
  return createHash('sha256').update(token).digest('base64');
}

/** `xxx.yyy.zzz`: what else comes as a bearer is a key. */
export function looksLikeToken(text: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]*$/.test(text);
}

function callerOf(claims: JWTPayload): Caller {
  const name = claims.sub;
  if (typeof name !== 'string' || name === '' || name.length > NAME_LENGTH_MAX) {
    throw new TokenRefusedError(`"sub" is no text of 1 to ${NAME_LENGTH_MAX} characters`);
  }
  const scopes = scopesOf(claims);
  const tenant = tenantOf(claims);
  // Whoever is in a tenant is no admin, whatever the token says: that would be over all tenants.
  if (tenant !== null) return { name, tenant, scopes: new Set(scopes.flatMap(withinTenant)) };
  if (scopes.includes('admin')) return { name, tenant: null, scopes: new Set(scopes) };
  throw new AgentSystemError(
    'FORBIDDEN',
    'the token names no tenant: without the claim "tenant" it must have the scope admin',
    { details: { scope: 'admin' } },
  );
}

function withinTenant(scope: Scope): Scope[] {
  return scope === 'admin' ? ['tasks:read', 'tasks:write'] : [scope];
}

function tenantOf({ tenant }: JWTPayload): string | null {
  if (tenant === undefined || tenant === null) return null;
  if (typeof tenant === 'string' && tenant !== '' && tenant.length <= TENANT_LENGTH_MAX) return tenant;
  throw new TokenRefusedError(`"tenant" is no text of 1 to ${TENANT_LENGTH_MAX} characters`);
}

/** Issuers do not agree on the claim, or on whether it is a list. Words that are no scope of ours are for others. */
function scopesOf({ scope, scp, permissions }: JWTPayload): Scope[] {
  const given = [scope, scp, permissions].flatMap((claim) => (typeof claim === 'string' ? claim.split(' ') : claim));
  return SCOPES.filter((known) => given.includes(known));
}
