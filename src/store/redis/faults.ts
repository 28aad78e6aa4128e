/*
 * Failures to get into Redis that no waiting mends: a wrong password, a certificate that does not fit, TLS spoken where
 * none is. Each gets a sentence with what is wanted and which setting to change. At the start such a fault refuses; later,
 * while running, it is only said, for then somebody is most likely at work on the server.
 */
import { connect as connectPlain, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectSecure } from 'node:tls';
import { AgentSystemError, StoreUnavailableError } from '../../errors.ts';
import { addressAt, endpointOf, type Place, type RedisAddress } from './address.ts';

const PROBE_MS = 1_000;

const CREDENTIALS = 'check REDIS_USERNAME and REDIS_PASSWORD, or those in REDIS_URL';
const OWN_CERTIFICATE = 'set REDIS_CERT_FILE and REDIS_KEY_FILE to a certificate that the server accepts and its key';

const ADVICE: readonly (readonly [found: RegExp, code: string, advice: string])[] = [
  [
    /^sentinel \S+: (NOAUTH|WRONGPASS|NOPERM|ERR AUTH)/,
    'STORE_FORBIDDEN',
    'wanted a user and password that the sentinels know: check REDIS_SENTINEL_USERNAME and REDIS_SENTINEL_PASSWORD',
  ],
  [
    /^(NOAUTH|WRONGPASS|ERR AUTH|ERR invalid password)/,
    'STORE_FORBIDDEN',
    `wanted a user and password that Redis knows: ${CREDENTIALS}`,
  ],
  [
    /^NOPERM|user executing the script can't|ACL failure in script/,
    'STORE_FORBIDDEN',
    `wanted a user who may run this on these keys: give it to the user (redis/users.acl has one for each role), or ${CREDENTIALS}`,
  ],
  [/^DENIED/, 'STORE_FORBIDDEN', 'Redis is in protected mode: give it a password, and REDIS_PASSWORD the same'],
  [
    /SELF_SIGNED_CERT|UNABLE_TO_VERIFY_LEAF|UNABLE_TO_GET_ISSUER|CERT_SIGNATURE_FAILURE|CERT_UNTRUSTED/,
    'STORE_MISCONFIGURED',
    'the certificate of Redis is signed by an authority that is not known here, wanted a known one: set REDIS_CA_FILE to its certificate',
  ],
  [
    /CERT_HAS_EXPIRED|CERT_NOT_YET_VALID/,
    'STORE_MISCONFIGURED',
    'wanted a certificate of Redis that is valid now: renew it, or look at the clock of this machine',
  ],
  [
    /ERR_TLS_CERT_ALTNAME_INVALID/,
    'STORE_MISCONFIGURED',
    'wanted a certificate for the host that was connected to: use a host that it names (REDIS_HOST or REDIS_URL), or have the host added to it',
  ],
  [
    /ALERT_CERTIFICATE_EXPIRED|ALERT_CERTIFICATE_REVOKED/,
    'STORE_MISCONFIGURED',
    'Redis refused the certificate of this process as run out or revoked: renew REDIS_CERT_FILE and REDIS_KEY_FILE',
  ],
  [
    /ALERT_UNKNOWN_CA|ALERT_BAD_CERTIFICATE|ALERT_UNSUPPORTED_CERTIFICATE|ALERT_CERTIFICATE_UNKNOWN/,
    'STORE_MISCONFIGURED',
    `Redis refused the certificate of this process, for it knows no authority that signed it: ${OWN_CERTIFICATE}`,
  ],
  [
    /CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE/,
    'STORE_MISCONFIGURED',
    `Redis wants a certificate of its clients and got none: ${OWN_CERTIFICATE}`,
  ],
  [
    /ERR_SSL_WRONG_VERSION_NUMBER|ERR_SSL_PACKET_LENGTH_TOO_LONG|ERR_SSL_UNSUPPORTED_PROTOCOL/,
    'STORE_MISCONFIGURED',
    'the port speaks no TLS, or none that is spoken here: set REDIS_USE_TLS=false (or a redis:// URL), or the port where Redis speaks TLS',
  ],
  [
    /KEY_VALUES_MISMATCH|ERR_OSSL/,
    'STORE_MISCONFIGURED',
    'wanted PEM files that belong together: check REDIS_CA_FILE, REDIS_CERT_FILE and REDIS_KEY_FILE',
  ],
];

