import { constants } from 'node:crypto';
import type { ServerOptions } from 'node:https';

/** PEM texts. Where there is a `ca`, clients must show a certificate that it signed. */
export interface ServerTls {
  cert: string;
  key: string;
  ca: string | null;
}

const HANDSHAKE_MS = 10_000;

/** Options of an HTTPS server. */
export function tlsOptions({ cert, key, ca }: ServerTls): ServerOptions {
  const own = { cert, key, handshakeTimeout: HANDSHAKE_MS, minVersion: 'TLSv1.2' as const };
  if (ca === null) return own;
  return {
    ...own,
    ca,
    requestCert: true,
    // Who shows none, or a wrong one, is refused with the request, so that probes can still ask whether we live.
    rejectUnauthorized: false,
    // Without tickets no session is resumed, and every connection shows its certificate to the authorities of now.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}
