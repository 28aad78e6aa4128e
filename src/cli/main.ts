/** The process around the command line. The system itself is loaded only by what runs it, so that other commands start fast. */
import {
  loadClientConfigFromProcess,
  loadConfigFromProcess,
  loadKeysFromProcess,
} from '../config/load-from-process.ts';
import { colorsAllowed } from '../config/terminal.ts';
import { systemRuntime } from '../runtime/system-runtime.ts';
import { VERSION } from '../version.ts';
import { runCli } from './cli.ts';
import type { Io, StopSignal } from './io.ts';

const COLUMNS_USUAL = 80;
const { stdout, stderr, stdin } = process;
const outGone = new AbortController();

const io: Io = {
  out: (text) => void stdout.write(text),
  err: (text) => void stderr.write(text),
  get outColumns() {
    // A terminal that does not know its width says 0.
    return stdout.isTTY ? stdout.columns || COLUMNS_USUAL : null;
  },
  get errColumns() {
    return stderr.isTTY ? stderr.columns || COLUMNS_USUAL : null;
  },
  colors: colorsAllowed(),
  stdin: () => stdin,
  interactive: stdin.isTTY === true && stderr.isTTY === true,
  outGone: outGone.signal,
  cwd: process.cwd(),
  onSignal: (fn) => {
    const listen = (signal: NodeJS.Signals) => fn(signal as StopSignal);
    const signals = ['SIGINT', 'SIGTERM'] as const;
    for (const signal of signals) process.on(signal, listen);
    return () => {
      for (const signal of signals) process.off(signal, listen);
    };
  },
  exitNow: (code) => process.exit(code),
};

/** The reader has seen enough, as in `… | head`: what was begun is still finished, and nobody reads about it. */
const GONE = new Set(['EPIPE', 'ERR_STREAM_DESTROYED']);
for (const stream of [stdout, stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (!GONE.has(error.code ?? '')) throw error;
    if (stream === stdout) outGone.abort();
  });
}

const code = await runCli(process.argv.slice(2), {
  io,
  runtime: systemRuntime,
  version: VERSION,
  loadConfig: (flags, more) => loadConfigFromProcess({ flags, randomId: systemRuntime.id, ...more }),
  loadClientConfig: loadClientConfigFromProcess,
  loadKeys: loadKeysFromProcess,
  startSystem: async (config, extras) => {
    const [{ startSystem }, { reopenLogFiles }] = await Promise.all([
      import('../app.ts'),
      import('../observability/log-file.ts'),
    ]);
    // Only where there is a file: else a terminal that is closed ends what was started in it, as it does everywhere.
    if (config.log.file !== null) process.on('SIGHUP', reopenLogFiles);
    return startSystem(config, extras);
  },
  examine: async (flags) => {
    const { examine } = await import('../doctor.ts');
    const load = (role?: string) => loadConfigFromProcess({ flags: { role }, randomId: systemRuntime.id });
    return examine(() => load(flags.role) ?? load('all')!);
  },
  startDevSystem: async (config, agents) => {
    const { startSystem } = await import('../app.ts');
    return startSystem({ ...config, work: { ...config.work, agents: [] } }, { agents: [...agents] });
  },
  startDemoSystem: async (options) => (await import('../start-demo.ts')).startDemo(options),
});

// What was written to a pipe may still be on its way; connections kept alive must not keep the process.
stdout.write('', () => stderr.write('', () => process.exit(code)));
