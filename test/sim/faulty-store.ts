import { StoreUnavailableError } from '../../src/errors.ts';
import type { VirtualRuntime } from '../../src/runtime/virtual-runtime.ts';
import type { HeldLock, LockPort, Store } from '../../src/store/store.ts';
import type { SimProcess } from './sim-process.ts';
import type { Weather } from './weather.ts';

/** Carries a call out at the store: the method's name, its arguments, and for which process. */
export type Apply = (process: string, method: string, args: unknown[]) => Promise<unknown>;

export interface FaultyStoreOptions {
  world: VirtualRuntime;
  process: SimProcess;
  weather: Weather;
  apply: Apply;
}

/**
 * The store as one process has it: behind a network that delays, loses, doubles and reorders calls and replies. A call of
 * a dead process is never answered; what it sent before may still arrive.
 */
export function faultyStore(options: FaultyStoreOptions): Store {
  const line = new Line(options);
  const facts: Record<string, unknown> = { kind: 'memory', connected: true };
  return new Proxy({} as Store, {
    get: (_, method: string) => {
      if (method in facts) return facts[method];
      if (method === 'lock') return (shard: number) => lockOver(line, options.process, shard);
      // A promise is not a store: `await store` must not look like a call.
      if (method === 'then') return undefined;
      return (...args: unknown[]) => line.call(method, args);
    },
  });
}

class Line {
  readonly #options: FaultyStoreOptions;

  constructor(options: FaultyStoreOptions) {
    this.#options = options;
  }

  call(method: string, args: unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { world, process, weather } = this.#options;
      if (!process.alive) return;
      const fate = weather.fate();
      const wayMs = fate === 'slow' ? weather.slowness() : weather.latency();
      const timeoutMs = weather.timeout();
      const fail = (what: string) => process.run(() => reject(new StoreUnavailableError(`${what} (${method})`)));
      const answered = fate === 'served' || fate === 'doubled' || fate === 'slow';
      if (!answered) world.after(timeoutMs, () => fail('no answer'));
      if (fate === 'lost') return;
      const twice = fate === 'doubled' ? world.random() : 0;
      world.after(wayMs + (fate === 'late' ? timeoutMs + weather.slowness() : 0), () => {
        if (!weather.reaches(process.name)) return answered ? fail('connection refused') : undefined;
        const first = this.#apply(method, args);
        const reply = twice > 0 ? this.#again(first, method, args, twice) : first;
        reply.then(
          (value) => answered && this.#answer(() => resolve(value), fail),
          (error) => answered && this.#answer(() => reject(error), fail),
        );
      });
    });
  }

  #apply(method: string, args: unknown[]): Promise<unknown> {
    return this.#options.apply(this.#options.process.name, method, args);
  }

  /** The client sent it once more before it had the answer: it gets the first answer, or only the second. */
  #again(first: Promise<unknown>, method: string, args: unknown[], chance: number): Promise<unknown> {
    const second = new Promise<unknown>((resolve, reject) => {
      this.#options.world.after(Math.floor(chance * 300), () => this.#apply(method, args).then(resolve, reject));
    });
    second.catch(() => undefined);
    first.catch(() => undefined);
    return chance < 0.5 ? first : second;
  }

  #answer(settle: () => void, fail: (what: string) => void): void {
    const { world, process, weather } = this.#options;
    world.after(weather.latency(), () => {
      if (weather.reaches(process.name)) process.run(settle);
      else fail('connection lost');
    });
  }
}

/** The end of a held lock is counted in local time from before the request, as where the store is a server. */
function lockOver(line: Line, process: SimProcess, shard: number): LockPort {
  const hold = async (method: string, ttlMs: number, args: unknown[]): Promise<HeldLock | null> => {
    const expiresAt = process.runtime.now() + ttlMs;
    const held = (await line.call(method, [shard, ...args])) as HeldLock | null;
    return held && { ...held, expiresAt };
  };
  return {
    acquire: (ttlMs) => hold('lock.acquire', ttlMs, [ttlMs]),
    extend: (held, ttlMs) => hold('lock.extend', ttlMs, [held, ttlMs]),
    release: async (held) => void (await line.call('lock.release', [shard, held])),
  };
}
