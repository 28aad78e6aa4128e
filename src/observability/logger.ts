import { type DestinationStream, type Level, type Logger as PinoLogger, pino } from 'pino';
import { ConfigurationError } from '../errors.ts';
import { createPretty } from './pretty.ts';
import { createRedactor, type Secret } from './redact.ts';

export type Logger = PinoLogger;

export interface LoggerOptions {
  level: Level | 'silent';
  /** Appended to; its folder is made. Null = stdout. */
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

/** Redacted first: what makes lines pretty never sees a secret. */
function throughFilters(options: LoggerOptions): DestinationStream {
  const destination = options.destination ?? openDestination(options.file);
  const redact = createRedactor(options.secrets ?? []);
  if (options.format === 'json') return { write: (line) => destination.write(redact(line)) };
  const pretty = createPretty({ color: !options.destination && options.file === null && isColorTerminal() });
  return { write: (line) => destination.write(pretty(redact(line))) };
}

/** Written at once: the last lines before a crash are the ones that are wanted. */
function openDestination(file: string | null): DestinationStream {
  try {
    const destination = pino.destination({ dest: file ?? 1, append: true, mkdir: true, sync: true });
    // A full disk or a closed pipe must not end the process; what can be said of it is said once.
    let told = false;
    destination.on('error', (error: Error & { code?: string }) => {
      if (!told && error.code !== 'EPIPE') process.stderr.write(`the log cannot be written: ${error.message}\n`);
      told = true;
    });
    return destination;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ConfigurationError([`LOG_FILE ${JSON.stringify(file)} cannot be written: ${why}`]);
  }
}

/** Node reads NO_COLOR and its relatives itself. */
function isColorTerminal(): boolean {
  return process.stdout.isTTY === true && process.stdout.hasColors();
}
