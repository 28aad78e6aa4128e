import { expect, it } from 'vitest';
import { z } from 'zod';
import { builtInAgents } from '../../src/agent/built-in.ts';
import { cardOf } from '../../src/agent/card.ts';
import { defineAgent } from '../../src/agent/define-agent.ts';

it('describes every method by JSON Schema, so that a task can be checked elsewhere', () => {
  const agent = defineAgent({
    name: 'chat',
    version: '1.2.0',
    description: 'Talks.',
    input: z.object({ text: z.string(), times: z.number().default(1) }),
    run: ({ text }) => text,
    methods: { 'chat.end': { description: 'Ends.', run: () => null } },
    timeoutMs: 5_000,
  });
  const card = JSON.parse(JSON.stringify(cardOf(agent)));
  expect(card).toMatchObject({
    name: 'chat',
    version: '1.2.0',
    timeoutMs: 5_000,
    methods: { run: { input: { type: 'object', required: ['text'] } }, 'chat.end': { description: 'Ends.' } },
  });
  expect(z.fromJSONSchema(card.methods.run.input).safeParse({ text: 1 }).success).toBe(false);
  expect(z.fromJSONSchema(card.methods.run.input).safeParse({ text: 'a' }).success).toBe(true);
});

it('writes what has no JSON Schema as anything', () => {
  const agent = defineAgent({ name: 'a', input: z.object({ when: z.date(), n: z.bigint() }), run: () => 1 });
  expect(cardOf(agent).methods.run!.input).toMatchObject({ type: 'object' });
});

it('describes the built-in agents', () => {
  for (const agent of builtInAgents) expect(JSON.parse(JSON.stringify(cardOf(agent))).name).toBe(agent.name);
});
