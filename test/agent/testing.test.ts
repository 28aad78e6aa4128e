import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineAgent, RetryAfter, TerminalError } from '../../src/index.ts';
import { runAgent } from '../../src/testing.ts';

const shout = defineAgent({
  name: 'shout',
  input: z.object({ text: z.string(), at: z.string().optional() }),
  methods: { 'whisper.softly': { run: () => 'psst' } },
  run: async ({ text }, ctx) => {
    ctx.log.info('shouting', { length: text.length });
    ctx.progress(0.5, 'half');
    ctx.usage({ inputTokens: 3 });
    ctx.usage({ inputTokens: 4 });
    return { text: text.toUpperCase(), when: new Date(0), attempt: ctx.attempt, task: ctx.taskId };
  },
});

describe('runAgent', () => {
  it('answers the result as whoever submitted would read it, and all that the handler said', async () => {
    const run = await runAgent(shout, { text: 'hi' }, { taskId: 't-1', attempt: 2 });
    expect(run).toEqual({
      ok: true,
      result: { text: 'HI', when: '1970-01-01T00:00:00.000Z', attempt: 2, task: 't-1' },
      error: undefined,
      aborted: undefined,
      progress: [{ value: 0.5, note: 'half' }],
      logs: [{ level: 'info', message: 'shouting', fields: { length: 2 } }],
      usage: { inputTokens: 7 },
    });
  });

  it('refuses an input that does not fit the schema, as a worker would', async () => {
    const run = await runAgent(shout, { text: 7 } as never);
    expect(run.ok).toBe(false);
    expect(run.error).toMatchObject({ code: 'invalid_input', retryable: false });
    expect(run.error?.message).toContain('input.text');
  });

  it('gives errors the codes that tasks carry', async () => {
    const failing = (thrown: unknown) =>
      defineAgent({
        name: 'failing',
        run: () => {
          throw thrown;
        },
      });
    const plain = await runAgent(failing(new Error('no luck')), null as never);
    const terminal = await runAgent(failing(new TerminalError('give up')), null as never);
    const later = await runAgent(failing(new RetryAfter(1_500)), null as never);
    expect(plain.error).toMatchObject({ code: 'handler_error', message: 'no luck', retryable: true });
    expect(terminal.error).toMatchObject({ retryable: false });
    expect(later.error).toMatchObject({ retryable: true, retryAfterMs: 1_500 });
  });

  it('tells a handler to end by a signal, and by a time-out', async () => {
    const waiting = defineAgent({
      name: 'waiting',
      run: async (_: unknown, ctx) => {
        ctx.signal.throwIfAborted();
        await new Promise((_resolve, reject) => {
          ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason), { once: true });
        });
      },
    });
    const abort = new AbortController();
    const cancelled = runAgent(waiting, null, { signal: abort.signal });
    abort.abort();
    expect((await cancelled).aborted).toBe('cancelled');
    expect((await runAgent(waiting, null, { timeoutMs: 1 })).aborted).toBe('timeout');
  });

  it('runs another method, and names those there are for one that is not', async () => {
    expect((await runAgent(shout, null as never, { method: 'whisper.softly' })).result).toBe('psst');
    await expect(runAgent(shout, { text: '' }, { method: 'sing' })).rejects.toThrow(
      'agent shout has no method "sing", it has run, whisper.softly',
    );
  });

  it('refuses a result that is larger than results may be', async () => {
    const run = await runAgent(shout, { text: 'x'.repeat(100) }, { resultBytesMax: 50 });
    expect(run.error).toMatchObject({ code: 'result_too_large', retryable: false });
  });
});
