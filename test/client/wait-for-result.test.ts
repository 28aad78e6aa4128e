import { describe, expect, it } from 'vitest';
import { UnreachableError } from '../../src/client/errors.ts';
import type { Transport } from '../../src/client/transport.ts';
import { AWAY_MAX_MS, SLICE_MS, waitForEnd } from '../../src/client/wait-for-result.ts';
import { pause } from '../../src/runtime/runtime.ts';
import { createVirtualRuntime, type VirtualRuntime } from '../../src/runtime/virtual-runtime.ts';
import { viewOf } from '../../src/task/view.ts';
import { aTask } from '../support/builders.ts';

const QUEUED = viewOf(aTask({ state: 'queued' }), 'memory');
const DONE = viewOf(aTask({ state: 'completed' }), 'memory');

type Ask = (waitMs: number, times: number) => Promise<typeof QUEUED>;

function waiting(ask: (runtime: VirtualRuntime) => Ask, timeoutMs?: number) {
  const runtime = createVirtualRuntime(7);
  const begun = runtime.now();
  const asked: { at: number; waitMs: number }[] = [];
  const result = async (_id: string, waitMs: number) => {
    asked.push({ at: runtime.now() - begun, waitMs });
    return ask(runtime)(waitMs, asked.length);
  };
  const end = waitForEnd({ result } as unknown as Transport, runtime, QUEUED.id, { timeoutMs });
  const settled = end.catch((error: Error) => error);
  return { runtime, asked, settled };
}

/** As a server does it: not yet, after as long as was asked for. */
const patient: (endsAt: number) => (runtime: VirtualRuntime) => Ask = (times) => (runtime) => async (waitMs, asked) => {
  await pause(runtime, waitMs);
  return asked < times ? QUEUED : DONE;
};

describe('the wait for a result', () => {
  it('asks in slices until the task has ended', async () => {
    const { runtime, asked, settled } = waiting(patient(4));
    await runtime.advance(4 * SLICE_MS);
    expect(await settled).toBe(DONE);
    expect(asked.map(({ at }) => at / SLICE_MS)).toEqual([0, 1, 2, 3]);
  });

  it('asks for no more than what is left of its timeout', async () => {
    const { runtime, asked, settled } = waiting(patient(9), 70_000);
    await runtime.advance(80_000);
    expect(await settled).toMatchObject({ code: 'WAIT_TIMEOUT', task: QUEUED });
    expect(asked.map(({ waitMs }) => waitMs)).toEqual([30_000, 30_000, 10_000]);
  });

  it('does not ask in a tight loop when the answers come too early', async () => {
    const { runtime, asked, settled } = waiting(() => async () => QUEUED, 2_000);
    await runtime.advance(3_000);
    expect(await settled).toMatchObject({ code: 'WAIT_TIMEOUT' });
    expect(asked.length).toBeGreaterThan(5);
    expect(asked.length).toBeLessThan(15);
  });

  it('asks on while nobody answers, for a minute', async () => {
    const gone: () => Ask = () => async () => Promise.reject(new UnreachableError('gone'));
    const { runtime, asked, settled } = waiting(gone);
    await runtime.advance(2 * AWAY_MAX_MS);
    expect(await settled).toBeInstanceOf(UnreachableError);
    expect(asked.at(-1)!.at).toBeGreaterThanOrEqual(AWAY_MAX_MS);
    expect(asked.at(-1)!.at).toBeLessThan(AWAY_MAX_MS + 2_000);
  });

  it('counts that minute anew after every answer', async () => {
    const flaky: (runtime: VirtualRuntime) => Ask = (runtime) => async (_, times) => {
      await pause(runtime, 20_000);
      if (times % 3 !== 0) throw new UnreachableError('gone');
      return times < 9 ? QUEUED : DONE;
    };
    const { runtime, settled } = waiting(flaky);
    await runtime.advance(10 * 60_000);
    expect(await settled).toBe(DONE);
  });

  it('ends at its timeout while nobody answers', async () => {
    const gone: () => Ask = () => async () => Promise.reject(new UnreachableError('gone'));
    const { runtime, asked, settled } = waiting(gone, 5_000);
    await runtime.advance(10_000);
    expect(await settled).toBeInstanceOf(UnreachableError);
    expect(asked.at(-1)!.at).toBeLessThan(7_000);
  });
});
