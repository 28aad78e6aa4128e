/** No process outlives the tests that started it, whatever became of them. */
import type { ChildProcess } from 'node:child_process';

const living = new Set<() => void>();

process.on('exit', () => {
  for (const kill of living) kill();
});
// Told to end, a process without a listener would skip its `exit` event.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));

/** Kills the child when this process ends, unless it has ended before. */
export function endWithTest<T extends ChildProcess>(child: T): T {
  const kill = () => child.kill('SIGKILL');
  living.add(kill);
  child.once('exit', () => living.delete(kill));
  return child;
}

/**
 * Runs `kill` when this process ends; answers how to take that back. For what is not a child of ours to listen to: it
 * must be taken back once the process has ended, for its id may be given out again.
 */
export function killAtExit(kill: () => void): () => void {
  living.add(kill);
  return () => living.delete(kill);
}
