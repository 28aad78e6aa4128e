/*
 * Who calls, and what they may. A route says what it asks for; a caller shows a key or a token, both of which lead to the
 * same thing: a name, a tenant or none, and scopes. What is wrong with a key or token stands in the log, at debug: whoever
 * sent it is not helped in finding a better one.
 */
import { timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { AgentSystemError } from '../errors.ts';
import { allows, type Caller, NOBODY, OPERATOR, SCOPES, type Scope } from '../service/caller.ts';
import { ApiKeys, digestOf } from './api-keys.ts';
import { Guesses } from './guesses.ts';
import { looksLikeToken, TokenRefusedError, type Tokens } from './tokens.ts';

/**
 * Who may call a route: anyone, holders of the metrics token (anyone where none is set), callers with the scope, or, for
 * `fleet:read`, callers who may read and are of all tenants: what the system consists of shows what others do in it.
 */
export type Access = 'open' | 'metrics' | 'fleet:read' | Scope;

/** What a caller can be known by. All of it null or empty: everyone is the operator. */
export interface AccessParts {
  /** The key that may do everything. */
  apiKey: string | null;
  metricsToken: string | null;
  apiKeys?: ApiKeys | null;
  tokens?: Tokens | null;
}

export interface Credentials {
  headers: IncomingHttpHeaders;
  /** Where the request comes from. */
  ip: string;
}

export interface GuardOptions<R extends Credentials> {
  parts: AccessParts;
  now: () => number;
  /** Told why a request was refused, for the log. */
  onRefused: (reason: string, request: R) => void;
}

/**
 * Answers who calls; throws or rejects with UNAUTHORIZED, FORBIDDEN or RATE_LIMITED. A promise only for tokens.
 *
 * @param again the request was let in before: what it shows is no guess, and others' guesses do not matter to it
 */
export type Guard<R extends Credentials> = (access: Access, request: R, again?: boolean) => Caller | Promise<Caller>;

export function createGuard<R extends Credentials>({ parts, now, onRefused }: GuardOptions<R>): Guard<R> {
  const { apiKey, metricsToken, apiKeys = null, tokens = null } = parts;
  const own = new ApiKeys(apiKey === null ? [] : [masterKey(apiKey)]);
  const isMetricsToken = metricsToken === null ? null : matcherOf(metricsToken);
  const guesses = new Guesses(now);
  const everyoneIsOperator = apiKey === null && apiKeys === null && tokens === null;

  const refuse = (reason: string, request: R, shown: string | null, told: string): AgentSystemError => {
    onRefused(reason, request);
    if (shown !== null) guesses.wrong(request.ip, shown);
    return new AgentSystemError('UNAUTHORIZED', told);
  };

  const checkMetrics = (request: R): Caller => {
    if (isMetricsToken === null) return NOBODY;
    const shown = bearerOf(request.headers);
    if (shown !== null) guesses.refuseGuesser(request.ip);
    if (shown !== null && isMetricsToken(shown)) return NOBODY;
    throw refuse('no metrics token, or a wrong one', request, shown, WANTED_METRICS);
  };

  const byToken = async (shown: string, request: R, again: boolean): Promise<Caller> => {
    try {
      return await tokens!.verify(shown);
    } catch (error) {
      if (!(error instanceof TokenRefusedError)) throw error;
      // A token that was good once is no guess.
      if (error.expired) throw refuse(error.message, request, null, 'the token has expired');
      throw refuse(error.message, request, again ? null : shown, WANTED);
    }
  };

  const authenticate = (request: R, again: boolean): Caller | Promise<Caller> => {
    if (everyoneIsOperator) return OPERATOR;
    const shown = shownBy(request.headers);
    if (shown === null) throw refuse('no key and no token', request, null, WANTED);
    if (!again) guesses.refuseGuesser(request.ip);
    const digest = digestOf(shown);
    const caller = own.find(digest, now()) ?? apiKeys?.find(digest, now());
    if (caller) return caller;
    if (tokens !== null && looksLikeToken(shown)) return tokens.recall(shown) ?? byToken(shown, request, again);
    throw refuse('an unknown key', request, again ? null : shown, WANTED);
  };

  return (access, request, again = false) => {
    if (access === 'open') return NOBODY;
    if (access === 'metrics') return checkMetrics(request);
    const caller = authenticate(request, again);
    if (caller instanceof Promise) return caller.then((known) => authorized(known, access));
    return authorized(caller, access);
  };
}

/** The caller, who may do this. Throws FORBIDDEN that names what is missing. */
function authorized(caller: Caller, access: Scope | 'fleet:read'): Caller {
  const scope = access === 'fleet:read' ? 'tasks:read' : access;
  if (!allows(caller, scope)) {
    const has = [...caller.scopes];
    throw new AgentSystemError(
      'FORBIDDEN',
      `this needs the scope ${scope}, ${caller.name} has ${has.length > 0 ? has.join(', ') : 'none of ours'}`,
      { details: { scope, has } },
    );
  }
  if (access !== 'fleet:read' || caller.tenant === null) return caller;
  throw new AgentSystemError(
    'FORBIDDEN',
    `this is about the whole system, ${caller.name} is of tenant ${JSON.stringify(caller.tenant)} only`,
    { details: { tenant: caller.tenant } },
  );
}

function masterKey(key: string) {
  return { name: 'API_KEY', hash: digestOf(key).toString('hex'), scopes: SCOPES, tenant: null, expiresAt: null };
}

/** Digests have one length and are compared in constant time, so an answer's delay says nothing about the secret. */
function matcherOf(secret: string): (given: string) => boolean {
  const wanted = digestOf(secret);
  return (given) => timingSafeEqual(digestOf(given), wanted);
}

/** Where both are there, the header that is ours counts: `Authorization` may be for a proxy on the way. */
function shownBy(headers: IncomingHttpHeaders): string | null {
  const key = headers['x-api-key'];
  return typeof key === 'string' && key !== '' ? key : bearerOf(headers);
}

/** RFC 6750; the name of the scheme is read in any case (RFC 9110). Null where nothing of that kind came. */
function bearerOf({ authorization: header }: IncomingHttpHeaders): string | null {
  const text = header && /^bearer /i.test(header) ? header.slice('bearer '.length).trim() : '';
  return text === '' ? null : text;
}

const WANTED = 'no valid key or token came with the request: wanted X-API-Key, or Authorization: Bearer';
const WANTED_METRICS = 'no valid key came with the request: wanted Authorization: Bearer with METRICS_TOKEN';
