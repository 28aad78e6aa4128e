import { z } from 'zod';
import { type Agent, defineAgent } from '../../src/agent/define-agent.ts';
import { RetryAfter, TerminalError } from '../../src/agent/errors.ts';
import { AgentRegistry } from '../../src/agent/registry.ts';
import { pause, type Runtime } from '../../src/runtime/runtime.ts';

export interface SimAgentPorts {
  runtime: Runtime;
  /** A handler begins: the mark that whatever it gives out must carry. */
  enter: (task: string) => string;
  leave: () => void;
}

const ms = z.number();
/** Attempts of the agent `narrow` at once. */
export const NARROW = 2;

/** Agents that behave well and badly, in virtual time. What they give out names the run it came from. */
export function simAgents({ runtime, enter, leave }: SimAgentPorts): AgentRegistry {
  const marked = <In>(name: string, input: z.ZodType<In>, run: Handler<In>, concurrency?: number): Agent =>
    defineAgent({
      name,
      input,
      concurrency,
      run: async (value, ctx) => {
        const mark = enter(ctx.taskId);
        try {
          return await run(value as In, { mark, ...pick(ctx) });
        } finally {
          leave();
        }
      },
    });
  return new AgentRegistry([
    marked('echo', z.object({ text: z.string() }), async ({ text }, { mark }) => ({ text, mark })),
    marked('nap', z.object({ ms }), async (input, { mark, signal }) => {
      await pause(runtime, input.ms, signal);
      signal.throwIfAborted();
      return { mark };
    }),
    marked(
      'narrow',
      z.object({ ms }),
      async (input, { mark, signal }) => {
        await pause(runtime, input.ms, signal);
        return { mark };
      },
      NARROW,
    ),
    // Does not hear that it should end.
    marked('deaf', z.object({ ms }), async (input, { mark }) => {
      await pause(runtime, input.ms);
      return { mark };
    }),
    marked('talk', z.object({ ms, steps: z.number() }), async (input, { mark, signal, progress }) => {
      for (let step = 1; step <= input.steps && !signal.aborted; step++) {
        progress(step / input.steps, `step ${step} of ${mark}`);
        await pause(runtime, input.ms, signal);
      }
      return { mark };
    }),
    marked('flaky', z.object({ failures: z.number(), how: z.string(), ms }), async (input, { mark, attempt }) => {
      await pause(runtime, input.ms);
      if (attempt <= input.failures) throw thrown(input.how, mark);
      return { mark };
    }),
  ]);
}

interface Given {
  mark: string;
  attempt: number;
  signal: AbortSignal;
  progress: (value: number, note?: string) => void;
}
type Handler<In> = (input: In, given: Given) => Promise<unknown>;

function pick({ attempt, signal, progress }: Omit<Given, 'mark'>): Omit<Given, 'mark'> {
  return { attempt, signal, progress };
}

function thrown(how: string, mark: string): unknown {
  if (how === 'terminal') return new TerminalError(`ended by ${mark}`, { code: 'told_so' });
  if (how === 'later') return new RetryAfter(700, `later, says ${mark}`);
  if (how === 'text') return `only a text from ${mark}`;
  return new Error(`failed in ${mark}`);
}
