import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ENTRIES_PER_ENVELOPE_MAX, type Report } from '../../src/message/bodies.ts';
import {
  CLOCK_SKEW_MS,
  ENVELOPE_LENGTH_MAX,
  type Expected,
  MESSAGE_LIFETIME_MS,
  openEnvelope,
  type RejectReason,
  signEnvelope,
} from '../../src/message/envelope.ts';
import { keyRing, keyRingFromSecret } from '../../src/message/keys.ts';
import { workerAddress } from '../../src/message/principals.ts';
import {
  aCancel,
  aHeartbeat,
  aHeartbeatBody,
  anAssign,
  anAssignment,
  aReport,
  atLease,
  atMailbox,
  atReports,
  cancelClaims,
  DEPLOYMENT,
  MAILBOX,
  NOW,
  REPORTS,
  reportsOf,
  ring,
  SECRET,
  signedByHolder,
  W1,
} from './builders.ts';

// Computed with Python's hmac and hashlib from the description of the format, not with this code.
const GOLDEN =
  'eyJhbGciOiJIUzI1NiIsImtpZCI6InJvb3QuY29vcmRpbmF0b3JzPndvcmtlcjp3MSIsInR5cCI6ImFnZW50LW1zZytqd3MifQ' +
  '.eyJ2IjoxLCJqdGkiOiJtZXNzYWdlLTEiLCJ0eXBlIjoidGFzay5jYW5jZWwiLCJpc3MiOiJjb29yZGluYXRvcnMiLCJhdWQiOiJ3b3JrZXI6dzFA' +
  'MTcwMDAwMDAwMDAwMC1hYmMiLCJzdHIiOiJhczp7MH06bWFpbGJveDp3MSIsImRlcCI6IjVlMGM4ZjdhLTAwMDAtNDAwMC04MDAwLTAwMDAwMDAw' +
  'MDAwMSIsImlhdCI6MTcwMDAwMDAwMC4xMjMsImV4cCI6MTcwMDAwMDA2MC4xMjMsImNvciI6Im9yZGVyLTc3IiwiYm9keSI6eyJjYW5jZWxzIjpb' +
  'eyJ0YXNrIjoidDEiLCJhdHRlbXB0SWQiOiJhMSIsInJlYXNvbiI6Imdyw7bDn2VyIOKJoCDmlbAiLCJjb2RlIjoiY2FuY2VsbGVkIn1dfX0' +
  '.47mD_N8Ka-IhIThSMBEssEFr6xP6vLZazS9-u5cZEco';

function reasonOf(text: string, expected: Expected, keys = ring): RejectReason | 'accepted' {
  const opened = openEnvelope(text, expected, keys);
  return opened.ok ? 'accepted' : opened.reason;
}

describe('an envelope that arrives where it was sent', () => {
  it('has exactly the bytes of the golden vector', () => {
    expect(signEnvelope(aCancel(), ring)).toBe(GOLDEN);
  });

  it('opens with every fact its sender signed, in milliseconds', () => {
    expect(openEnvelope(GOLDEN, atMailbox(), ring)).toEqual({
      ok: true,
      message: {
        jti: 'message-1',
        type: 'task.cancel',
        from: 'coordinators',
        to: W1,
        issuedAt: NOW,
        expiresAt: NOW + 60_000,
        correlationId: 'order-77',
        body: aCancel().body,
      },
    });
  });

  it('carries each type on its own kind of stream', () => {
    expect(reasonOf(signEnvelope(anAssign(), ring), atMailbox())).toBe('accepted');
    expect(reasonOf(signEnvelope(anAssign({ from: 'coordinators' }), ring), atMailbox())).toBe('accepted');
    expect(reasonOf(signEnvelope(aReport(), ring), atReports())).toBe('accepted');
    expect(reasonOf(signEnvelope(aHeartbeat(), ring), atLease())).toBe('accepted');
    const toDistributors = signEnvelope(aHeartbeat({ to: 'distributors' }), ring);
    expect(reasonOf(toDistributors, atLease({ to: 'distributors' }))).toBe('accepted');
  });

  it('keeps arbitrary JSON texts and Unicode of a batch to the byte', () => {
    const text = fc.jsonValue().map((value) => JSON.stringify(value));
    const entry = fc.record({
      spec: text,
      input: text,
      task: fc.string({ unit: 'binary', minLength: 1, maxLength: 99 }),
    });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 20 }), fc.nat(4e12), (entries, now) => {
        const body = { assignments: entries.map((over) => anAssignment(over)) };
        const opened = openEnvelope(signEnvelope(anAssign({ body, now }), ring), atMailbox({ now }), ring);
        expect(opened).toMatchObject({ ok: true, message: { body, issuedAt: now, expiresAt: now + 60_000 } });
      }),
    );
  });

  it('keeps lone surrogates, control characters and "__proto__" as what they are', () => {
    const reason = '\ud800 \u0000 \u2028 "\\ __proto__ 🙂';
    const body = { cancels: [{ ...aCancel().body.cancels[0]!, reason }] };
    expect(openEnvelope(signEnvelope(aCancel({ body }), ring), atMailbox(), ring)).toMatchObject({
      message: { body },
    });
    const labels = JSON.parse('{"__proto__":"x","zone":"eu"}') as Record<string, string>;
    const heartbeat = signEnvelope(aHeartbeat({ body: aHeartbeatBody({ labels }) }), ring);
    const opened = openEnvelope(heartbeat, atLease(), ring);
    if (!opened.ok || opened.message.type !== 'worker.heartbeat') throw new Error('the heartbeat was refused');
    expect(Object.getPrototypeOf(opened.message.body.labels)).toBe(Object.prototype);
    expect(opened.message.body.labels?.zone).toBe('eu');
  });

  it('accepts any time, also with a fraction of a millisecond or one that seconds do not hold exactly', () => {
    for (const now of [1001, 500.5]) {
      const opened = openEnvelope(signEnvelope(aCancel({ now }), ring), atMailbox({ now }), ring);
      expect(opened).toMatchObject({ ok: true, message: { issuedAt: Math.round(now) } });
    }
    fc.assert(
      fc.property(fc.double({ min: 0, max: 4e12, noNaN: true }), (now) => {
        expect(reasonOf(signEnvelope(aCancel({ now }), ring), atMailbox({ now }))).toBe('accepted');
      }),
    );
  });
});

