/** `keys …`: the secrets that messages are signed with, from the first one to the last day of an old one. */
import { createHash } from 'node:crypto';
import type { Command } from 'commander';
import { isKid, withNewest, withRevoked } from '../../config/key-list.ts';
import type { GivenKeys } from '../../config/message-keys.ts';
import { id as instanceId } from '../../config/parse.ts';
import { AgentSystemError, ConfigurationError } from '../../errors.ts';
import { fingerprintOf, type KeyGeneration } from '../../message/keys.ts';
import { deriveWorkerKey, formatWorkerKey } from '../../message/worker-key.ts';
import type { Runtime } from '../../runtime/runtime.ts';
import { examples, type GlobalOptions } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import type { Io } from '../io.ts';
import { changeKeyFile, looseMode, readKeyFile } from '../key-file.ts';
import { Printer } from '../printer.ts';
import type { Column } from '../table.ts';
import { UsageError } from '../usage-error.ts';

/** Of five bits each, so 260 bits: more than the 256 that HMAC-SHA-256 can use. */
const SECRET_LENGTH = 52;
const KEYS_FILE = '--keys-file <file>';
const NO_KEYS =
  'no keys are set here: name a file with --keys-file, or set A2A_TOKEN_SECRET, MESSAGE_KEYS or MESSAGE_KEYS_FILE';

export interface KeysParts {
  io: Io;
  runtime: Runtime;
  loadKeys: () => GivenKeys | null;
}

type Does<O> = (options: O, printer: Printer) => Promise<void> | void;

export function addKeysCommands(program: Command, parts: KeysParts, done: (code: number) => void): void {
  const keys = program
    .command('keys')
    .description('secrets that messages are signed with, and keys for callers')
    .addHelpText('after', examples('keys generate', 'keys rotate --keys-file keys.txt', 'keys list'));
  const does =
    <O>(work: Does<O>) =>
    async (options: O) => {
      await work(options, new Printer(program.opts<GlobalOptions>().output, parts.io));
      done(EXIT.ok);
    };
  keys
    .command('generate')
    .description('make a secret for A2A_TOKEN_SECRET, to be given to every process')
    .option('--kid <name>', 'make an entry for MESSAGE_KEYS instead, under this name', kidFlag)
    .addHelpText(
      'after',
      examples(
        'keys generate',
        'keys generate > secret.txt  # for A2A_TOKEN_SECRET_FILE',
        'keys generate --kid k1  # for MESSAGE_KEYS',
      ),
    )
    .action(does<{ kid?: string }>(({ kid }, printer) => generate(kid, parts, printer)));
  keys
    .command('derive')
    .description('make the WORKER_KEY of one worker, which can then do without any root')
    .requiredOption('--worker <id>', 'id of the worker, its WORKER_ID', workerFlag)
    .option(KEYS_FILE, 'derive from the keys of this file (default: the keys set here)')
    .addHelpText('after', examples('keys derive --worker w7 --keys-file keys.txt > w7.key  # for WORKER_KEY_FILE'))
    .action(does<{ worker: string; keysFile?: string }>((options, printer) => derive(options, parts, printer)));
  keys
    .command('list')
    .description('which keys there are and what each is good for, without the secrets')
    .option(KEYS_FILE, 'list this file (default: the keys set here)')
    .addHelpText('after', examples('keys list', 'keys list --keys-file keys.txt'))
    .action(does<{ keysFile?: string }>((options, printer) => list(options, parts, printer)));
  keys
    .command('rotate')
    .description('add a new key that signs from soon on, while the older ones still verify')
    .requiredOption(KEYS_FILE, 'the file that MESSAGE_KEYS_FILE names; made when there is none')
    .option('--kid <name>', 'name of the new key (default: k and the date)', kidFlag)
    .addHelpText('after', examples('keys rotate --keys-file keys.txt'))
    .action(does<{ keysFile: string; kid?: string }>((options, printer) => rotate(options, parts, printer)));
  addRevoke(keys, program, parts, done);
}

