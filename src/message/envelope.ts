/**
 * One signed message as it lies in a stream: a JWS in compact form (RFC 7515), signed over its exact stored bytes.
 *
 * Whoever can write to the store is taken for an attacker, so opening goes from cheap and safe to rich: the header is
 * compared as text and names a key of a pair that ends at the reader; the MAC is checked over the text as it is; only
 * then is the payload parsed, and only then do the claims count. Sender and receiver are the key's, the claims must
 * repeat them. What a message names (stream, deployment, incarnation, time) stops it from being moved elsewhere; that
 * the same message may come again where it belongs is for the receiver to recognise (see replay.ts).
 */
import { z } from 'zod';
import { AgentSystemError } from '../errors.ts';
import { decodeHeader, encodeHeader, type KeyId } from './header.ts';
import type { Key, KeyRing } from './keys.ts';
import { type Address, type Principal, principalOf } from './principals.ts';
import { macMatches, macOf } from './signature.ts';
import { type BodyOf, isMessageType, type MessageType, maySend, ruleOf, type StreamKind } from './types.ts';

/** How long a message is good for after it was signed. */
export const MESSAGE_LIFETIME_MS = 60_000;
/** How far two readings of the store's time may differ. */
export const CLOCK_SKEW_MS = 5_000;
/** What is longer is neither signed nor opened; senders split batches long before (64 Mi characters). */
export const ENVELOPE_LENGTH_MAX = 64 * 1024 * 1024;

const VERSION = 1;

export interface OutgoingMessage<T extends MessageType> {
  /** Unique and unguessable, from the runtime's ids. */
  readonly jti: string;
  readonly type: T;
  readonly from: Principal;
  readonly to: Address;
  /** Name of the stream it will be appended to. */
  readonly stream: string;
  readonly deployment: string;
  /** The store's time in milliseconds. */
  readonly now: number;
  readonly correlationId?: string;
  readonly body: BodyOf<T>;
}

/** A message that passed every check. Times are the store's, in milliseconds. */
export type Message = { [T in MessageType]: MessageOf<T> }[MessageType];

export interface MessageOf<T extends MessageType> {
  readonly jti: string;
  readonly type: T;
  readonly from: Principal;
  readonly to: Address;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly correlationId?: string;
  readonly body: BodyOf<T>;
}

/** What the reader of a stream knows about every message that belongs there. */
export interface Expected {
  /** The reader's own address. */
  readonly to: Address;
  readonly stream: string;
  readonly streamKind: StreamKind;
  readonly deployment: string;
  /** The store's time in milliseconds. */
  readonly now: number;
  /** The time in the id of the stream entry, in milliseconds; what is valid by when it was appended is held to this. */
  readonly entryTime?: number;
}

/** Also the label of `agent_messages_rejected_total`. */
export type RejectReason =
  | 'malformed' // not three parts, too long, or claims that are missing or of a wrong kind
  | 'header' // anything but our one header
  | 'key' // a key we do not hold, or one of another pair than the claims say
  | 'signature'
  | 'version' // of the envelope's format
  | 'audience' // for another receiver, or another life of this one
  | 'stream'
  | 'deployment'
  | 'type' // not a message type we know
  | 'sender' // who signed may not send this type here, or speaks in another's name
  | 'expired'
  | 'not_yet' // signed in the future
  | 'body';

/** `detail` says what was found, for the log and the quarantine; it is short and may quote the message. */
export type Opened = { ok: true; message: Message } | { ok: false; reason: RejectReason; detail: string };

/** Signs with the newest key of the pair. Throws when the sender may not send this type to that receiver. */
export function signEnvelope<T extends MessageType>(message: OutgoingMessage<T>, keyRing: KeyRing): string {
  const { type, from, to } = message;
  // In whole milliseconds, so that both times survive the way through seconds and back.
  const now = Math.round(message.now);
  const receiver = principalOf(to);
  if (!maySend(type, from, receiver)) {
    throw new AgentSystemError('SENDER_NOT_ALLOWED', `"${from}" may not send ${type} to "${to}".`);
  }
  const claims = {
    v: VERSION,
    jti: message.jti,
    type,
    iss: from,
    aud: to,
    str: message.stream,
    dep: message.deployment,
    // NumericDate is in seconds; the fraction keeps the milliseconds.
    iat: now / 1000,
    exp: (now + MESSAGE_LIFETIME_MS) / 1000,
    cor: message.correlationId,
    body: message.body,
  };
  return signPayload(JSON.stringify(claims), keyRing.signingKey(`${from}>${receiver}`), type);
}

function signPayload(payload: string, key: Key, type: MessageType): string {
  const signed = `${encodeHeader(key.kid)}.${Buffer.from(payload).toString('base64url')}`;
  if (signed.length > ENVELOPE_LENGTH_MAX) {
    throw new AgentSystemError(
      'ENVELOPE_TOO_LARGE',
      `A ${type} envelope would have ${signed.length} characters, at most ${ENVELOPE_LENGTH_MAX} are sent; split the batch.`,
    );
  }
  return `${signed}.${macOf(key.secret, signed)}`;
}

/** Checks an envelope completely, without a side effect; the first failed check gives the reason. */
export function openEnvelope(text: string, expected: Expected, keyRing: KeyRing): Opened {
  const parts = split(text);
  if (parts === undefined) return refused('malformed', `${text.length} characters, not a compact JWS`);
  const keyId = decodeHeader(parts.header);
  if (keyId === undefined) return refused('header', 'the protected header is not exactly ours');
  // A label only: the MAC would say the same later, but a stranger's message need not cost a derived key.
  if (keyId.to !== principalOf(expected.to)) return refused('audience', `signed for "${keyId.to}"`);
  const key = keyRing.verifyingKey(keyId.generation, keyId.use);
  if (key === undefined) return refused('key', `no key "${keyId.generation}" for "${keyId.use}"`);
  if (!macMatches(key.secret, parts.signed, parts.mac)) return refused('signature', `signed as "${key.kid}"`);
  return judge(parseJson(parts.payload), keyId, expected);
}