describe('an envelope in the wrong place', () => {
  const cancel = signEnvelope(aCancel(), ring);

  it.each<[string, Expected, RejectReason]>([
    ['another worker', atMailbox({ to: workerAddress('w2', '1700000000000-abc') }), 'audience'],
    ['another incarnation', atMailbox({ to: workerAddress('w1', '1700000000001-xyz') }), 'audience'],
    ['a group', atMailbox({ to: 'coordinators' }), 'audience'],
    ['another stream', atMailbox({ stream: `${MAILBOX}2` }), 'stream'],
    ['another kind of stream', atMailbox({ streamKind: 'reports' }), 'sender'],
    ['another deployment', atMailbox({ deployment: DEPLOYMENT.replace('1', '2') }), 'deployment'],
  ])('is refused at %s', (_, expected, reason) => {
    expect(reasonOf(cancel, expected)).toBe(reason);
  });

  it('costs no key when it is meant for somebody else', () => {
    const asked = { ...ring, verifyingKey: () => expect.fail('a key was derived') };
    expect(reasonOf(cancel, atMailbox({ to: 'distributors' }), asked)).toBe('audience');
  });

  it('is refused under another root and under an unknown generation', () => {
    expect(reasonOf(cancel, atMailbox(), keyRingFromSecret(`${SECRET}!`))).toBe('signature');
    expect(reasonOf(cancel, atMailbox(), keyRingFromSecret(SECRET, 'next'))).toBe('key');
  });

  it('opens under an older generation once a newer one signs', () => {
    const rotated = keyRing([
      { kid: 'next', secret: 'n'.repeat(32) },
      { kid: 'root', secret: SECRET },
    ]);
    expect(reasonOf(cancel, atMailbox(), rotated)).toBe('accepted');
    expect(reasonOf(signEnvelope(aCancel(), rotated), atMailbox(), ring)).toBe('key');
  });
});

