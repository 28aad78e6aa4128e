import { describe, expect, it } from 'vitest';
import { openEnvelope, signEnvelope } from '../../src/message/envelope.ts';
import { SeenMessages } from '../../src/message/replay.ts';
import { aCancel, atMailbox, NOW, ring } from './builders.ts';

const message = (jti: string, expiresAt = NOW + 60_000) => ({ jti, expiresAt });

describe('the messages a worker has seen', () => {
  it('admits each message once', () => {
    const seen = new SeenMessages();
    expect(seen.admit(message('a'), NOW)).toBe(true);
    expect(seen.admit(message('b'), NOW)).toBe(true);
    expect(seen.admit(message('a'), NOW + 1)).toBe(false);
  });

  it('remembers a message for as long as its envelope opens, and no longer', () => {
    const seen = new SeenMessages();
    const text = signEnvelope(aCancel(), ring);
    const actsAt = (now: number) => {
      const opened = openEnvelope(text, atMailbox({ now }), ring);
      return opened.ok && seen.admit(opened.message, now);
    };
    expect(actsAt(NOW)).toBe(true);
    for (let now = NOW; now <= NOW + 70_000; now += 500) expect(actsAt(now)).toBe(false);
    seen.admit(message('later', NOW + 140_000), NOW + 80_000);
    expect(seen.size).toBe(1);
  });

  it('never holds more than its bound, and forgets the oldest first', () => {
    const seen = new SeenMessages(3);
    for (const jti of ['a', 'b', 'c', 'd']) expect(seen.admit(message(jti), NOW)).toBe(true);
    expect(seen.size).toBe(3);
    expect(seen.admit(message('d'), NOW)).toBe(false);
  });
});
