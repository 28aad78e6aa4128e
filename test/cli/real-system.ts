import { defineAgent } from '../../src/agent/define-agent.ts';
import { createSystem, type System, type SystemOptions } from '../../src/create-system.ts';
import { cli, type Ran, type Terminal } from './builders.ts';

export interface RealSystem {
  system: System;
  /** Runs a command line, with quotes as in a shell, against it. */
  run(command: string, terminal?: Partial<Terminal>): Promise<Ran>;
  /** Lets everything that runs `gated` go on. */
  open(): void;
}

/** All roles in this process over HTTP, with agents that end at once, fail, tell their progress, or wait for `open`. */
/** @param store where it keeps its state; default: the embedded one */
export async function aRealSystem(store: SystemOptions['store'] = 'memory'): Promise<RealSystem> {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const agents = [
    defineAgent({ name: 'greet', run: () => ({ hello: 'you' }) }),
    defineAgent({
      name: 'stumble',
      retry: { maxAttempts: 1 },
      run: () => {
        throw Object.assign(new Error('the printer is empty'), { code: 'out_of_paper' });
      },
    }),
    defineAgent({
      name: 'gated',
      run: async (_input, ctx) => {
        ctx.progress(0.5, 'half of it');
        await Promise.race([opened, new Promise((resolve) => ctx.signal.addEventListener('abort', resolve))]);
        return { done: true };
      },
    }),
  ];
  const system = await createSystem({
    store,
    secret: store === 'memory' ? undefined : 'the-secret-of-the-command-line-tests-0123',
    agents,
    port: 0,
    workers: [{ id: 'w1', slots: 8 }],
    instanceId: 'one',
    settings: { LOG_LEVEL: 'error', DRAIN_TIMEOUT: '1s' },
  });
  return {
    system,
    open,
    run: (command, terminal) => cli(words(command), { url: system.url!, ...terminal }),
  };
}

function words(command: string): string[] {
  return [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
}
