import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { builtInAgents, compute, fail, sleep } from '../../src/agent/built-in.ts';
import { AttemptContext } from '../../src/agent/context.ts';
import { type AgentMethod, defineAgent } from '../../src/agent/define-agent.ts';
import { RetryAfter, TerminalError } from '../../src/agent/errors.ts';
import { runMethod } from '../../src/agent/run-method.ts';
import { createVirtualRuntime } from '../../src/runtime/virtual-runtime.ts';

const runtime = createVirtualRuntime(1);

function aContext() {
  const progress: [number, string | undefined][] = [];
  const logged: unknown[] = [];
  const context = new AttemptContext('task', 2, {
    runtime,
    log: (level, message, fields) => logged.push([level, message, fields]),
    progress: (value, note) => progress.push([value, note]),
  });
  return { context, progress, logged };
}

function outcomeOf(method: Partial<AgentMethod>, input: unknown = {}, max = 1_000) {
  const whole: AgentMethod = { description: '', run: () => null, ...method };
  return runMethod(whole, JSON.stringify(input), aContext().context, max);
}

const methodOf = (agent: { methods: ReadonlyMap<string, AgentMethod> }) => agent.methods.get('run')!;

describe('where a handler broke', () => {
  it('is kept for the log when the error was no answer of its own', async () => {
    const breaks = () => JSON.parse('{').never;
    expect(await outcomeOf({ run: breaks })).toMatchObject({ stack: expect.stringContaining('run-method.test.ts') });
  });

  it.each([
    new TerminalError('the order is gone'),
    new RetryAfter(10),
    Object.assign(new Error('out of stock'), { code: 'out_of_stock' }),
    'a text',
  ])('is not told of %s, which was thrown on purpose', async (thrown) => {
    const throws = () => {
      throw thrown;
    };
    expect(await outcomeOf({ run: throws })).not.toHaveProperty('stack');
  });
});

describe('schemas', () => {
  it('hands the parsed input to the handler, defaults filled in', async () => {
    const input = z.object({ n: z.number().default(4) });
    expect(await outcomeOf({ input, run: (value) => value })).toEqual({ ok: true, result: '{"n":4}' });
  });

  it('names the fields of a wrong input, a few of them', async () => {
    const input = z.object({ a: z.string(), b: z.string(), c: z.string(), d: z.object({ e: z.number() }) });
    const outcome = await outcomeOf({ input }, { d: { e: 'x' } });
    expect(outcome).toMatchObject({ ok: false, error: { code: 'invalid_input', retryable: false } });
    const { message } = (outcome as { error: { message: string } }).error;
    expect(message).toContain('input.a: ');
    expect(message).toContain('and 1 more');
  });

  it('waits for a schema that checks asynchronously', async () => {
    const input = z.string().refine(async (text) => text === 'right', 'not right');
    expect(await outcomeOf({ input, run: () => 1 }, 'right')).toEqual({ ok: true, result: '1' });
    expect(await outcomeOf({ input }, 'wrong')).toMatchObject({
      error: { code: 'invalid_input', message: 'input: not right' },
    });
  });

  it('refuses a result that the output schema does not allow, for good', async () => {
    const output = z.object({ n: z.number() });
    expect(await outcomeOf({ output, run: () => ({ n: 'x' }) })).toMatchObject({
      error: { code: 'invalid_output', retryable: false, message: expect.stringContaining('output.n') },
    });
  });
});

describe('results', () => {
  it.each([
    ['nothing', undefined, 'null'],
    ['an empty list', [], '[]'],
    ['a number that floats', 0.1 + 0.2, '0.30000000000000004'],
  ])('writes %s as JSON', async (_title, value, result) => {
    expect(await outcomeOf({ run: () => value })).toEqual({ ok: true, result });
  });

  it('bounds a result by its bytes, not its letters', async () => {
    expect(await outcomeOf({ run: () => 'ä'.repeat(400) }, {}, 802)).toMatchObject({ ok: true });
    expect(await outcomeOf({ run: () => 'ä'.repeat(400) }, {}, 801)).toMatchObject({
      error: { code: 'result_too_large', message: expect.stringContaining('802 bytes') },
    });
  });

  it.each([
    ['a function', () => () => 1],
    ['a symbol', () => Symbol('x')],
    [
      'an object whose toJSON throws',
      () => ({
        toJSON: () => {
          throw new Error('no');
        },
      }),
    ],
  ])('refuses %s', async (_title, run) => {
    expect(await outcomeOf({ run })).toMatchObject({ error: { code: 'invalid_output', retryable: false } });
  });
});

describe('errors', () => {
  it.each([
    ['a plain error', new Error('x'), { code: 'handler_error', message: 'x', retryable: true }],
    [
      'a lower_snake code',
      Object.assign(new Error('x'), { code: 'rate_limited' }),
      { code: 'rate_limited', retryable: true },
    ],
    ['a system code', Object.assign(new Error('x'), { code: 'ENOENT' }), { code: 'handler_error', retryable: true }],
    ['an error that says it is final', Object.assign(new Error('x'), { retryable: false }), { retryable: false }],
    ['TerminalError', new TerminalError('x', { code: 'no_such_file' }), { code: 'no_such_file', retryable: false }],
    ['TerminalError without a code', new TerminalError('x'), { code: 'handler_error', retryable: false }],
    ['RetryAfter', new RetryAfter(1_500), { code: 'retry_after', retryable: true, retryAfterMs: 1_500 }],
    ['null', null, { code: 'handler_error', message: 'the handler threw null', retryable: true }],
    ['an object', { reason: 'x' }, { message: 'the handler threw {"reason":"x"}', retryable: true }],
    ['an error without a message', new RangeError(), { message: 'RangeError' }],
  ])('reports %s', async (_title, thrown, error) => {
    expect(await outcomeOf({ run: () => Promise.reject(thrown) })).toMatchObject({ ok: false, error });
  });

  it('bounds the message and survives an error that cannot be read', async () => {
    const long = await outcomeOf({ run: () => Promise.reject(new Error('x'.repeat(10_000))) });
    expect((long as { error: { message: string } }).error.message.length).toBe(2_000);
    const trap = new Proxy(
      {},
      {
        get: () => {
          throw new Error('trap');
        },
      },
    );
    expect(await outcomeOf({ run: () => Promise.reject(trap) })).toMatchObject({ error: { code: 'handler_error' } });
  });

  it('refuses a RetryAfter that is no time', () => {
    expect(() => new RetryAfter(-1)).toThrow('found -1');
    expect(() => new RetryAfter(Number.NaN)).toThrow('NaN');
  });
});

