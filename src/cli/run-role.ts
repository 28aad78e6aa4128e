import type { Config } from '../config/load.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import type { Io } from './io.ts';

/** A role that runs in this process. */
export interface RunningSystem {
  /** Null while it serves no HTTP. */
  readonly url: string | null;
  readonly role: string;
  readonly id: string;
  /** Drains and ends; a second call waits for the first. */
  stop(): Promise<void>;
  /** The exit code of a system that ended by itself, such as one whose id another process took over. */
  readonly ended: Promise<number>;
}

export interface StartExtras {
  /** A snapshot to begin with. */
  restore?: string;
}

export type StartSystem = (config: Config, extras?: StartExtras) => Promise<RunningSystem>;

/**
 * Runs a role until it is told to end: the first signal drains it, also while it is still starting, and the exit code is
 * 0; a second one ends the process at once.
 */
export async function runRole(config: Config, start: StartSystem, io: Io): Promise<number> {
  const told = nextSignal(io);
  try {
    const system = await start(config);
    const code = await Promise.race([told.first, system.ended]);
    await system.stop();
    return code;
  } finally {
    told.close();
  }
}

/** Resolves with the exit code of a system that was told to end, 0. */
function nextSignal(io: Io): { first: Promise<number>; close(): void } {
  let close = () => {};
  const first = new Promise<number>((resolve) => {
    let signals = 0;
    close = io.onSignal((signal) => {
      signals++;
      if (signals === 1) resolve(EXIT.ok);
      else io.exitNow(exitCodeOf(signal));
    });
  });
  return { first, close: () => close() };
}
