/** What all commands that talk to a running system have in common. */
import { type Command, Option } from 'commander';
import type { Client } from '../client/client.ts';
import { createClient } from '../client/http-client.ts';
import type { ClientConfig, TlsFiles } from '../config/load.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { EXIT } from './exit-codes.ts';
import { endsEverything, failureOf } from './failure.ts';
import { urlFlag } from './flags.ts';
import { Interrupted, type Io } from './io.ts';
import { FORMATS, type Format, Printer } from './printer.ts';
import { printable } from './text-width.ts';
import { readTlsFiles } from './tls-files.ts';

export interface GlobalOptions {
  output: Format;
  url?: string;
  apiKey?: string;
  caFile?: string;
  certFile?: string;
  keyFile?: string;
}

export interface CommandContext {
  client: Client;
  printer: Printer;
  io: Io;
  runtime: Runtime;
  /** Aborts with an `Interrupted` when the person ends the command. */
  signal: AbortSignal;
}

/** Runs what a command does and keeps its exit code. */
export type Run = (work: (context: CommandContext) => Promise<number>) => Promise<void>;

export function addGlobalOptions(program: Command): void {
  program
    .addOption(new Option('-o, --output <format>', 'how results are printed').choices(FORMATS).default('table'))
    .option('--url <url>', 'where a coordinator is (AGENT_SYSTEM_URL, else http://127.0.0.1:8001)', urlFlag)
    .option('--api-key <key>', 'key of the system (API_KEY)')
    .option('--ca-file <pem>', 'authorities of an https system (A2A_CA_PATH)')
    .option('--cert-file <pem>', 'certificate to show to it (A2A_CERT_PATH)')
    .option('--key-file <pem>', 'key of that certificate (A2A_KEY_PATH)');
}

export interface ContextParts {
  options: GlobalOptions;
  loadClientConfig: () => ClientConfig;
  io: Io;
  runtime: Runtime;
}

export function contextOf({
  options,
  loadClientConfig,
  io,
  runtime,
}: ContextParts): CommandContext & { close(): void } {
  const config = loadClientConfig();
  const { signal, close } = interruptible(io);
  const url = options.url ?? config.url;
  const files = { ...NO_FILES, ...config.tlsFiles, ...filesOf(options) };
  const tls = readTlsFiles(url, files, io.cwd);
  const client = createClient({ url, apiKey: options.apiKey ?? config.apiKey, tls, runtime });
  return { client, printer: new Printer(options.output, io), io, runtime, signal, close };
}

const NO_FILES: TlsFiles = { ca: null, cert: null, key: null };

/** A certificate that is named without its key must not be joined by the key of another one. */
function filesOf({ caFile, certFile, keyFile }: GlobalOptions): Partial<TlsFiles> {
  const ca = caFile === undefined ? {} : { ca: caFile };
  if (certFile === undefined && keyFile === undefined) return ca;
  return { ...ca, cert: certFile ?? null, key: keyFile ?? null };
}

/** The first signal asks the command to end, the second ends it. */
export function interruptible(io: Io): { signal: AbortSignal; close(): void } {
  const controller = new AbortController();
  const close = io.onSignal((signal) => {
    const interrupted = new Interrupted(signal);
    if (controller.signal.aborted) io.exitNow(failureOf(interrupted).code);
    else controller.abort(interrupted);
  });
  return { signal: controller.signal, close };
}

/** Gives up on `promise` when the signal aborts; what it asked for may still take effect. */
export function unlessInterrupted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/**
 * Does the same for every id, each on its own: a failure is told and the others go on, unless they would all fail alike.
 *
 * @returns what succeeded, and the exit code
 */
export async function forEachId<T>(
  ids: readonly string[],
  { printer, signal }: Pick<CommandContext, 'printer' | 'signal'>,
  call: (id: string) => Promise<T>,
): Promise<{ done: T[]; code: number }> {
  const done: T[] = [];
  let code: number = EXIT.ok;
  for (const id of new Set(ids)) {
    try {
      done.push(await unlessInterrupted(call(id), signal));
    } catch (error) {
      if (endsEverything(error)) throw error;
      for (const text of failureOf(error).errors) {
        printer.note(ids.length > 1 ? `error: ${printable(id)}: ${text}` : `error: ${text}`);
      }
      code = EXIT.failed;
    }
  }
  return { done, code };
}

export function examples(...lines: string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ agent-system ${line}`).join('\n')}`;
}
