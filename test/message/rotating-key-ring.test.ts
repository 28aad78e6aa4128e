import { describe, expect, it } from 'vitest';
import { openEnvelope, signEnvelope } from '../../src/message/envelope.ts';
import type { KeyGeneration } from '../../src/message/keys.ts';
import { type KeySet, RotatingKeyRing } from '../../src/message/rotating-key-ring.ts';
import { checkSeal, seal } from '../../src/message/seal.ts';
import { createVirtualRuntime } from '../../src/runtime/virtual-runtime.ts';
import { aReport, atReports } from './builders.ts';

const DELAY_MS = 30_000;
const key = (kid: string, letter = kid.at(-1)!): KeyGeneration => ({ kid, secret: letter.repeat(32) });
const roots = (...kids: string[]): KeySet => ({ worker: null, generations: kids.map((kid) => key(kid)) });

function aRing(keys: KeySet, newestSince?: (now: number) => number) {
  const runtime = createVirtualRuntime(1);
  const since = newestSince?.(runtime.now());
  const ring = new RotatingKeyRing(keys, { runtime, signsAfterMs: DELAY_MS, newestSince: since });
  return { runtime, ring, signer: () => ring.signingKey('seal').generation };
}

describe('a key that is added while the process runs', () => {
  it('verifies at once, and signs only when the delay has passed', async () => {
    const { runtime, ring, signer } = aRing(roots('k1'));
    expect(ring.replace(roots('k2', 'k1'))).toBe(true);
    expect(ring.verifyingKey('k2', 'seal')?.generation).toBe('k2');
    await runtime.advance(DELAY_MS - 1);
    expect(signer()).toBe('k1');
    await runtime.advance(1);
    expect(signer()).toBe('k2');
    expect(ring.verifyingKey('k1', 'seal')?.generation).toBe('k1');
  });

  it('leaves signing to the newest that has been there for long enough when several come in a row', async () => {
    const { runtime, ring, signer } = aRing(roots('k1'));
    ring.replace(roots('k2', 'k1'));
    await runtime.advance(20_000);
    ring.replace(roots('k3', 'k2', 'k1'));
    expect(signer()).toBe('k1');
    await runtime.advance(10_000);
    expect(signer()).toBe('k2');
    await runtime.advance(20_000);
    expect(signer()).toBe('k3');
  });

  it('signs at once when there is no other', () => {
    const { ring, signer } = aRing(roots('k1'));
    ring.replace(roots('k2'));
    expect(signer()).toBe('k2');
  });

  it('counts as new under an old name when its secret is another', () => {
    const { ring, signer } = aRing(roots('k1'));
    ring.replace({ worker: null, generations: [key('k1', 'x'), key('k0')] });
    expect(signer()).toBe('k1');
    const { ring: other, signer: otherSigner } = aRing(roots('k2', 'k1'));
    other.replace({ worker: null, generations: [key('k2', 'x'), key('k1')] });
    expect(otherSigner()).toBe('k1');
  });
});

describe('a key that is taken away', () => {
  it('neither signs nor verifies from then on', () => {
    const { ring, signer } = aRing(roots('k2', 'k1'));
    const sealed = seal('{}', ring);
    ring.replace(roots('k1'));
    expect(signer()).toBe('k1');
    expect(ring.verifyingKey('k2', 'seal')).toBeUndefined();
    expect(checkSeal('{}', sealed, ring)).toBe('unknown_key');
  });

  it('makes messages that it signed be refused', () => {
    const { ring } = aRing(roots('k1'));
    const envelope = signEnvelope(aReport(), ring);
    expect(openEnvelope(envelope, atReports(), ring).ok).toBe(true);
    ring.replace(roots('k2'));
    expect(openEnvelope(envelope, atReports(), ring)).toMatchObject({ ok: false, reason: 'key' });
  });
});

describe('the keys at the start', () => {
  it('sign at once when nothing is known of their age, or when they are old enough', () => {
    expect(aRing(roots('k2', 'k1')).signer()).toBe('k2');
    expect(aRing(roots('k2', 'k1'), (now) => now - DELAY_MS).signer()).toBe('k2');
  });

  it('are led by an older one while the newest is younger than the delay', async () => {
    const { runtime, signer } = aRing(roots('k2', 'k1'), (now) => now - 10_000);
    expect(signer()).toBe('k1');
    await runtime.advance(20_000);
    expect(signer()).toBe('k2');
  });

  it('sign however young they are when there is one only', () => {
    expect(aRing(roots('k1'), (now) => now).signer()).toBe('k1');
  });
});

describe('a ring that is given its keys again', () => {
  it('changes nothing when they are the same, and keeps what it has when they cannot be used', () => {
    const { ring, signer } = aRing(roots('k2', 'k1'));
    expect(ring.replace(roots('k2', 'k1'))).toBe(false);
    expect(() => ring.replace(roots())).toThrow(/No message key/);
    expect(() => ring.replace({ worker: null, generations: [{ kid: 'k3', secret: 'short' }] })).toThrow(/5 bytes/);
    expect({ signs: signer(), verifies: ring.verifies }).toEqual({ signs: 'k2', verifies: ['k2', 'k1'] });
  });

  it('keeps the derived keys of those that stay', () => {
    const { ring } = aRing(roots('k1'));
    const derived = ring.verifyingKey('k1', 'worker:w1>coordinators');
    ring.replace(roots('k2', 'k1'));
    expect(ring.verifyingKey('k1', 'worker:w1>coordinators')).toBe(derived);
  });
});

it('keeps two processes understanding each other that read a rotation at different times', async () => {
  const runtime = createVirtualRuntime(7);
  const rings = [1, 2].map(() => new RotatingKeyRing(roots('k1'), { runtime, signsAfterMs: DELAY_MS }));
  const [early, late] = rings as [RotatingKeyRing, RotatingKeyRing];
  const understand = (from: RotatingKeyRing, to: RotatingKeyRing) =>
    openEnvelope(signEnvelope(aReport(), from), atReports(), to).ok;
  early.replace(roots('k2', 'k1'));
  for (let second = 0; second < 70; second++) {
    if (second === 29) late.replace(roots('k2', 'k1'));
    expect([understand(early, late), understand(late, early)]).toEqual([true, true]);
    await runtime.advance(1_000);
  }
  expect(rings.map((ring) => ring.signs)).toEqual(['k2', 'k2']);
});