function addRevoke(keys: Command, program: Command, parts: KeysParts, done: (code: number) => void): void {
  keys
    .command('revoke')
    .description('take the secret of a key out of the file: what it signed is refused from then on')
    .argument('<kid>', 'name of the key')
    .requiredOption(KEYS_FILE, 'the file that MESSAGE_KEYS_FILE names')
    .addHelpText('after', examples('keys revoke k20260131 --keys-file keys.txt'))
    .action(async (kid: string, { keysFile }: { keysFile: string }) => {
      await revoke(kid, keysFile, parts, new Printer(program.opts<GlobalOptions>().output, parts.io));
      done(EXIT.ok);
    });
}

function generate(kid: string | undefined, { runtime }: KeysParts, printer: Printer): void {
  const secret = kid === undefined ? runtime.id(SECRET_LENGTH) : rootSecret(runtime).toString('base64url');
  if (printer.format === 'table') printer.text(kid === undefined ? secret : `${kid}:${secret}`);
  else printer.value(kid === undefined ? { secret } : { kid, secret });
}

async function derive(
  { worker, keysFile }: { worker: string; keysFile?: string },
  parts: KeysParts,
  printer: Printer,
): Promise<void> {
  const roots = await rootsOf(keysFile, parts);
  const key = formatWorkerKey(deriveWorkerKey(worker, roots));
  if (printer.format === 'table') printer.text(key);
  else printer.value({ worker, generations: roots.map(({ kid }) => kid), key });
}

async function list({ keysFile }: { keysFile?: string }, parts: KeysParts, printer: Printer): Promise<void> {
  const given = keysFile === undefined ? parts.loadKeys() : await readKeyFile(keysFile, parts.io.cwd);
  if (given === null) throw new ConfigurationError([NO_KEYS]);
  if ('source' in given && printer.format === 'table') {
    printer.note(given.worker === null ? given.source : `${given.source}, the keys of worker ${given.worker}`);
  }
  printKeys(given, printer);
  if (keysFile !== undefined) await warnOfMode(keysFile, parts, printer);
}

async function rotate(
  { keysFile, kid }: { keysFile: string; kid?: string },
  parts: KeysParts,
  printer: Printer,
): Promise<void> {
  const { io, runtime } = parts;
  let note = '';
  const file = await changeKeyFile(keysFile, io.cwd, (before) => {
    const first = before === null ? givenRoot(parts) : null;
    if (first !== null) {
      note = `it holds the key of A2A_TOKEN_SECRET: set MESSAGE_KEYS_FILE instead of that everywhere, then rotate again`;
      return withNewest('', first).text;
    }
    const secret = rootSecret(runtime);
    const names = new Set([...(before?.generations.map((one) => one.kid) ?? []), ...(before?.revoked ?? [])]);
    if (kid !== undefined && names.has(kid))
      throw refused(`${keysFile} has a key "${kid}" already; give another --kid`);
    const { text, dropped } = withNewest(before?.text ?? '', { kid: kid ?? nameFor(runtime.now(), names), secret });
    note = nextStep(before !== null, dropped);
    return text;
  });
  printKeys(file, printer);
  printer.note(`${keysFile}: ${note}`);
  await warnOfMode(keysFile, parts, printer);
}

function nextStep(existed: boolean, dropped: string[]): string {
  const gone = dropped.length > 0 ? `; there were too many, so gone are: ${dropped.join(', ')}` : '';
  if (!existed) return 'the first key; set MESSAGE_KEYS_FILE to this file in every process';
  const then = 'revoke the older ones once every shard\'s owner has logged "All seals are of the newest key"';
  return `the new key signs once it was there for MESSAGE_KEY_DELAY (30s)${gone}; make every WORKER_KEY anew before that, and ${then}`;
}

