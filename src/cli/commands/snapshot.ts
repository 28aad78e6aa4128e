/** `snapshot …`: everything a system keeps to a file, the proof that a file is whole and ours, and back. */
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { GivenKeys } from '../../config/message-keys.ts';
import { AgentSystemError } from '../../errors.ts';
import { keyRing } from '../../message/keys.ts';
import type { Runtime } from '../../runtime/runtime.ts';
import { readSnapshot, type SnapshotSummary, verifySnapshot } from '../../snapshot/read.ts';
import type { RestoreReport } from '../../snapshot/restore.ts';
import { type CommandContext, examples, type GlobalOptions, type Run } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { count } from '../human.ts';
import type { Io } from '../io.ts';
import { Printer } from '../printer.ts';
import { Progress } from '../progress.ts';
import { whyUnusable } from '../read-input.ts';

export interface SnapshotParts {
  io: Io;
  runtime: Runtime;
  loadKeys: () => GivenKeys | null;
}

const STANDARD = '-';

export function addSnapshotCommands(
  program: Command,
  parts: SnapshotParts,
  { run, done }: { run: Run; done: (code: number) => void },
): void {
  const snapshot = program
    .command('snapshot')
    .description('everything the system keeps, to a file and back')
    .addHelpText('after', examples('snapshot save monday.ndjson', 'snapshot restore monday.ndjson'));
  snapshot
    .command('save')
    .description('save a snapshot of the running system; it goes on meanwhile')
    .argument('<file>', 'where to; - is the standard output')
    .addHelpText('after', examples('snapshot save monday.ndjson', 'snapshot save - | gzip > monday.ndjson.gz'))
    .action((file: string) => run((context) => save(file, context)));
  snapshot
    .command('verify')
    .description('prove that a file is whole, unchanged and signed with the keys set here; asks no system')
    .argument('<file>', 'which one; - is the standard input')
    .addHelpText('after', examples('snapshot verify monday.ndjson', 'snapshot verify monday.ndjson -o json'))
    .action(async (file: string) => {
      const printer = new Printer(program.opts<GlobalOptions>().output, parts.io);
      done(await verify(file, parts, printer));
    });
  snapshot
    .command('restore')
    .description('put a snapshot into the running system, whose store must be empty')
    .argument('<file>', 'which one; - is the standard input')
    .option('--force', 'also where there are tasks: adds what is missing and leaves alone what is there')
    .addHelpText('after', examples('snapshot restore monday.ndjson', 'snapshot restore monday.ndjson --force'))
    .action((file: string, { force = false }: { force?: boolean }) =>
      run((context) => restore(file, { ...context, force })),
    );
}

async function save(file: string, context: CommandContext): Promise<number> {
  const { io, printer, client, signal } = context;
  if (file === STANDARD) {
    const summary = await checked(client.snapshot({ signal }), (piece) => io.out(piece));
    printer.note(savedSentence(summary, 'the standard output'));
    return EXIT.ok;
  }
  const summary = await saveFile(file, context);
  if (printer.format === 'table') printer.note(savedSentence(summary, file));
  else printer.value({ file, ...summary });
  return EXIT.ok;
}

/** Under its name it stands only once it is whole and on the disk. */
async function saveFile(file: string, { io, runtime, client, signal }: CommandContext): Promise<SnapshotSummary> {
  const progress = new Progress({ io, runtime, noun: 'bytes' });
  const path = resolve(io.cwd, file);
  const partial = `${path}.part`;
  try {
    const out = await open(partial, 'w', 0o600);
    try {
      const summary = await checked(client.snapshot({ signal }), writerTo(out, progress));
      await out.sync();
      await rename(partial, path);
      return summary;
    } finally {
      await out.close();
      await rm(partial, { force: true });
    }
  } catch (error) {
    throw fileError(error, file);
  } finally {
    progress.clear();
  }
}

function writerTo(out: FileHandle, progress: Progress): (piece: string) => Promise<void> {
  let bytes = 0;
  return async (piece) => {
    await out.appendFile(piece);
    bytes += Buffer.byteLength(piece);
    progress.update({ done: bytes, total: null, fraction: null });
  };
}

/** Hands on what it reads, and answers what the snapshot is; whether it was signed by us is the system's word. */
async function checked(
  pieces: AsyncIterable<string>,
  onPiece: (piece: string) => Promise<void> | void,
): Promise<SnapshotSummary> {
  async function* through(): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      await onPiece(piece);
      yield Buffer.from(piece);
    }
  }
  return verifySnapshot(through(), { keys: null });
}

