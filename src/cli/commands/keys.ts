/** `keys generate`: a secret to sign messages with, for machines that have no other way to make one. */
import type { Command } from 'commander';
import type { Runtime } from '../../runtime/runtime.ts';
import { examples, type GlobalOptions } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import type { Io } from '../io.ts';
import { Printer } from '../printer.ts';

/** Of five bits each, so 260 bits: more than the 256 that HMAC-SHA-256 can use. */
const SECRET_LENGTH = 52;

export function addKeysCommand(
  program: Command,
  { io, runtime }: { io: Io; runtime: Runtime },
  done: (code: number) => void,
): void {
  program
    .command('keys')
    .description('secrets that messages are signed with')
    .addHelpText('after', examples('keys generate'))
    .command('generate')
    .description('make a secret for A2A_TOKEN_SECRET, to be given to every process')
    .addHelpText('after', examples('keys generate', 'keys generate > secret.txt  # for A2A_TOKEN_SECRET_FILE'))
    .action(() => {
      const printer = new Printer(program.opts<GlobalOptions>().output, io);
      const secret = runtime.id(SECRET_LENGTH);
      if (printer.format === 'table') printer.text(secret);
      else printer.value({ secret });
      done(EXIT.ok);
    });
}
