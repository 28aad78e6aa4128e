import { type DestinationStream, type Level, type Logger as PinoLogger, pino } from 'pino';
import { ConfigurationError } from '../errors.ts';
import { systemRuntime } from '../runtime/system-runtime.ts';
import { withinLength } from './line-length.ts';
import { LogFile } from './log-file.ts';
import { createPretty } from './pretty.ts';
import { createRedactor, type Secret } from './redact.ts';

export type Logger = PinoLogger;

export interface LoggerOptions {
  level: Level | 'silent';
  /** Appended to; made with mode 0600, and its folder too. Null = stdout. */
  file: string | null;
  /** `json`: one object per line. `pretty`: for people, in colours on a terminal unless NO_COLOR is set. */
  format: 'json' | 'pretty';
  /** Values that never appear, wherever somebody puts them. */
  secrets?: readonly Secret[];
  /** Fields of every line, such as the instance. */
  base?: Record<string, string>;
  /** Where lines go instead of `file` or stdout. */
  destination?: DestinationStream;
}

/** Lines are `{"level":"info","time":"2026-01-31T12:00:00.000Z",…,"msg":"Started"}`. Throws when the file cannot be written. */
export function createLogger(options: LoggerOptions): Logger {
  const { level, base = {} } = options;
  return pino(
    {
      level,
      base,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    throughFilters(options),
  );
}

/** Redacted first: what cuts lines could cut a secret in two, and what makes them pretty never sees one. */
function throughFilters(options: LoggerOptions): DestinationStream {
  const destination = options.destination ?? openDestination(options.file);
  const redact = createRedactor(options.secrets ?? []);
  const filtered = (line: string) => withinLength(redact(line));
  if (options.format === 'json') return { write: (line) => destination.write(filtered(line)) };
  const pretty = createPretty({ color: !options.destination && options.file === null && isColorTerminal() });
  return { write: (line) => destination.write(pretty(filtered(line))) };
}

function openDestination(file: string | null): DestinationStream {
  if (file === null) return stdoutDestination();
  try {
    return new LogFile({ path: file, now: systemRuntime.now, onFailure: tellUnwritable });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ConfigurationError([`LOG_FILE ${JSON.stringify(file)} cannot be written: ${why}`]);
  }
}

/** Lines that wait for a reader of stdout that has gone, at most. */
const STDOUT_WAITING_MAX = 1024 * 1024;

/** Written at once: the last lines before a crash are the ones that are wanted. */
function stdoutDestination(): DestinationStream {
  const destination = pino.destination({ dest: 1, sync: true, maxLength: STDOUT_WAITING_MAX });
  // A full disk or a closed pipe must not end the process; what can be said of it is said once.
  let told = false;
  destination.on('error', (error: Error & { code?: string }) => {
    if (!told && error.code !== 'EPIPE') tellUnwritable(error);
    told = true;
  });
  return destination;
}

function tellUnwritable(error: Error): void {
  process.stderr.write(`the log cannot be written: ${error.message}\n`);
}

/** Node reads NO_COLOR and its relatives itself. */
function isColorTerminal(): boolean {
  return process.stdout.isTTY === true && process.stdout.hasColors();
}
