import { type CommandContext, unlessInterrupted } from './command.ts';
import type { Io } from './io.ts';
import { UsageError } from './usage-error.ts';

const ANSWER_LENGTH_MAX = 1_000;

/** Where nobody can be asked, `--yes` has to stand for the answer. */
export function wantSomebodyToAsk({ interactive }: Io): void {
  if (interactive) return;
  throw new UsageError(
    'there is no terminal to ask whether it is meant so; wanted --yes, or --dry-run to see how many they are',
  );
}

export async function confirmed(
  question: string,
  { io, signal }: Pick<CommandContext, 'io' | 'signal'>,
): Promise<boolean> {
  io.err(`${question} [y/N] `);
  return /^y(es)?$/i.test((await unlessInterrupted(readLine(io.stdin()), signal)).trim());
}

async function readLine(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  let text = '';
  for await (const chunk of chunks) {
    text += Buffer.from(chunk).toString('utf8');
    if (text.includes('\n') || text.length > ANSWER_LENGTH_MAX) break;
  }
  return text.split('\n')[0]!;
}
