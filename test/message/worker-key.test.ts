import { describe, expect, it } from 'vitest';
import { openEnvelope, signEnvelope } from '../../src/message/envelope.ts';
import { type KeyGeneration, type KeyRing, keyRing } from '../../src/message/keys.ts';
import { RotatingKeyRing } from '../../src/message/rotating-key-ring.ts';
import { seal } from '../../src/message/seal.ts';
import { deriveWorkerKey, formatWorkerKey, parseWorkerKey, usesOf } from '../../src/message/worker-key.ts';
import { createVirtualRuntime } from '../../src/runtime/virtual-runtime.ts';
import { aCancel, aHeartbeat, aHeartbeatBody, anAssign, aReport, atLease, atMailbox, atReports } from './builders.ts';

const ROOTS: KeyGeneration[] = [
  { kid: 'k2', secret: Buffer.alloc(32, 'new') },
  { kid: 'k1', secret: Buffer.alloc(32, 'old') },
];
const system = keyRing(ROOTS);

function ringOf(worker: string, roots = ROOTS): KeyRing {
  const parsed = parseWorkerKey(formatWorkerKey(deriveWorkerKey(worker, roots)));
  if (!parsed.ok) throw new Error(parsed.problem);
  const { generations } = parsed.key;
  return new RotatingKeyRing({ worker, generations }, { runtime: createVirtualRuntime(1), signsAfterMs: 0 });
}

describe('a worker with four keys', () => {
  const w1 = ringOf('w1');

  it('speaks with coordinators and distributors, in both directions', () => {
    expect(openEnvelope(signEnvelope(aReport(), w1), atReports(), system).ok).toBe(true);
    const toDistributors = { to: 'distributors' as const };
    const heartbeat = signEnvelope(aHeartbeat(toDistributors), w1);
    expect(openEnvelope(heartbeat, atLease(toDistributors), system).ok).toBe(true);
    expect(openEnvelope(signEnvelope(aCancel(), system), atMailbox(), w1).ok).toBe(true);
    expect(openEnvelope(signEnvelope(anAssign(), system), atMailbox(), w1).ok).toBe(true);
  });

  it('still believes what an older root signed', () => {
    const older = keyRing([ROOTS[1]!]);
    expect(openEnvelope(signEnvelope(aCancel(), older), atMailbox(), w1).ok).toBe(true);
    expect(w1.signingKey('worker:w1>coordinators').generation).toBe('k2');
  });

  it('cannot speak as another worker, give orders to others, or seal a task', () => {
    const foreign = () => signEnvelope(aReport({ from: 'worker:w2' }), w1);
    expect(foreign).toThrow('This process holds no key to sign as "worker:w2>coordinators".');
    expect(() => signEnvelope(aCancel({ to: 'worker:w2@1-a' }), w1)).toThrow(/holds no key/);
    expect(() => seal('{}', w1)).toThrow(/holds no key to sign as "seal"/);
    expect(w1.verifyingKey('k2', 'seal')).toBeUndefined();
    expect(w1.verifyingKey('k2', 'worker:w2>coordinators')).toBeUndefined();
  });

  it('is not believed when it puts another name on what it signs with its own key', () => {
    const key = w1.signingKey('worker:w1>coordinators');
    const relabelled: KeyRing = {
      signingKey: (use) => ({ ...key, kid: `k2.${use}` }),
      verifyingKey: () => undefined,
    };
    const asOther = signEnvelope(aReport({ from: 'worker:w2' }), relabelled);
    expect(openEnvelope(asOther, atReports(), system)).toMatchObject({ ok: false, reason: 'signature' });
    const asCoordinator = signEnvelope(aCancel({ to: 'worker:w2@1-a' }), relabelled);
    const atOther = atMailbox({ to: 'worker:w2@1-a' });
    expect(openEnvelope(asCoordinator, atOther, ringOf('w2'))).toMatchObject({ ok: false, reason: 'signature' });
    const named = signEnvelope(aHeartbeat({ body: aHeartbeatBody({ worker: 'w2' }) }), w1);
    expect(openEnvelope(named, atLease(), system)).toMatchObject({ ok: false, reason: 'sender' });
  });

  it('holds nothing that another worker holds', () => {
    const secrets = (worker: string) =>
      usesOf(worker).map((use) => ringOf(worker).verifyingKey('k2', use)!.secret.export().toString('hex'));
    expect(new Set([...secrets('w1'), ...secrets('w2')]).size).toBe(8);
  });
});

describe('the line of a worker key', () => {
  const line = formatWorkerKey(deriveWorkerKey('w-1.a_b', ROOTS));

  it('is one line of characters that need no quotes, and reads back', () => {
    expect(line).toMatch(/^wk1:w-1\.a_b:k2=[\w-]{171},k1=[\w-]{171}:[\w-]{8}$/);
    const parsed = parseWorkerKey(`${line}\n`);
    expect(parsed).toMatchObject({ ok: true, key: { workerId: 'w-1.a_b' } });
    expect(parsed.ok && parsed.key.generations.map(({ kid, secret }) => [kid, secret.length])).toEqual([
      ['k2', 128],
      ['k1', 128],
    ]);
  });

  it('holds no root', () => {
    for (const { secret } of ROOTS) expect(line).not.toContain(Buffer.from(secret).toString('base64url'));
  });

  it.each([
    ['k2:AAAA', 'does not begin with "wk1:"'],
    [line.replace('wk1', 'wk2'), 'is of version "wk2", this program reads "wk1"'],
    [line.slice(0, -1), 'is cut off or was changed'],
    [line.slice(0, 60), 'has 3 parts between colons'],
    [line.replace('w-1', 'w-2'), 'is cut off or was changed'],
    [line.replace('k1=', 'k3='), 'is cut off or was changed'],
    [formatWorkerKey({ workerId: 'w1', generations: [] }), 'does not hold a worker id and four keys'],
    [formatWorkerKey({ workerId: 'w1', generations: [ROOTS[0]!] }), 'does not hold a worker id and four keys'],
  ])('is refused with what is wrong: %s', (text, problem) => {
    const parsed = parseWorkerKey(text);
    expect(parsed).toMatchObject({ ok: false, problem: expect.stringContaining(problem) });
    expect(parsed).toMatchObject({ problem: expect.stringContaining('agent-system keys derive --worker ID') });
  });
});