describe('the life of an envelope', () => {
  const lastGoodMs = NOW + MESSAGE_LIFETIME_MS + CLOCK_SKEW_MS;

  it.each([
    [lastGoodMs, 'accepted'],
    [lastGoodMs + 1, 'expired'],
    [NOW - CLOCK_SKEW_MS, 'accepted'],
    [NOW - CLOCK_SKEW_MS - 1, 'not_yet'],
  ])('an order read at %i is %s', (now, verdict) => {
    expect(reasonOf(signEnvelope(aCancel(), ring), atMailbox({ now }))).toBe(verdict);
    expect(reasonOf(signEnvelope(anAssign(), ring), atMailbox({ now }))).toBe(verdict);
  });

  it('does not let the age of its stream entry excuse a late order', () => {
    const late = atMailbox({ now: lastGoodMs + 1, entryTime: NOW });
    expect(reasonOf(signEnvelope(aCancel(), ring), late)).toBe('expired');
    expect(reasonOf(signEnvelope(anAssign(), ring), late)).toBe('expired');
  });

  it('takes a report read hours later by the time it was appended', () => {
    const report = signEnvelope(aReport(), ring);
    const now = NOW + 5 * 3_600_000;
    expect(reasonOf(report, atReports({ now, entryTime: NOW + 20 }))).toBe('accepted');
    expect(reasonOf(report, atReports({ now, entryTime: lastGoodMs + 1 }))).toBe('expired');
    expect(reasonOf(report, atReports({ now, entryTime: NOW - CLOCK_SKEW_MS - 1 }))).toBe('not_yet');
    expect(reasonOf(report, atReports({ now }))).toBe('expired');
  });

  it('takes a report by the time it is read where its entry pretends to come from the future', () => {
    const report = signEnvelope(aReport(), ring);
    const entryTime = NOW + 1e12;
    expect(reasonOf(report, atReports({ now: NOW + 50, entryTime }))).toBe('accepted');
    expect(reasonOf(report, atReports({ now: lastGoodMs + 1, entryTime }))).toBe('expired');
  });

  it('may not be signed for longer than receivers remember', () => {
    const exp = (NOW + 60_001) / 1000;
    expect(reasonOf(signedByHolder(cancelClaims({ exp })), atMailbox())).toBe('malformed');
  });
});

describe('claims under a valid signature', () => {
  it.each<[string, Record<string, unknown>, RejectReason]>([
    ['a newer format', { v: 2, iss: undefined }, 'version'],
    ['a version of another kind', { v: '1' }, 'version'],
    ['no version', { v: undefined }, 'malformed'],
    ['no id', { jti: undefined }, 'malformed'],
    ['an empty id', { jti: '' }, 'malformed'],
    ['a body but no type', { type: undefined }, 'malformed'],
    ['an iat that is text', { iat: '2023' }, 'malformed'],
    ['no exp', { exp: undefined }, 'malformed'],
    ['another sender than the key', { iss: 'distributors' }, 'key'],
    ['another receiver than the key', { aud: 'worker:w2@1700000000000-abc' }, 'key'],
    ['another incarnation', { aud: 'worker:w1@other' }, 'audience'],
    ['another stream', { str: 'elsewhere' }, 'stream'],
    ['another deployment', { dep: 'elsewhere' }, 'deployment'],
    ['an unknown type', { type: 'task.explode' }, 'type'],
    ['a type named like an object member', { type: 'constructor' }, 'type'],
    ['a type of another direction', { type: 'task.report' }, 'sender'],
    ['no body', { body: undefined }, 'malformed'],
    ['a body of another type', { body: { assignments: [] } }, 'body'],
    ['a cancel code nobody knows', { body: { cancels: [{ ...aCancel().body.cancels[0], code: 'why' }] } }, 'body'],
  ])('with %s are refused', (_, over, reason) => {
    expect(reasonOf(signedByHolder(cancelClaims(over)), atMailbox())).toBe(reason);
  });

  it('that are no JSON object are refused', () => {
    for (const payload of ['', 'null', '7', '"text"', '[]', '{', '\ufeff{}']) {
      expect(reasonOf(signedByHolder(payload), atMailbox())).toBe('malformed');
    }
  });

  it('may hold fields of a newer neighbour, which are dropped', () => {
    const body = { cancels: [{ ...aCancel().body.cancels[0], colour: 'red' }], mood: 'good' };
    const opened = openEnvelope(signedByHolder(cancelClaims({ body, zzz: 1 })), atMailbox(), ring);
    expect(opened).toMatchObject({ ok: true });
    if (opened.ok) expect(opened.message.body).toEqual(aCancel().body);
  });
});

