import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

interface Verdict {
  fault: string | null;
  /** When the certificate expires, milliseconds. */
  until: number;
}

const verdicts = new WeakMap<Socket, Verdict>();

/**
 * What is wrong with the certificate that a client showed; null when nothing is. TLS lets every client through to here,
 * because probes have no certificate and must be answered all the same. A connection may outlive its certificate, so the
 * end of that is looked at with every request.
 */
export function certificateFault(socket: Socket, now: number): string | null {
  const { fault, until } = verdicts.get(socket) ?? judged(socket);
  return fault ?? (now > until ? 'it has expired' : null);
}

function judged(socket: Socket): Verdict {
  const verdict = judge(socket);
  verdicts.set(socket, verdict);
  return verdict;
}

function judge(socket: Socket): Verdict {
  const until = Number.POSITIVE_INFINITY;
  if (!(socket instanceof TLSSocket)) return { fault: 'the connection has no TLS', until };
  const certificate = socket.getPeerX509Certificate();
  // Asked first: Node calls a resumed session authorized also where its client never showed anything.
  if (!certificate) return { fault: 'none was shown', until };
  if (!socket.authorized) return { fault: whyNot(socket.authorizationError), until };
  return { fault: null, until: Date.parse(certificate.validTo) };
}

const WHY: Record<string, string> = {
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet',
  INVALID_PURPOSE: 'it is not made for clients',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is signed by itself',
  SELF_SIGNED_CERT_IN_CHAIN: 'its authority is not one of ours',
  UNABLE_TO_GET_ISSUER_CERT: 'its authority is not one of ours',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its authority is not one of ours',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its authority is not one of ours',
};

function whyNot(error: unknown): string {
  const code = error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error);
  return WHY[code] ?? code;
}
