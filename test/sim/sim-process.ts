import type { Runtime } from '../../src/runtime/runtime.ts';
import type { VirtualRuntime } from '../../src/runtime/virtual-runtime.ts';

/**
 * One simulated process: a local clock that may be wrong, and a life. Everything that happens to it from outside (a
 * timer, a reply) comes through `run`, so that a stopped process sees nothing until it goes on, and a dead one never.
 */
export class SimProcess {
  readonly name: string;
  readonly pid: number;
  readonly runtime: Runtime;
  readonly #world: VirtualRuntime;
  #offsetMs: number;
  #state: 'running' | 'paused' | 'dead' = 'running';
  #held: (() => void)[] = [];

  constructor(world: VirtualRuntime, name: string, { pid, offsetMs }: { pid: number; offsetMs: number }) {
    this.#world = world;
    this.name = name;
    this.pid = pid;
    this.#offsetMs = offsetMs;
    this.runtime = {
      now: () => world.now() + this.#offsetMs,
      random: world.random,
      id: world.id,
      after: (ms, fn) => this.#after(ms, fn),
      soon: (fn) => void this.#after(0, fn),
    };
  }

  get alive(): boolean {
    return this.#state !== 'dead';
  }

  get paused(): boolean {
    return this.#state === 'paused';
  }

  /** Happens now, when the process goes on, or never. */
  run(fn: () => void): void {
    if (this.#state === 'paused') this.#held.push(fn);
    else if (this.#state === 'running') fn();
  }

  /** SIGSTOP */
  pause(): void {
    if (this.#state === 'running') this.#state = 'paused';
  }

  /** SIGCONT: what stood still happens at once, in order. */
  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'running';
    for (const fn of this.#held.splice(0)) this.#world.after(0, () => this.run(fn));
  }

  /** SIGKILL */
  kill(): void {
    this.#state = 'dead';
    this.#held = [];
  }

  /** Someone sets the host's clock. */
  stepClock(ms: number): void {
    this.#offsetMs += ms;
  }

  #after(ms: number, fn: () => void): () => void {
    let cancelled = false;
    // Timers of a real host run on whole milliseconds, and not before their time.
    const cancel = this.#world.after(Math.ceil(ms), () =>
      this.run(() => {
        if (!cancelled) fn();
      }),
    );
    return () => {
      cancelled = true;
      cancel();
    };
  }
}
