import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Agent, defineAgent } from '../../src/agent/define-agent.ts';
import { signEnvelope } from '../../src/message/envelope.ts';
import { workerAddress } from '../../src/message/principals.ts';
import { aWorker, type Harness, INCARNATION, WORKER } from './harness.ts';

/** An agent whose attempts end when the test says so. */
function held(): { agent: Agent; ends: ((result: unknown) => void)[] } {
  const ends: ((result: unknown) => void)[] = [];
  const run = () => new Promise((resolve) => ends.push(resolve));
  return { agent: defineAgent({ name: 'held', input: z.unknown(), run }) as Agent, ends };
}

function order(h: Harness, over: { stream?: string; jti?: string } = {}): string {
  return signEnvelope(
    {
      jti: over.jti ?? h.runtime.id(20),
      type: 'worker.drain',
      from: 'coordinators',
      to: workerAddress(WORKER, INCARNATION),
      stream: over.stream ?? `0/mail:${WORKER}@${INCARNATION}`,
      deployment: 'test',
      now: h.runtime.now(),
      body: { reason: 'new disk' },
    },
    h.keys,
  );
}

describe('a worker that is told to drain', () => {
  it('takes nothing more, ends what runs, and says when nothing is left', async () => {
    const { agent, ends } = held();
    let drained = 0;
    const h = await aWorker([agent], {
      slots: 1,
      onDrained: () => {
        drained += 1;
      },
    });
    const [running] = await h.assign({ agent: 'held', timeoutMs: 600_000 });
    await h.postRaw(order(h));
    await h.runtime.advance(50);
    expect(await h.heartbeat()).toMatchObject({ draining: true, ready: false, started: [running!.held] });
    const [late] = await h.assign({ agent: 'held' });
    expect(await h.reportOf(late!, 'returned')).toMatchObject({ why: 'drain' });
    // Longer than any drain at a shutdown would last.
    await h.runtime.advance(300_000);
    expect(drained).toBe(0);
    ends[0]!('finished');
    expect(await h.reportOf(running!, 'completed')).toMatchObject({ result: '"finished"' });
    expect(drained).toBe(0);
    await h.release(running!, late!);
    await h.runtime.advance(6_000);
    expect(drained).toBe(1);
    await h.runtime.advance(30_000);
    expect(await h.heartbeat()).toMatchObject({ draining: true, started: [], done: [] });
    await h.stop(1_000);
    expect(drained).toBe(1);
  });

  it('is drained at once when it has nothing', async () => {
    let drained = 0;
    const h = await aWorker([], {
      onDrained: () => {
        drained += 1;
      },
    });
    const text = order(h, { jti: 'j1' });
    await h.postRaw(text);
    await h.postRaw(text);
    await h.runtime.advance(50);
    expect(drained).toBe(1);
    await h.stop(1_000);
  });

  it('does not do so for an order that was meant for another mailbox', async () => {
    const h = await aWorker();
    await h.postRaw(order(h, { stream: `1/mail:${WORKER}@${INCARNATION}` }));
    await h.runtime.advance(50);
    expect(h.worker.stats().draining).toBe(false);
    expect(h.eventsOf('message.rejected')).toMatchObject([{ reason: 'stream' }]);
    await h.stop(1_000);
  });
});
