/**
 * Signs a request that leaves the system, so that its receiver can tell who sent it and that nobody changed it:
 *
 *     x-agent-system-timestamp: 1760000000            unix time in seconds
 *     x-agent-system-id:        8k2f…                 another one for each request
 *     x-agent-system-signature: v1=<hex of HMAC-SHA-256(secret, timestamp + "." + id + "." + body)>
 *
 * The receiver computes the same over the bytes it got, compares in constant time, and refuses a timestamp more than
 * five minutes from its own clock; who wants no repetition within these remembers the ids for as long.
 */
import { createHmac } from 'node:crypto';

export const SIGNING_SECRET_BYTES_MIN = 32;

export interface RequestToSign {
  /** Local wall clock in milliseconds. */
  now: number;
  id: string;
  body: string | Uint8Array;
}

/** @param secret null: timestamp and id without a signature */
export function signatureHeaders(secret: string | Uint8Array | null, request: RequestToSign): Record<string, string> {
  const timestamp = String(Math.floor(request.now / 1_000));
  const headers: Record<string, string> = {
    'x-agent-system-timestamp': timestamp,
    'x-agent-system-id': request.id,
  };
  if (secret === null) return headers;
  const mac = createHmac('sha256', secret).update(`${timestamp}.${request.id}.`).update(request.body).digest('hex');
  headers['x-agent-system-signature'] = `v1=${mac}`;
  return headers;
}
