import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance } from 'fastify';
import { AgentSystemError } from '../errors.ts';
import { NOBODY, OPERATOR } from '../service/caller.ts';

/** So many requests within a time. */
export interface Rate {
  max: number;
  perMs: number;
}

/** Callers that are counted at once; the one that has been silent longest is forgotten for a new one. */
const CALLERS_MAX = 10_000;

/**
 * Limits how often one caller may ask this process. Routes that are registered after this are limited, save those open to
 * all: a probe that is refused would end a healthy process. It runs when the caller is known, so clients behind one
 * address do not share a limit unless they share a key.
 */
export function limitRates(app: FastifyInstance, { max, perMs }: Rate): void {
  app.register(rateLimit, {
    max,
    timeWindow: perMs,
    cache: CALLERS_MAX,
    keyGenerator: ({ caller, ip }) =>
      caller === OPERATOR ? `address ${ip}` : `caller ${caller.tenant ?? ''} ${caller.name}`,
    allowList: ({ caller }) => caller === NOBODY,
    errorResponseBuilder: (_request, { ttl }) =>
      new AgentSystemError('RATE_LIMITED', `more than ${max} requests within ${perMs} ms, wait before the next one`, {
        retryable: true,
        details: { max, perMs, retryAfterMs: ttl },
      }),
  });
}
