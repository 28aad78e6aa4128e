import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { defineAgent } from '../../src/agent/define-agent.ts';
import type { Client, TaskHandle } from '../../src/client/client.ts';

const shout = defineAgent({
  name: 'shout',
  input: z.object({ text: z.string(), times: z.number().default(1) }),
  run: async ({ text, times }) => ({ loud: text.toUpperCase().repeat(times) }),
});

declare const client: Client;

/** Never called: the compiler is the test, `tsc` runs over it with all the others. */
const calls = {
  typed: () => client.submit(shout, { text: 'a' }, { priority: 'high' }),
  run: () => client.submit(shout, { text: 'a' }, { method: 'run' }),
  method: () => client.submit(shout, 'anything', { method: 'chat.start' }),
  named: () => client.submit('shout', 'anything'),
  told: () => client.submit<{ loud: string }>('shout', 'anything', { method: 'chat.start' }),
  // @ts-expect-error `text` is wanted as a text
  wrongInput: () => client.submit(shout, { text: 1 }),
  // @ts-expect-error `text` is missing
  noText: () => client.submit(shout, {}),
  // @ts-expect-error there is no such option
  wrongOption: () => client.submit(shout, { text: 'a' }, { prio: 1 }),
  // @ts-expect-error there is no such priority
  wrongPriority: () => client.submit(shout, { text: 'a' }, { priority: 'highest' }),
};

describe('the types of the client', () => {
  it('come from the agent', () => {
    expectTypeOf(calls.typed).returns.resolves.toEqualTypeOf<TaskHandle<{ loud: string }>>();
    expectTypeOf(calls.run).returns.resolves.toEqualTypeOf<TaskHandle<{ loud: string }>>();
    expectTypeOf<TaskHandle<{ loud: string }>['result']>().returns.resolves.toEqualTypeOf<{ loud: string }>();
  });

  it('are open for another method and for a name, unless the caller says more', () => {
    expectTypeOf(calls.method).returns.resolves.toEqualTypeOf<TaskHandle<unknown>>();
    expectTypeOf(calls.named).returns.resolves.toEqualTypeOf<TaskHandle<unknown>>();
    expectTypeOf(calls.told).returns.resolves.toEqualTypeOf<TaskHandle<{ loud: string }>>();
  });
});
