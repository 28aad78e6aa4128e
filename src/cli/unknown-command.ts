import type { Command } from 'commander';
import { nearest } from '../runtime/near-names.ts';

/** What is said of a word in the place of a command that is none. */
export function unknownCommand(word: string, among: Command): string {
  const near = nearest(
    word,
    among.commands.map((command) => command.name()),
  );
  return `unknown command '${word}'${near.length > 0 ? `; did you mean ${near.join(' or ')}?` : ''}`;
}
