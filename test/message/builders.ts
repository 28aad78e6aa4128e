import type { Assignment, HeartbeatBody, Report, ReportBody } from '../../src/message/bodies.ts';
import type { Expected, OutgoingMessage } from '../../src/message/envelope.ts';
import { encodeHeader } from '../../src/message/header.ts';
import { type KeyUse, keyRingFromSecret } from '../../src/message/keys.ts';
import { workerAddress } from '../../src/message/principals.ts';
import { macOf } from '../../src/message/signature.ts';

export const SECRET = '0123456789abcdef0123456789abcdef';
export const ring = keyRingFromSecret(SECRET);
export const NOW = 1_700_000_000_123;
export const DEPLOYMENT = '5e0c8f7a-0000-4000-8000-000000000001';
export const W1 = workerAddress('w1', '1700000000000-abc');
export const MAILBOX = 'as:{0}:mailbox:w1';
export const REPORTS = 'as:{0}:reports';
export const LEASE = 'as:{0}:lease:w1';

export function aCancel(over: Partial<OutgoingMessage<'task.cancel'>> = {}): OutgoingMessage<'task.cancel'> {
  return {
    jti: 'message-1',
    type: 'task.cancel',
    from: 'coordinators',
    to: W1,
    stream: MAILBOX,
    deployment: DEPLOYMENT,
    now: NOW,
    correlationId: 'order-77',
    body: { cancels: [{ task: 't1', attemptId: 'a1', reason: 'größer ≠ 数', code: 'cancelled' }] },
    ...over,
  };
}

export function anAssignment(over: Partial<Assignment> = {}): Assignment {
  return {
    task: 't1',
    attemptId: 'a1',
    fence: 1,
    attempt: 1,
    timeoutMs: null,
    spec: '{"agent":"echo"}',
    seal: 'root.x',
    input: '{"text":"hi"}',
    ...over,
  };
}

export function anAssign(over: Partial<OutgoingMessage<'task.assign'>> = {}): OutgoingMessage<'task.assign'> {
  return {
    ...aCancel(),
    type: 'task.assign',
    from: 'distributors',
    body: { assignments: [anAssignment()] },
    ...over,
  } as OutgoingMessage<'task.assign'>;
}

export function aReport(over: Partial<OutgoingMessage<'task.report'>> = {}): OutgoingMessage<'task.report'> {
  const done: Report = {
    kind: 'completed',
    task: 't1',
    attemptId: 'a1',
    fence: 1,
    seq: 2,
    at: NOW,
    startedAt: NOW - 5,
    result: '{}',
  };
  return {
    jti: 'message-2',
    type: 'task.report',
    from: 'worker:w1',
    to: 'coordinators',
    stream: REPORTS,
    deployment: DEPLOYMENT,
    now: NOW,
    body: reportsOf([done]),
    ...over,
  };
}

export function reportsOf(reports: Report[]): ReportBody {
  return { incarnation: '1700000000000-abc', reports };
}

export function aHeartbeatBody(over: Partial<HeartbeatBody> = {}): HeartbeatBody {
  return {
    worker: 'w1',
    incarnation: '1700000000000-abc',
    distributor: null,
    alive: true,
    ready: true,
    draining: false,
    slots: 4,
    extra: 0,
    quick: [],
    agents: [{ name: 'echo', version: '1.0.0' }],
    unstarted: [],
    started: ['t1~a1'],
    done: [],
    mailbox: '0-0',
    ...over,
  };
}

export function aHeartbeat(
  over: Partial<OutgoingMessage<'worker.heartbeat'>> = {},
): OutgoingMessage<'worker.heartbeat'> {
  return {
    jti: 'message-3',
    type: 'worker.heartbeat',
    from: 'worker:w1',
    to: 'coordinators',
    stream: LEASE,
    deployment: DEPLOYMENT,
    now: NOW,
    body: aHeartbeatBody(),
    ...over,
  };
}

export function atMailbox(over: Partial<Expected> = {}): Expected {
  return { to: W1, stream: MAILBOX, streamKind: 'mailbox', deployment: DEPLOYMENT, now: NOW, ...over };
}

export function atReports(over: Partial<Expected> = {}): Expected {
  return { ...atMailbox(), to: 'coordinators', stream: REPORTS, streamKind: 'reports', ...over };
}

export function atLease(over: Partial<Expected> = {}): Expected {
  return { ...atMailbox(), to: 'coordinators', stream: LEASE, streamKind: 'lease', ...over };
}

/** The claims of `aCancel()` as they stand in the payload. */
export function cancelClaims(over: Record<string, unknown> = {}): Record<string, unknown> {
  const { body } = aCancel();
  return {
    v: 1,
    jti: 'message-1',
    type: 'task.cancel',
    iss: 'coordinators',
    aud: W1,
    str: MAILBOX,
    dep: DEPLOYMENT,
    iat: NOW / 1000,
    exp: (NOW + 60_000) / 1000,
    body,
    ...over,
  };
}

/** What a holder of the key of `use` can put under a valid MAC: any payload, any header. */
export function signedByHolder(
  payload: unknown,
  { use = 'coordinators>worker:w1', header }: { use?: KeyUse; header?: string } = {},
): string {
  const { kid, secret } = ring.signingKey(use);
  const protectedHeader = header === undefined ? encodeHeader(kid) : base64url(header);
  const signed = `${protectedHeader}.${base64url(typeof payload === 'string' ? payload : JSON.stringify(payload))}`;
  return `${signed}.${macOf(secret, signed)}`;
}

export function base64url(text: string): string {
  return Buffer.from(text).toString('base64url');
}
