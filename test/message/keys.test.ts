import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { fingerprintOf, type KeyRing, type KeyUse, keyRing, keyRingFromSecret } from '../../src/message/keys.ts';
import { ring, SECRET } from './builders.ts';

const bytesOf = (keys: KeyRing, use: KeyUse) => keys.signingKey(use).secret.export().toString('hex');

describe('derived keys', () => {
  it('are those of HKDF-SHA-256 as another implementation computes it', () => {
    expect(bytesOf(ring, 'coordinators>worker:w1')).toBe(
      'd8ca2449a5dd2735d4f3aa5a9b11dba11aff8c485f31f7c9ed5113801c1ff2b6',
    );
    expect(bytesOf(ring, 'seal')).toBe('22fdafbcdc4612187660609dc65dcc87bb7cc79696b3e9e46b522b7ac1f4f983');
  });

  it('differ by direction, by pair, by purpose and by root', () => {
    const other = keyRingFromSecret(`${SECRET}x`);
    const all = [
      bytesOf(ring, 'coordinators>worker:w1'),
      bytesOf(ring, 'worker:w1>coordinators'),
      bytesOf(ring, 'coordinators>worker:w2'),
      bytesOf(ring, 'distributors>worker:w1'),
      bytesOf(ring, 'seal'),
      bytesOf(other, 'coordinators>worker:w1'),
    ];
    expect(new Set(all).size).toBe(all.length);
  });

  it('are derived once and then kept', () => {
    const keys = keyRingFromSecret(SECRET);
    expect(keys.signingKey('worker:w1>coordinators')).toBe(keys.verifyingKey('root', 'worker:w1>coordinators'));
  });

  it('stay the same when the caller wipes its buffer', () => {
    const secret = Buffer.from(SECRET);
    const keys = keyRingFromSecret(secret);
    secret.fill(0);
    expect(bytesOf(keys, 'seal')).toBe(bytesOf(ring, 'seal'));
  });

  it('do not show the root to whoever prints the ring', () => {
    expect(inspect(ring, { depth: 9, showHidden: true })).not.toContain(SECRET);
    expect(JSON.stringify(ring)).toBe('{}');
  });
});

describe('a ring of several generations', () => {
  const rotated = keyRing([
    { kid: 'g2', secret: 'b'.repeat(32) },
    { kid: 'g1', secret: SECRET },
  ]);

  it('signs with the newest and verifies with each', () => {
    expect(rotated.signingKey('seal').kid).toBe('g2.seal');
    expect(rotated.verifyingKey('g1', 'seal')?.kid).toBe('g1.seal');
    expect(rotated.verifyingKey('g0', 'seal')).toBeUndefined();
    expect(rotated.verifyingKey('__proto__', 'seal')).toBeUndefined();
  });
});

describe('a fingerprint', () => {
  it('tells generations apart by name and by secret, and shows nothing of the secret', () => {
    const prints = [
      fingerprintOf({ kid: 'k1', secret: SECRET }),
      fingerprintOf({ kid: 'k2', secret: SECRET }),
      fingerprintOf({ kid: 'k1', secret: `${SECRET}x` }),
    ];
    expect(new Set(prints).size).toBe(3);
    for (const print of prints) expect(print).toMatch(/^[\w-]{10}$/);
    expect(fingerprintOf({ kid: 'k1', secret: new Uint8Array(Buffer.from(SECRET)) })).toBe(prints[0]);
  });
});

describe('roots that cannot be used', () => {
  it('names the length found and wanted, and how to make a good one, but not the secret', () => {
    const short = 'too-short-secret';
    expect(() => keyRingFromSecret(short)).toThrow(
      'The secret of message key "root" has 16 bytes, at least 32 are needed; make one with: agent-system keys generate',
    );
    expect(() => keyRingFromSecret(short)).not.toThrow(short);
    expect(() => keyRingFromSecret('')).toThrow(/has 0 bytes/);
    expect(() => keyRingFromSecret(new Uint8Array(31))).toThrow(/has 31 bytes/);
  });

  it('counts bytes, not characters', () => {
    expect(() => keyRingFromSecret('é'.repeat(16))).not.toThrow();
    expect(() => keyRingFromSecret('é'.repeat(15))).toThrow(/has 30 bytes/);
  });

  it('reports everything wrong at once', () => {
    const generations = [
      { kid: 'a.b', secret: SECRET },
      { kid: 'c', secret: 'short' },
      { kid: 'c', secret: SECRET },
    ];
    expect(() => keyRing(generations)).toThrow(/"a\.b" must be[\s\S]*"c" has 5 bytes[\s\S]*"c" is given twice/);
    expect(() => keyRing([])).toThrow(/No message key/);
    expect(() => keyRing(new Array(17).fill({ kid: 'x', secret: SECRET }))).toThrow(/at most 16/);
  });
});