async function revoke(kid: string, keysFile: string, parts: KeysParts, printer: Printer): Promise<void> {
  const file = await changeKeyFile(keysFile, parts.io.cwd, (before) => {
    if (before === null) throw new UsageError(`${keysFile} cannot be read: there is no such file, or an empty one`);
    const live = before.generations.map((one) => one.kid);
    if (before.revoked.includes(kid)) throw refused(`the key "${kid}" in ${keysFile} is revoked already`);
    if (!live.includes(kid)) throw refused(`${keysFile} has no key "${kid}"; it has ${live.join(', ')}`);
    if (live.length === 1) {
      throw refused(
        `"${kid}" is the only key in ${keysFile}: add another first, with keys rotate --keys-file ${keysFile}`,
      );
    }
    return withRevoked(before.text, kid);
  });
  printKeys(file, printer);
  printer.note(
    `${keysFile}: messages signed with ${kid} are refused from now on, and waiting tasks that were sealed with it and not sealed anew stay where they are: cancel them and submit them again`,
  );
}

interface KeyRow {
  kid: string;
  use: 'signs' | 'verifies' | 'revoked';
  fingerprint: string | null;
}

const COLUMNS: Column<KeyRow>[] = [
  { name: 'KID', of: ({ kid }) => kid, whole: true },
  {
    name: 'USE',
    of: ({ use }) => use,
    style: ({ use }) => (use === 'signs' ? 'green' : use === 'revoked' ? 'red' : undefined),
  },
  { name: 'FINGERPRINT', of: ({ fingerprint }) => fingerprint, whole: true },
];

function printKeys(
  { generations, revoked }: { generations: readonly KeyGeneration[]; revoked: readonly string[] },
  printer: Printer,
): void {
  const rows = generations.map((generation, at): KeyRow => {
    const { kid } = generation;
    return { kid, use: at === 0 ? 'signs' : 'verifies', fingerprint: fingerprintOf(generation) };
  });
  const gone = revoked.map((kid): KeyRow => ({ kid, use: 'revoked', fingerprint: null }));
  printer.list([...rows, ...gone], COLUMNS, 'There are no keys.');
}

async function warnOfMode(keysFile: string, { io }: KeysParts, printer: Printer): Promise<void> {
  const mode = await looseMode(keysFile, io.cwd);
  if (mode !== null) printer.note(`${keysFile} can be read by everyone on this machine (mode ${mode}): chmod 600 it`);
}

async function rootsOf(keysFile: string | undefined, { io, loadKeys }: KeysParts): Promise<readonly KeyGeneration[]> {
  if (keysFile !== undefined) return (await readKeyFile(keysFile, io.cwd)).generations;
  const given = loadKeys();
  if (given === null) throw new ConfigurationError([NO_KEYS]);
  if (given.worker === null) return given.generations;
  throw new ConfigurationError([
    `${given.source} holds the keys of worker ${given.worker} only: name a file of roots with --keys-file`,
  ]);
}

/** The secret of a system that has had only one: its tasks are sealed with it, so a first file of keys begins with it. */
function givenRoot({ loadKeys }: KeysParts): KeyGeneration | null {
  const given = loadKeys();
  return given?.source.startsWith('A2A_TOKEN_SECRET') ? given.generations[0]! : null;
}

function rootSecret(runtime: Runtime): Buffer {
  return createHash('sha256').update(runtime.id(SECRET_LENGTH)).digest();
}

/** `k20260131`, and `k20260131-2` where that is taken. */
function nameFor(now: number, taken: ReadonlySet<string>): string {
  const name = `k${new Date(now).toISOString().slice(0, 10).replaceAll('-', '')}`;
  let found = name;
  for (let n = 2; taken.has(found); n++) found = `${name}-${n}`;
  return found;
}

function kidFlag(text: string): string {
  if (isKid(text)) return text;
  throw new UsageError(`--kid is ${JSON.stringify(text)}, wanted 1 to 64 letters, digits, hyphens or underscores`);
}

function workerFlag(text: string): string {
  if (instanceId.read(text) !== undefined) return text;
  throw new UsageError(`--worker is ${JSON.stringify(text)}, wanted ${instanceId.wanted}`);
}

function refused(message: string): AgentSystemError {
  return new AgentSystemError('KEY_REFUSED', message);
}
