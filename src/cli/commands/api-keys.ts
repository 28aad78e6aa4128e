/** `keys api`: a key that a caller shows, and the line that lets it in. */
import { type Command, InvalidArgumentError } from 'commander';
import { hashOfApiKey, readApiKeys } from '../../config/api-keys.ts';
import type { Runtime } from '../../runtime/runtime.ts';
import { SCOPES } from '../../service/caller.ts';
import { examples, type GlobalOptions } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { durationFlag } from '../flags.ts';
import type { Io } from '../io.ts';
import { Printer } from '../printer.ts';
import { UsageError } from '../usage-error.ts';

/** So that people and programs that look for leaked keys know what they found. */
const PREFIX = 'as_';
/** Of five bits each, so 260 bits: nobody tries all of them, which is why a plain hash of the key may be kept. */
const KEY_LENGTH = 52;

interface ApiKeyFlags {
  name: string;
  scopes: string[];
  tenant?: string;
  expiresIn?: number;
}

/** Beside the other commands of `keys`, which must be there. */
export function addApiKeysCommand(
  program: Command,
  parts: { io: Io; runtime: Runtime },
  done: (code: number) => void,
): void {
  program.commands
    .find((command) => command.name() === 'keys')!
    .command('api')
    .description('make a key for a caller: shown once, only its hash is kept in API_KEYS_FILE')
    .requiredOption('--name <name>', 'who holds it; the log names callers so')
    .requiredOption('--scopes <list>', `what it is for: ${SCOPES.join(', ')} (with commas between them)`, scopesFlag)
    .option('--tenant <name>', 'sees and makes tasks of this tenant only')
    .option('--expires-in <duration>', 'how long it is good for, such as 90d', durationFlag)
    .addHelpText(
      'after',
      `${examples('keys api --name ci --scopes tasks:write', 'keys api --name acme --scopes tasks:read,tasks:write --tenant acme --expires-in 90d')}

API_KEYS_FILE is a JSON list of such entries. It is read again when it changes, so a key that is taken out of it opens
nothing a second later.`,
    )
    .action((flags: ApiKeyFlags) => {
      const { output } = program.opts<GlobalOptions>();
      make(flags, parts.runtime, new Printer(output, parts.io));
      done(EXIT.ok);
    });
}

function make({ name, scopes, tenant, expiresIn }: ApiKeyFlags, runtime: Runtime, printer: Printer): void {
  const key = PREFIX + runtime.id(KEY_LENGTH);
  const expiresAt = expiresIn === undefined ? undefined : new Date(runtime.now() + expiresIn).toISOString();
  const entry = { name, hash: `sha256:${hashOfApiKey(key)}`, scopes, tenant, expiresAt };
  const checked = readApiKeys(JSON.stringify([entry]));
  if ('problems' in checked)
    throw new UsageError(checked.problems.map((text) => text.replace('[0]', 'the key')).join('; '));
  if (printer.format !== 'table') return printer.value({ key, entry });
  printer.note(`the key of ${name}, shown this once:`);
  printer.text(key);
  printer.note('its entry for the list in API_KEYS_FILE:');
  printer.text(JSON.stringify(entry));
}

function scopesFlag(text: string): string[] {
  const scopes = text.split(',').map((scope) => scope.trim());
  const unknown = scopes.filter((scope) => !(SCOPES as readonly string[]).includes(scope));
  if (unknown.length > 0) throw new InvalidArgumentError(`Wanted ${SCOPES.join(', ')} with commas between them.`);
  return scopes;
}
