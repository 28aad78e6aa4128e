import { describe, expect, it } from 'vitest';
import { openEnvelope, signEnvelope } from '../../src/message/envelope.ts';
import { aCancel, atMailbox, base64url, cancelClaims, ring, signedByHolder } from './builders.ts';

const genuine = signEnvelope(aCancel(), ring);
const opensAs = (text: string) => {
  const opened = openEnvelope(text, atMailbox(), ring);
  return opened.ok ? 'accepted' : opened.reason;
};

describe('a stored envelope that was changed', () => {
  it('is accepted before the change', () => {
    expect(opensAs(genuine)).toBe('accepted');
  });

  it('is refused for each single bit flipped in each of its bytes', () => {
    const bytes = Buffer.from(genuine);
    let refused = 0;
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const flipped = Buffer.from(bytes);
        flipped[at]! ^= 1 << bit;
        // As a client decodes what it reads, and byte for byte.
        if (opensAs(flipped.toString('utf8')) !== 'accepted' && opensAs(flipped.toString('latin1')) !== 'accepted') {
          refused++;
        }
      }
    }
    expect(refused).toBe(bytes.length * 8);
  });

  it('is refused for each character replaced by one with the same low byte', () => {
    const accepted = [...genuine].filter((char, at) => {
      const foreign = String.fromCharCode(char.charCodeAt(0) + 0x100);
      return opensAs(genuine.slice(0, at) + foreign + genuine.slice(at + 1)) === 'accepted';
    });
    expect(accepted).toEqual([]);
  });

  it('is refused for each character removed or doubled', () => {
    for (let at = 0; at < genuine.length; at++) {
      expect(opensAs(genuine.slice(0, at) + genuine.slice(at + 1))).not.toBe('accepted');
      expect(opensAs(genuine.slice(0, at + 1) + genuine.slice(at))).not.toBe('accepted');
    }
  });

  it('is refused with anything around it', () => {
    for (const text of [` ${genuine}`, `${genuine} `, `${genuine}\n`, `${genuine}=`, `${genuine}.`, `.${genuine}`]) {
      expect(opensAs(text)).not.toBe('accepted');
    }
  });

  it('is refused as malformed when it has a part too many', () => {
    expect(opensAs(`${genuine}.x`)).toBe('malformed');
  });

  it('is refused with any one claim replaced and the old signature kept', () => {
    const [header, , mac] = genuine.split('.');
    const other: Record<string, unknown> = { v: 2, iat: 1_700_000_000, exp: 1_700_000_060, body: {} };
    for (const field of Object.keys(cancelClaims())) {
      const claims = cancelClaims({ cor: 'order-77', [field]: other[field] ?? 'changed' });
      expect(opensAs(`${header}.${base64url(JSON.stringify(claims))}.${mac}`), field).toBe('signature');
    }
  });

  it('is refused with the parts of two genuine envelopes mixed', () => {
    const another = signEnvelope(aCancel({ jti: 'message-9' }), ring).split('.');
    const [header, payload, mac] = genuine.split('.');
    expect(opensAs(`${header}.${payload}.${another[2]}`)).toBe('signature');
    expect(opensAs(`${header}.${another[1]}.${mac}`)).toBe('signature');
  });
});

describe('text that is no envelope', () => {
  it.each(['', '.', '..', '...', 'a.b', 'a.b.c.d', '{"alg":"none"}', '\u0000', '🙂.🙂.🙂'])('%j is refused', (text) => {
    expect(['malformed', 'header']).toContain(opensAs(text));
  });
});

describe('a header other than the one we write', () => {
  const kid = '"kid":"root.coordinators>worker:w1"';
  const typ = '"typ":"agent-msg+jws"';

  it('accepts the one we write', () => {
    expect(opensAs(signedByHolder(cancelClaims(), { header: `{"alg":"HS256",${kid},${typ}}` }))).toBe('accepted');
  });

  it.each([
    ['alg none', `{"alg":"none",${kid},${typ}}`],
    ['alg HS512', `{"alg":"HS512",${kid},${typ}}`],
    ['alg in lower case', `{"alg":"hs256",${kid},${typ}}`],
    ['no alg', `{${kid},${typ}}`],
    ['no kid', `{"alg":"HS256",${typ}}`],
    ['no typ', `{"alg":"HS256",${kid}}`],
    ['another typ', `{"alg":"HS256",${kid},"typ":"JWT"}`],
    ['b64 false', `{"alg":"HS256",${kid},${typ},"b64":false,"crit":["b64"]}`],
    ['b64 false without crit', `{"alg":"HS256",${kid},${typ},"b64":false}`],
    ['crit', `{"alg":"HS256",${kid},${typ},"crit":["exp"]}`],
    ['jwk', `{"alg":"HS256",${kid},${typ},"jwk":{"kty":"oct","k":""}}`],
    ['a doubled alg', `{"alg":"HS256","alg":"none",${kid},${typ}}`],
    ['another order', `{${kid},"alg":"HS256",${typ}}`],
    ['white space', `{"alg": "HS256",${kid},${typ}}`],
    ['a trailing line', `{"alg":"HS256",${kid},${typ}}\n`],
    ['an escape in kid', `{"alg":"HS256","kid":"root.coordinators\\u003eworker:w1",${typ}}`],
    ['a kid without a generation', `{"alg":"HS256","kid":"coordinators>worker:w1",${typ}}`],
    ['a kid with an unknown group', `{"alg":"HS256","kid":"root.admins>worker:w1",${typ}}`],
    ['a kid of the seal', `{"alg":"HS256","kid":"root.seal",${typ}}`],
    ['a kid with an address', `{"alg":"HS256","kid":"root.coordinators>worker:w1@1700000000000-abc",${typ}}`],
    ['a kid that is overlong', `{"alg":"HS256","kid":"root.coordinators>worker:${'w'.repeat(129)}",${typ}}`],
    ['an empty object', '{}'],
    ['no object', '"HS256"'],
  ])('is refused: %s', (_, header) => {
    expect(opensAs(signedByHolder(cancelClaims(), { header }))).toBe('header');
  });

  it('is refused in padded, plain or otherwise lenient base64', () => {
    const [header, payload, mac] = genuine.split('.');
    // 70 bytes end in four unused bits, which a lenient decoder ignores.
    const stray = `${header!.slice(0, -1)}R`;
    expect(Buffer.from(stray, 'base64url').equals(Buffer.from(header!, 'base64url'))).toBe(true);
    for (const text of [`${header}=`, `${header}==`, ` ${header}`, stray]) {
      expect(opensAs(`${text}.${payload}.${mac}`)).toBe('header');
    }
  });
});
