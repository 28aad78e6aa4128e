import { CompactSign, compactVerify, decodeProtectedHeader, FlattenedSign } from 'jose';
import { describe, expect, it } from 'vitest';
import { openEnvelope, signEnvelope } from '../../src/message/envelope.ts';
import type { KeyUse } from '../../src/message/keys.ts';
import { aCancel, aHeartbeat, anAssign, aReport, atMailbox, cancelClaims, NOW, ring } from './builders.ts';

const secretOf = (use: KeyUse) => ring.signingKey(use).secret;
const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const HEADER = { alg: 'HS256', kid: 'root.coordinators>worker:w1', typ: 'agent-msg+jws' };

/** jose signs with plain bytes, so that it does not depend on our key objects. */
const keyBytes = (use: KeyUse) => new Uint8Array(secretOf(use).export());

describe('jose, an independent implementation of RFC 7515', () => {
  it('verifies what we sign, for each type of message', async () => {
    const signed: [string, KeyUse][] = [
      [signEnvelope(aCancel(), ring), 'coordinators>worker:w1'],
      [signEnvelope(anAssign(), ring), 'distributors>worker:w1'],
      [signEnvelope(aReport(), ring), 'worker:w1>coordinators'],
      [signEnvelope(aHeartbeat({ to: 'distributors' }), ring), 'worker:w1>distributors'],
    ];
    for (const [text, use] of signed) {
      const { payload, protectedHeader } = await compactVerify(text, keyBytes(use), { algorithms: ['HS256'] });
      expect(protectedHeader).toEqual({ alg: 'HS256', kid: `root.${use}`, typ: 'agent-msg+jws' });
      expect(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))).toMatchObject({
        v: 1,
        iat: NOW / 1000,
        exp: (NOW + 60_000) / 1000,
      });
    }
  });

  it('refuses what we sign for another pair', async () => {
    const text = signEnvelope(aCancel(), ring);
    await expect(compactVerify(text, keyBytes('coordinators>worker:w2'))).rejects.toThrow(/signature/);
    await expect(compactVerify(text, keyBytes('worker:w1>coordinators'))).rejects.toThrow(/signature/);
  });

  it('signs what we open, to the same bytes as ours', async () => {
    const key = keyBytes('coordinators>worker:w1');
    const text = await new CompactSign(bytes(cancelClaims())).setProtectedHeader(HEADER).sign(key);
    expect(openEnvelope(text, atMailbox(), ring)).toMatchObject({ ok: true, message: { body: aCancel().body } });
    expect(text).toBe(signEnvelope(aCancel({ correlationId: undefined }), ring));
  });

  it('may sign with other headers or keys; we open none of it', async () => {
    const key = keyBytes('coordinators>worker:w1');
    const sign = (header: object, secret: Uint8Array = key) =>
      new CompactSign(bytes(cancelClaims())).setProtectedHeader(header as typeof HEADER).sign(secret);
    const reasonOf = (text: string) => {
      const opened = openEnvelope(text, atMailbox(), ring);
      return opened.ok ? 'accepted' : opened.reason;
    };

    expect(reasonOf(await sign({ ...HEADER, alg: 'HS512' }, new Uint8Array(64)))).toBe('header');
    expect(reasonOf(await sign({ ...HEADER, cty: 'json' }))).toBe('header');
    expect(reasonOf(await sign({ typ: HEADER.typ, kid: HEADER.kid, alg: 'HS256' }))).toBe('header');
    expect(reasonOf(await sign(HEADER, new Uint8Array(32)))).toBe('signature');
    expect(reasonOf(await sign(HEADER, keyBytes('distributors>worker:w1')))).toBe('signature');

    const detached = await new FlattenedSign(bytes(cancelClaims()))
      .setProtectedHeader({ ...HEADER, b64: false, crit: ['b64'] })
      .sign(key);
    const payload = Buffer.from(bytes(cancelClaims())).toString('base64url');
    expect(reasonOf(`${detached.protected}.${payload}.${detached.signature}`)).toBe('header');
  });

  it('reads our header as we wrote it', () => {
    expect(JSON.stringify(decodeProtectedHeader(signEnvelope(aCancel(), ring)))).toBe(JSON.stringify(HEADER));
  });
});