const claimsSchema = z.object({
  jti: z.string().min(1).max(128),
  type: z.string(),
  iss: z.string(),
  aud: z.string(),
  str: z.string(),
  dep: z.string(),
  iat: z.number(),
  exp: z.number(),
  cor: z.string().optional(),
  body: z.unknown(),
});
type Claims = z.infer<typeof claimsSchema>;

/** From here on the payload is known to come from a holder of the key. */
function judge(payload: unknown, keyId: KeyId, expected: Expected): Opened {
  // Before the other claims: another version may have others.
  const version = (payload as { v?: unknown } | null | undefined)?.v;
  if (version !== undefined && version !== VERSION) return refused('version', `v is ${shown(version)}, not ${VERSION}`);
  const parsed = claimsSchema.safeParse(payload);
  if (version === undefined || !parsed.success) return refused('malformed', 'the claims are not those of an envelope');
  const claims = parsed.data;
  const misplaced = whyMisplaced(claims, keyId, expected);
  if (misplaced !== undefined) return misplaced;

  const { type } = claims;
  if (!isMessageType(type)) return refused('type', `unknown message type ${shown(type)}`);
  if (ruleOf(type).stream !== expected.streamKind || !maySend(type, keyId.from, keyId.to)) {
    return refused(
      'sender',
      `"${keyId.from}" may not send ${type} to "${keyId.to}" on a ${expected.streamKind} stream`,
    );
  }
  return whyUntimely(claims, type, expected) ?? openBody(claims, type, keyId);
}

/** Its key, receiver, stream and deployment must be the ones it was signed for. */
function whyMisplaced(claims: Claims, keyId: KeyId, expected: Expected): Opened | undefined {
  const { iss, aud, str, dep } = claims;
  if (iss !== keyId.from || principalOf(aud) !== keyId.to) {
    return refused('key', `from ${shown(iss)} to ${shown(aud)}, but signed as "${keyId.use}"`);
  }
  if (aud !== expected.to) return refused('audience', `for ${shown(aud)}, not "${expected.to}"`);
  if (str !== expected.stream) return refused('stream', `for stream ${shown(str)}, found in "${expected.stream}"`);
  if (dep !== expected.deployment) return refused('deployment', `of deployment ${shown(dep)}`);
  return undefined;
}

function whyUntimely(claims: Claims, type: MessageType, expected: Expected): Opened | undefined {
  const issuedAt = toMs(claims.iat);
  const expiresAt = toMs(claims.exp);
  // Receivers forget what they have seen once it cannot be valid any more, so nobody may sign for longer.
  if (expiresAt - issuedAt > MESSAGE_LIFETIME_MS) {
    return refused('malformed', `valid for ${expiresAt - issuedAt} ms, at most ${MESSAGE_LIFETIME_MS} are allowed`);
  }
  // A stream into which someone wrote a far id goes on from there; what is honest in it is held to the time it is read.
  const appendedAt = Math.min(expected.entryTime ?? expected.now, expected.now);
  const at = ruleOf(type).validWhen === 'appended' ? appendedAt : expected.now;
  if (at > expiresAt + CLOCK_SKEW_MS) return refused('expired', `expired ${at - expiresAt} ms before`);
  if (at < issuedAt - CLOCK_SKEW_MS) return refused('not_yet', `signed ${issuedAt - at} ms after`);
  return undefined;
}

function openBody(claims: Claims, type: MessageType, keyId: KeyId): Opened {
  const { body: schema, spokenBy } = ruleOf(type);
  const body = schema.safeParse(claims.body);
  if (!body.success) return refused('body', firstIssue(body.error));
  if (spokenBy?.(body.data, keyId.from) === false) {
    return refused('sender', `"${keyId.from}" speaks in the name of another`);
  }
  const message = {
    jti: claims.jti,
    type,
    from: keyId.from,
    to: claims.aud,
    issuedAt: toMs(claims.iat),
    expiresAt: toMs(claims.exp),
    correlationId: claims.cor,
    body: body.data,
  };
  // The table ties the body's schema to the type, which the compiler cannot follow through a look-up.
  return { ok: true, message: message as Message };
}

/** `mac` is the last part, `signed` the text before it. */
function split(text: string): { header: string; payload: string; signed: string; mac: string } | undefined {
  if (text.length > ENVELOPE_LENGTH_MAX + 64) return undefined;
  const first = text.indexOf('.');
  const last = text.lastIndexOf('.');
  if (first <= 0 || last === first || text.indexOf('.', first + 1) !== last) return undefined;
  return {
    header: text.slice(0, first),
    payload: text.slice(first + 1, last),
    signed: text.slice(0, last),
    mac: text.slice(last + 1),
  };
}

function parseJson(payload: string): unknown {
  try {
    return JSON.parse(Buffer.from(payload, 'base64url').toString());
  } catch {
    return undefined;
  }
}

/** Rounded, because seconds times 1000 may miss the millisecond by a fraction. */
function toMs(numericDate: number): number {
  return Math.round(numericDate * 1000);
}

function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0]!;
  return clipped(`body.${issue.path.join('.')}: ${issue.message}`);
}

function shown(value: unknown): string {
  return clipped(JSON.stringify(value));
}

function clipped(text: string): string {
  return text.length > 200 ? `${text.slice(0, 199)}…` : text;
}

function refused(reason: RejectReason, detail: string): Opened {
  return { ok: false, reason, detail };
}
