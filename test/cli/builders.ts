import { type CliParts, runCli } from '../../src/cli/cli.ts';
import type { Io, StopSignal } from '../../src/cli/io.ts';
import { systemRuntime } from '../../src/runtime/system-runtime.ts';

export interface Ran {
  code: number;
  out: string;
  err: string;
}

export interface Terminal {
  /** Columns of both outputs; null = pipes. */
  columns: number | null;
  colors: boolean;
  stdin: string;
  interactive: boolean;
  outGone: AbortSignal;
  cwd: string;
  /** Resolves when the signal is to be sent. */
  signals: { signal: StopSignal; after: Promise<unknown> }[];
  parts: Partial<CliParts>;
  url: string;
}

/** Runs the program as a shell would, in this process: the same parser, commands and exit codes. */
export async function cli(args: string[], terminal: Partial<Terminal> = {}): Promise<Ran & { exits: number[] }> {
  const { columns = null, colors = false, stdin = '', cwd = process.cwd(), signals = [], parts, url } = terminal;
  const { interactive = false, outGone = new AbortController().signal } = terminal;
  const ran = { out: '', err: '', exits: [] as number[] };
  const io: Io = {
    out: (text) => {
      ran.out += text;
    },
    err: (text) => {
      ran.err += text;
    },
    outColumns: columns,
    errColumns: columns,
    colors,
    stdin: async function* () {
      yield Buffer.from(stdin);
    },
    interactive,
    outGone,
    cwd,
    onSignal: (fn) => {
      let on = true;
      for (const { signal, after } of signals) void after.then(() => on && fn(signal));
      return () => {
        on = false;
      };
    },
    exitNow: (code) => void ran.exits.push(code),
  };
  const code = await runCli(args, {
    io,
    runtime: systemRuntime,
    version: '1.2.3',
    loadConfig: () => null,
    loadKeys: () => null,
    loadClientConfig: () => ({ url: url ?? 'http://127.0.0.1:1', apiKey: null }),
    startSystem: () => Promise.reject(new Error('no role is started here')),
    startDemoSystem: () => Promise.reject(new Error('no demo is started here')),
    examine: () => Promise.resolve([]),
    startDevSystem: () => Promise.reject(new Error('no system is started here')),
    ...parts,
  });
  return { code, ...ran };
}
