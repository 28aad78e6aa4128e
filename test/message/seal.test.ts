import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyRing } from '../../src/message/keys.ts';
import { checkSeal, digestOf, seal } from '../../src/message/seal.ts';
import { ring, SECRET } from './builders.ts';

describe('the seal of a specification', () => {
  const spec = '{"agent":"écho"}';

  it('has exactly the bytes of the golden vector', () => {
    expect(seal(spec, ring)).toBe('root.OPs1ODrhj0-f7p-6btPuezoUjG2zHXZXTaFyXdOfWOM');
  });

  it('fits the exact text it was made for and no other', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (text, other) => {
        expect(checkSeal(text, seal(text, ring), ring)).toBe('ok');
        expect(checkSeal(other, seal(text, ring), ring)).toBe(other === text ? 'ok' : 'wrong');
      }),
    );
    expect(checkSeal('{"agent": "écho"}', seal(spec, ring), ring)).toBe('wrong');
  });

  it('is wrong with any character of its MAC changed, cut or added', () => {
    const good = seal(spec, ring);
    for (let at = 'root.'.length; at < good.length; at++) {
      const swapped = good[at] === 'A' ? 'B' : 'A';
      expect(checkSeal(spec, good.slice(0, at) + swapped + good.slice(at + 1), ring)).toBe('wrong');
      expect(checkSeal(spec, good.slice(0, at), ring)).toBe('wrong');
    }
    for (const text of ['', 'root', 'root.', `${good}=`, `${good}.`]) expect(checkSeal(spec, text, ring)).toBe('wrong');
  });

  it('tells a root that is not held from a wrong seal, and holds over a rotation', () => {
    const rotated = keyRing([
      { kid: 'next', secret: 'n'.repeat(32) },
      { kid: 'root', secret: SECRET },
    ]);
    expect(checkSeal(spec, seal(spec, ring), rotated)).toBe('ok');
    expect(checkSeal(spec, seal(spec, rotated), ring)).toBe('unknown_key');
  });
});

describe('the digest of a payload', () => {
  it('is SHA-256 over UTF-8 in base64url', () => {
    expect(digestOf('{"text":"größer"}')).toBe('jgSUKAbN2YoYGKjtJg5WO-j-zk-qYDXQM_bZlIBMpdY');
    expect(digestOf('')).toBe('47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU');
  });
});