describe('the context', () => {
  it('can be taken apart, adds up usage, clamps progress', () => {
    const { context, progress, logged } = aContext();
    const { usage, progress: tell, log, signal, attempt } = context;
    usage({ inputTokens: 2 });
    usage({ inputTokens: 3, outputTokens: 1 });
    tell(2, 'x'.repeat(1_000));
    tell(-1);
    log.warn('careful', { n: 1 });
    expect(context.used).toEqual({ inputTokens: 5, outputTokens: 1 });
    expect(progress.map(([value, note]) => [value, note?.length])).toEqual([
      [1, 500],
      [0, undefined],
    ]);
    expect(logged).toEqual([['warn', 'careful', { n: 1 }]]);
    expect(attempt).toBe(2);
    context.abort('cancelled', 'x');
    context.abort('timeout', 'too late to matter');
    expect([signal.aborted, signal.reason.code]).toEqual([true, 'cancelled']);
  });

  it('shows an abort to a handler that looks only afterwards', () => {
    const { context } = aContext();
    context.abort('shutdown', 'x');
    expect(context.signal.reason.code).toBe('shutdown');
  });

  it('says what is wrong with progress and usage that are no numbers', () => {
    const { context } = aContext();
    expect(() => context.progress(Number.NaN)).toThrow('from 0 to 1');
    expect(() => context.usage({ inputTokens: -1 })).toThrow('inputTokens');
  });

  it('ignores what comes after the end', () => {
    const { context, progress } = aContext();
    context.close();
    context.progress(0.5);
    expect(progress).toEqual([]);
  });
});

describe('built-in agents', () => {
  it('are echo, sleep, fail and compute', () => {
    expect(builtInAgents.map((agent) => agent.name)).toEqual(['echo', 'sleep', 'fail', 'compute']);
  });

  it('sleeps on the runtime it was given, and ends when told', async () => {
    const { context } = aContext();
    let outcome: unknown;
    void runMethod(methodOf(sleep), '{"ms":5000}', context, 100).then((ended) => {
      outcome = ended;
    });
    await runtime.advance(4_999);
    expect(outcome).toBeUndefined();
    await runtime.advance(1);
    expect(outcome).toEqual({ ok: true, result: '{"sleptMs":5000}' });
    const other = aContext().context;
    const told = runMethod(methodOf(sleep), '{"ms":5000}', other, 100);
    await runtime.advance(1);
    other.abort('cancelled', 'enough');
    expect(await told).toMatchObject({ ok: false, error: { code: 'cancelled' } });
  });

  it('fails as asked, retryable unless told otherwise', async () => {
    const outcome = (input: object) => outcomeOf(methodOf(fail), input);
    expect(await outcome({ message: 'boom' })).toMatchObject({
      error: { code: 'handler_error', message: 'boom', retryable: true },
    });
    expect(await outcome({ message: 'm', code: 'my_code', retryable: false })).toMatchObject({
      error: { code: 'my_code', retryable: false },
    });
  });

  it.each([
    ['sum', [1, 2, 3], 6],
    ['mean', [1, 2, 3], 2],
    ['min', [3, -1, 2], -1],
    ['max', [3, -1, 2], 3],
    ['product', [2, 3, 4], 24],
  ])('computes the %s', async (operation, values, result) => {
    const outcome = await outcomeOf(methodOf(compute), { operation, values });
    expect(outcome).toEqual({ ok: true, result: JSON.stringify({ operation, result, count: values.length }) });
  });

  it.each([
    ['no values', { operation: 'mean', values: [] }, 'empty'],
    ['a word for a number', { operation: 'sum', values: [1, 'x'] }, 'input.values.1'],
    ['an unknown operation', { operation: 'median', values: [1] }, 'input.operation'],
    ['a product without end', { operation: 'product', values: Array(400).fill(1e10) }, 'too large'],
  ])('refuses to compute with %s, for good', async (_title, input, message) => {
    expect(await outcomeOf(methodOf(compute), input)).toMatchObject({
      error: { retryable: false, message: expect.stringContaining(message) },
    });
  });

  it('takes a hundred thousand values', async () => {
    const values = Array.from({ length: 100_000 }, (_, i) => i);
    expect(await outcomeOf(methodOf(compute), { operation: 'max', values })).toMatchObject({ ok: true });
  });
});

it('is one agent per name', async () => {
  const { AgentRegistry } = await import('../../src/agent/registry.ts');
  const a = defineAgent({ name: 'a', version: '1', run: () => 1, methods: { b: { run: () => 2 } } });
  const registry = new AgentRegistry([a, a]);
  expect(() => registry.add(defineAgent({ name: 'a', version: '2', run: () => 1 }))).toThrow('versions 1 and 2');
  expect(registry.find('a', 'b')?.agent).toBe(a);
  expect(registry.find('a', 'constructor')).toBeUndefined();
  expect(registry.find('z', 'run')).toBeUndefined();
});
