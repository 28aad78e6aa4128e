/** The options of the program that commands take too: one list for their help and for what a shell completes. */
import type { Command, Option } from 'commander';

const SHARED = ['--output', '--url', '--api-key', '--ca-file', '--cert-file', '--key-file'];
/** `dev` listens, as a role does. */
const OF_DEV = ['--port', '--host'];

/** In the help of a command the other flags that start a role would only mislead. */
export function sharedOptions(command: Command): Option[] {
  const root = rootOf(command);
  if (command === root) return [];
  return root.options.filter(({ long }) => SHARED.includes(long ?? '') || listensOn(command, long ?? ''));
}

/** @param flag such as `--port` */
export function listensOn(command: Command, flag: string): boolean {
  return command.name() === 'dev' && OF_DEV.includes(flag);
}

function rootOf(command: Command): Command {
  return command.parent === null ? command : rootOf(command.parent);
}