describe('who may speak', () => {
  it.each<[string, () => string]>([
    ['a worker cancels', () => signEnvelope(aCancel({ from: 'worker:w2' }), ring)],
    ['distributors cancel', () => signEnvelope(aCancel({ from: 'distributors' }), ring)],
    ['coordinators report', () => signEnvelope(aReport({ from: 'coordinators' }), ring)],
    ['a worker reports to distributors', () => signEnvelope(aReport({ to: 'distributors' }), ring)],
    ['coordinators send a heartbeat', () => signEnvelope(aHeartbeat({ from: 'coordinators' }), ring)],
  ])('refuses to sign when %s', (_, sign) => {
    expect(sign).toThrow(/may not send/);
  });

  it('refuses the same when a key holder signed it all the same', () => {
    const fromDistributors = cancelClaims({ iss: 'distributors' });
    expect(reasonOf(signedByHolder(fromDistributors, { use: 'distributors>worker:w1' }), atMailbox())).toBe('sender');
    const fromWorker = cancelClaims({ iss: 'worker:w2' });
    expect(reasonOf(signedByHolder(fromWorker, { use: 'worker:w2>worker:w1' }), atMailbox())).toBe('sender');
  });

  it('never lets worker A speak as worker B', () => {
    const asB = cancelClaims({ ...reportClaims(), iss: 'worker:b' });
    expect(reasonOf(signedByHolder(asB, { use: 'worker:a>coordinators' }), atReports())).toBe('key');
    const headerOfB = '{"alg":"HS256","kid":"root.worker:b>coordinators","typ":"agent-msg+jws"}';
    const forged = signedByHolder(asB, { use: 'worker:a>coordinators', header: headerOfB });
    expect(reasonOf(forged, atReports())).toBe('signature');
    const heartbeatOfB = aHeartbeat({ from: 'worker:a', body: aHeartbeatBody({ worker: 'b' }) });
    expect(reasonOf(signEnvelope(heartbeatOfB, ring), atLease())).toBe('sender');
  });

  function reportClaims() {
    return { type: 'task.report', aud: 'coordinators', str: REPORTS, body: aReport().body };
  }
});

describe('the body of a report', () => {
  const base = { task: 't', attemptId: 'a', fence: 1, seq: 1, at: NOW };
  const kinds: Report[] = [
    { kind: 'started', ...base },
    { kind: 'progress', ...base, progress: 0.5, note: 'half', usage: { inputTokens: 3 } },
    { kind: 'completed', ...base, result: 'null', startedAt: NOW, usage: { outputTokens: 0, toolIterations: 2 } },
    { kind: 'failed', ...base, error: { code: 'handler_error', message: 'no', retryable: true, retryAfterMs: 5 } },
    { kind: 'returned', ...base, why: 'drain' },
  ];

  it('holds every kind of report unchanged', () => {
    const opened = openEnvelope(signEnvelope(aReport({ body: reportsOf(kinds) }), ring), atReports(), ring);
    expect(opened).toMatchObject({ ok: true, message: { body: { reports: kinds } } });
  });

  it.each<[string, Record<string, unknown>]>([
    ['a fence that is no integer', { fence: 1.5 }],
    ['a fence beyond exact numbers', { fence: 2 ** 53 }],
    ['a negative sequence', { seq: -1 }],
    ['an empty attempt id', { attemptId: '' }],
    ['an overlong task id', { task: 'x'.repeat(257) }],
    ['progress above 1', { kind: 'progress', progress: 1.01 }],
    ['an unknown kind', { kind: 'exploded' }],
    ['a result that is not text', { kind: 'completed', startedAt: 1, result: {} }],
  ])('is refused with %s, and the place is named', (_, over) => {
    const reports = [kinds[0]!, { ...base, kind: 'started', ...over } as Report];
    const opened = openEnvelope(signEnvelope(aReport({ body: reportsOf(reports) }), ring), atReports(), ring);
    expect(opened).toMatchObject({ ok: false, reason: 'body', detail: expect.stringMatching(/^body\.reports\.1\./) });
  });

  it('takes as many reports as one commit and no more', () => {
    const signed = (count: number) =>
      signEnvelope(aReport({ body: reportsOf(new Array<Report>(count).fill(kinds[0]!)) }), ring);
    expect(reasonOf(signed(ENTRIES_PER_ENVELOPE_MAX), atReports())).toBe('accepted');
    expect(reasonOf(signed(ENTRIES_PER_ENVELOPE_MAX + 1), atReports())).toBe('body');
  });
});

describe('size', () => {
  it('refuses to sign what would be too long, and to open it', () => {
    const input = 'x'.repeat((ENVELOPE_LENGTH_MAX / 4) * 3);
    const body = { assignments: [anAssignment({ input })] };
    expect(() => signEnvelope(anAssign({ body }), ring)).toThrow(/split the batch/);
    expect(reasonOf('x'.repeat(ENVELOPE_LENGTH_MAX + 65), atMailbox())).toBe('malformed');
  });

  it('keeps the detail of a refusal short, whatever the message says', () => {
    const opened = openEnvelope(signedByHolder(cancelClaims({ str: 'x'.repeat(100_000) })), atMailbox(), ring);
    expect(opened).toMatchObject({ reason: 'stream' });
    if (!opened.ok) expect(opened.detail.length).toBeLessThan(400);
  });
});