/** What to do about it; null when waiting is all there is to do. */
export function adviceFor(cause: unknown): string | null {
  return entryFor(cause)?.[2] ?? null;
}

/** The error of a store that was away, as the refusal that it deserves at the start; null when it may mend itself. */
export function lastingFault(error: unknown): AgentSystemError | null {
  if (!(error instanceof StoreUnavailableError)) return null;
  const { cause } = error;
  const code = cause instanceof AgentSystemError && !cause.retryable ? cause.code : entryFor(cause)?.[1];
  return code === undefined ? null : new AgentSystemError(code, error.message, { cause });
}

/**
 * Why a connection was closed without a word. Redis closes one on which plain text comes instead of TLS, waits for more
 * when TLS comes instead of plain text, and refuses a client without a certificate only after that has begun to write, so
 * that the reason is lost on the way: in each case only another try, made for the answer alone, tells.
 */
export async function hiddenFault(error: unknown, address: RedisAddress): Promise<AgentSystemError | null> {
  if (!(error instanceof StoreUnavailableError)) return null;
  const { cause } = error;
  const silent = cause instanceof Error && /Connection is closed|ETIMEDOUT|ECONNRESET|EPIPE/.test(cause.message);
  const said = silent ? await saidBy(address) : null;
  return said === null ? null : new AgentSystemError('STORE_MISCONFIGURED', `${error.message}; ${said}`, { cause });
}

/** One server speaks for all: nodes and sentinels are set up alike. */
async function saidBy(address: RedisAddress): Promise<string | null> {
  const place = address.sentinel?.nodes[0] ?? address.cluster?.nodes[0] ?? endpointOf(address);
  const { host, port, tls } = endpointOf(addressAt(address, place));
  if (!tls)
    return (await speaksTls({ host, port }))
      ? 'the port speaks TLS, and plain text was spoken: set REDIS_USE_TLS=true (or a rediss:// URL)'
      : null;
  if (await speaksPlain({ host, port }))
    return 'the port speaks no TLS: set REDIS_USE_TLS=false (or a redis:// URL), or the port where Redis speaks TLS';
  return adviceFor(await alertOf({ host, port }, tls));
}

/** What the other side says once TLS is spoken, when nothing is written to it. */
function alertOf(place: Place, tls: ConnectionOptions): Promise<Error | null> {
  return new Promise((resolve) => {
    const socket = connectSecure({ ...tls, ...place, timeout: PROBE_MS });
    const tell = (error: Error | null) => {
      socket.destroy();
      resolve(error);
    };
    socket.once('timeout', () => tell(null));
    socket.once('error', tell);
    socket.once('close', () => tell(null));
    // Without a reader the alert is never looked at.
    socket.resume();
  });
}

/** The certificate is of no matter to that. */
function speaksTls(place: Place): Promise<boolean> {
  return answered(connectSecure({ ...place, rejectUnauthorized: false, timeout: PROBE_MS }), 'secureConnect');
}

/** Whatever is answered to it: that a password is wanted, too. */
function speaksPlain(place: Place): Promise<boolean> {
  const socket = connectPlain({ ...place, timeout: PROBE_MS }, () => socket.write('PING\r\n'));
  return answered(socket, 'data');
}

function answered(socket: Socket, event: 'secureConnect' | 'data'): Promise<boolean> {
  return new Promise((resolve) => {
    const tell = (found: boolean) => {
      socket.destroy();
      resolve(found);
    };
    socket.once('timeout', () => tell(false));
    socket.once(event, () => tell(true));
    socket.once('error', () => tell(false));
    socket.once('close', () => resolve(false));
  });
}

function entryFor(cause: unknown) {
  if (!(cause instanceof Error)) return undefined;
  const { code = '' } = cause as NodeJS.ErrnoException;
  return ADVICE.find(([found]) => found.test(cause.message) || found.test(code));
}
