/**
 * `fetch` over connections with authorities and a certificate of one's own: Node's takes none unless a package is added.
 * It does what the client needs of it: texts or pieces of bytes as bodies, no redirects.
 */
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { Readable } from 'node:stream';
import { createSecureContext } from 'node:tls';
import { AgentSystemError } from '../errors.ts';

/** PEM texts. */
export interface ClientTls {
  /** Authorities that may have signed the certificate of the system, instead of those that Node knows. */
  ca?: string | null;
  /** What the client shows, and the key of that. */
  cert?: string | null;
  key?: string | null;
}

/** Answers to these have no body, and an object for one refuses to be given any. */
const WITHOUT_BODY = new Set([204, 205, 304]);

/** @throws BAD_REQUEST for texts that are no certificates and keys */
export function fetchOver(tls: ClientTls): typeof fetch {
  const agent = new Agent({ keepAlive: true, ...checked(tls) });
  return (url, { method = 'GET', headers, body, signal } = {}) =>
    new Promise((resolve, reject) => {
      const fields = Object.fromEntries(new Headers(headers));
      const sent = request(String(url), { agent, method, headers: fields, signal: signal ?? undefined });
      sent.once('response', (incoming) => resolve(responseOf(incoming)));
      sent.once('error', (error) => reject(signal?.aborted ? signal.reason : error));
      if (body === undefined || body === null || typeof body === 'string') sent.end(body ?? undefined);
      else
        Readable.from(body as unknown as AsyncIterable<Uint8Array>)
          .once('error', reject)
          .pipe(sent);
    });
}

function checked({ ca, cert, key }: ClientTls): { ca?: string; cert?: string; key?: string } {
  const pem = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
  if (Boolean(cert) !== Boolean(key))
    throw new AgentSystemError('BAD_REQUEST', 'tls has only one of cert and key, wanted both or neither');
  try {
    createSecureContext(pem);
    return pem;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AgentSystemError('BAD_REQUEST', `tls holds no certificates and keys in PEM that fit (${why})`, { cause });
  }
}

function responseOf(incoming: IncomingMessage): Response {
  const { statusCode: status = 0, rawHeaders } = incoming;
  const headers = new Headers();
  for (let i = 0; i < rawHeaders.length; i += 2) headers.append(rawHeaders[i]!, rawHeaders[i + 1]!);
  if (!WITHOUT_BODY.has(status)) return new Response(Readable.toWeb(incoming) as ReadableStream, { status, headers });
  incoming.resume();
  return new Response(null, { status, headers });
}
