/** The process around the command line. The system itself is loaded only by what runs it, so that other commands start fast. */
import { loadClientConfigFromProcess, loadConfigFromProcess } from '../config/load-from-process.ts';
import { colorsAllowed } from '../config/terminal.ts';
import { systemRuntime } from '../runtime/system-runtime.ts';
import { VERSION } from '../version.ts';
import { runCli } from './cli.ts';
import type { Io, StopSignal } from './io.ts';

const COLUMNS_USUAL = 80;
const { stdout, stderr, stdin } = process;

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
  });
}

const code = await runCli(process.argv.slice(2), {
  io,
  runtime: systemRuntime,
  version: VERSION,
  loadConfig: (flags) => loadConfigFromProcess({ flags, randomId: systemRuntime.id }),
  loadClientConfig: loadClientConfigFromProcess,
  startSystem: async (config) => (await import('../app.ts')).startSystem(config),
  startDemoSystem: async ({ agents, workers, maxPayloadBytes }) => {
    const { createSystem } = await import('../create-system.ts');
    // Its log would run through the progress bar; what goes wrong reaches the person as the demo's own error.
    const settings = { LOG_LEVEL: 'silent', MAX_PAYLOAD_BYTES: `${maxPayloadBytes}` };
    return createSystem({ store: 'memory', agents, workers: [...workers], settings });
  },
});

// What was written to a pipe may still be on its way; connections kept alive must not keep the process.
stdout.write('', () => stderr.write('', () => process.exit(code)));
