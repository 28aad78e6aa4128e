import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { AgentSystemError } from '../errors.ts';

/** Who may call a route: anyone, holders of the metrics token (anyone where none is set), holders of the API key. */
export type Access = 'open' | 'metrics' | 'api';

/** Throws UNAUTHORIZED when the headers do not give what `access` asks for. */
export type Guard = (access: Access, headers: IncomingHttpHeaders) => void;

export function createGuard({ apiKey, metricsToken }: { apiKey: string | null; metricsToken: string | null }): Guard {
  const isApiKey = apiKey === null ? null : matcherOf(apiKey);
  const isMetricsToken = metricsToken === null ? null : matcherOf(metricsToken);
  return (access, headers) => {
    if (access === 'open') return;
    if (access === 'metrics') {
      if (isMetricsToken && !isMetricsToken(bearerOf(headers)))
        throw unauthorized('Authorization: Bearer METRICS_TOKEN');
      return;
    }
    if (!isApiKey || isApiKey(headers['x-api-key']) || isApiKey(bearerOf(headers))) return;
    throw unauthorized('X-API-Key or Authorization: Bearer with the key of API_KEY');
  };
}

/** Digests have one length and are compared in constant time, so an answer's delay says nothing about the secret. */
function matcherOf(secret: string): (given: string | string[] | undefined) => boolean {
  const wanted = digest(secret);
  return (given) => typeof given === 'string' && timingSafeEqual(digest(given), wanted);
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** RFC 6750; the name of the scheme is read in any case (RFC 9110). */
function bearerOf(headers: IncomingHttpHeaders): string | undefined {
  const header = headers.authorization;
  return header && /^bearer /i.test(header) ? header.slice('bearer '.length).trim() : undefined;
}

function unauthorized(wanted: string): AgentSystemError {
  return new AgentSystemError('UNAUTHORIZED', `no valid key came with the request: wanted ${wanted}`);
}
