import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { type AgentInput, type AgentOutput, defineAgent } from '../../src/agent/define-agent.ts';

const run = () => 1;

describe('types', () => {
  it('infers what is submitted and what comes back', () => {
    const byRun = defineAgent({
      name: 'by-run',
      input: z.object({ text: z.string(), times: z.number().default(1) }),
      run: async ({ text, times }) => ({ text: text.repeat(times) }),
    });
    expectTypeOf<AgentInput<typeof byRun>>().toEqualTypeOf<{ text: string; times?: number | undefined }>();
    expectTypeOf<AgentOutput<typeof byRun>>().toEqualTypeOf<{ text: string }>();

    const bySchema = defineAgent({
      name: 'by-schema',
      input: z.string(),
      output: z.object({ n: z.number() }),
      run: (text) => ({ n: text.length }),
    });
    expectTypeOf<AgentOutput<typeof bySchema>>().toEqualTypeOf<{ n: number }>();

    const free = defineAgent({ name: 'free', run: (input: { id: string }) => input.id });
    expectTypeOf<AgentInput<typeof free>>().toEqualTypeOf<{ id: string }>();
    expectTypeOf<AgentOutput<typeof free>>().toEqualTypeOf<string>();
    expect([...byRun.methods.keys()]).toEqual(['run']);
  });

  it('types each method by its own schema', () => {
    const chat = defineAgent({
      name: 'chat',
      methods: {
        'chat.start': { input: z.object({ topic: z.string() }), run: ({ topic }) => topic.length },
        'chat.message': { input: z.number(), run: (n) => n + 1 },
      },
    });
    expect([...chat.methods.keys()]).toEqual(['chat.start', 'chat.message']);
  });
});

describe('refuses', () => {
  it.each([
    ['a name with capitals', { name: 'Echo', run }, 'found "Echo"'],
    ['an empty name', { name: '', run }, 'found ""'],
    ['a name of 65 letters', { name: 'a'.repeat(65), run }, '1 to 64'],
    ['no name', { run }, 'found undefined'],
    ['neither run nor methods', { name: 'a' }, 'needs `run` or `methods`'],
    ['a run that is no function', { name: 'a', run: 'x' }, '`run` must be a function'],
    ['a method name with a space', { name: 'a', methods: { 'b c': { run } } }, 'method name'],
    ['a method without run', { name: 'a', methods: { b: {} } }, 'method "b" needs a function `run`'],
    ['run twice', { name: 'a', run, methods: { run: { run } } }, 'keep one of them'],
    ['an input that is no schema', { name: 'a', run, input: {} }, '`input` must be a zod schema'],
    ['a method output that is no schema', { name: 'a', methods: { b: { run, output: 3 } } }, 'methods["b"].output'],
    ['a timeout of 0', { name: 'a', run, timeoutMs: 0 }, '`timeoutMs` must be milliseconds above 0; found 0'],
    ['half an attempt', { name: 'a', run, retry: { maxAttempts: 1.5 } }, 'found 1.5'],
    ['concurrency of 0', { name: 'a', run, concurrency: 0 }, '`concurrency`'],
  ])('%s', (_title, definition, message) => {
    expect(() => defineAgent(definition as unknown as { name: string; run: () => number })).toThrow(message);
  });
});