async function verify(file: string, { io, runtime, loadKeys }: SnapshotParts, printer: Printer): Promise<number> {
  const given = loadKeys();
  const keys = given === null || given.worker !== null ? null : keyRing(given.generations);
  const progress = new Progress({ io, runtime, noun: 'tasks' });
  try {
    const summary = await readThrough(await source(file, io), keys, progress);
    progress.clear();
    if (printer.format === 'table') showSummary(summary, file, printer);
    else printer.value({ file, ...summary });
    if (keys !== null) return EXIT.ok;
    printer.note(
      'error: who signed it is not known: no keys are set here (A2A_TOKEN_SECRET, MESSAGE_KEYS or MESSAGE_KEYS_FILE)',
    );
    return EXIT.failed;
  } catch (error) {
    progress.clear();
    throw fileError(error, file);
  }
}

interface Source {
  bytes: AsyncIterable<Uint8Array>;
  /** Of it that has been read, 0 to 1; null where nobody knows. */
  fraction: () => number | null;
}

async function readThrough(
  { bytes, fraction }: Source,
  keys: ReturnType<typeof keyRing> | null,
  progress: Progress,
): Promise<SnapshotSummary> {
  const content = readSnapshot(bytes, { keys });
  for (let done = 0; ; ) {
    const next = await content.next();
    if (next.done) return next.value;
    if (next.value.type === 'task') done += 1;
    progress.update({ done, total: null, fraction: fraction() });
  }
}

async function source(file: string, io: Io): Promise<Source> {
  if (file === STANDARD) return { bytes: io.stdin(), fraction: () => null };
  const path = resolve(io.cwd, file);
  const { size } = await stat(path);
  const stream = createReadStream(path);
  return { bytes: stream, fraction: () => (size === 0 ? 1 : stream.bytesRead / size) };
}

async function restore(
  file: string,
  { client, io, runtime, printer, signal, force }: CommandContext & { force: boolean },
): Promise<number> {
  const progress = new Progress({ io, runtime, noun: 'bytes' });
  try {
    const { bytes, fraction } = await source(file, io);
    const report = await client.restore(uploaded(bytes, fraction, progress), { force, signal });
    progress.clear();
    if (printer.format === 'table') showReport(report, printer);
    else printer.value({ file, ...report });
    return EXIT.ok;
  } catch (error) {
    progress.clear();
    throw fileError(error, file);
  }
}

async function* uploaded(
  bytes: AsyncIterable<Uint8Array>,
  fraction: () => number | null,
  progress: Progress,
): AsyncGenerator<Uint8Array> {
  let sent = 0;
  for await (const piece of bytes) {
    yield piece;
    sent += piece.length;
    progress.update({
      done: sent,
      total: null,
      fraction: fraction(),
      note: fraction() === 1 ? 'restoring' : undefined,
    });
  }
}

function savedSentence({ counts, takenAt, digest }: SnapshotSummary, file: string): string {
  return `saved ${count(counts.task ?? 0, 'task')} of ${takenAt} to ${file}, digest ${digest.slice(0, 12)}`;
}

function showSummary(summary: SnapshotSummary, file: string, printer: Printer): void {
  const { counts, states, seals } = summary;
  printer.facts([
    ['file', file],
    ['taken', summary.takenAt],
    ['by', `agent-system ${summary.version}, deployment ${summary.deployment}, ${count(summary.shards, 'shard')}`],
    ['tasks', (counts.task ?? 0).toLocaleString('en')],
    ...Object.entries(states).map(([state, found]) => [`  ${state}`, found.toLocaleString('en')] as const),
    ['schedules', String(counts.schedule ?? 0)],
    ['digest', summary.digest],
    ['signed', summary.signed ? `with the key "${summary.key}", which is here` : `with the key "${summary.key}"`],
    ['sealed', seals.unknownKey > 0 ? `${count(seals.unknownKey, 'task')} with a key that is not here` : undefined],
    ['rejected', seals.wrong > 0 ? `${count(seals.wrong, 'task')} whose seal is wrong` : undefined],
  ]);
}

function showReport({ snapshot, ...report }: RestoreReport, printer: Printer): void {
  printer.facts([
    ['snapshot of', snapshot.takenAt],
    ['restored', count(report.restored, 'task')],
    ['kept', report.kept > 0 ? `${count(report.kept, 'task')} that were there already` : undefined],
    ['requeued', report.requeued > 0 ? `${count(report.requeued, 'task')} that ran then` : undefined],
    [
      'failed',
      report.outcomeUnknown > 0
        ? `${count(report.outcomeUnknown, 'task')} that ran then and must not twice`
        : undefined,
    ],
    ['schedules', String(report.schedules)],
    ['digest', snapshot.digest],
  ]);
}

/** A file that is not there, or may not be written, is for the person to see to. */
function fileError(error: unknown, file: string): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (syscall === undefined || error instanceof AgentSystemError) return error;
  return new AgentSystemError('FILE_UNUSABLE', `${file} cannot be used: ${whyUnusable(code ?? 'no reason is known')}`, {
    cause: error,
  });
}
