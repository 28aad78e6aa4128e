/*
 * The file behind LOG_FILE. Each line is written at once, for the last ones before a crash are those that are wanted, and
 * whatever happens to the file, the process goes on: a line that cannot be written is dropped and counted, and from time
 * to time the file is opened anew. So a full disk, a changed owner and a file that was moved away all mend by themselves.
 */
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** Of a file that is made; one that is there keeps its own. What tasks say may be nobody else's business. */
export const LOG_FILE_MODE = 0o600;
/** After a failure the file is tried again with the first line that comes so much later. */
const AGAIN_MS = 1_000;

export interface LogFileOptions {
  path: string;
  now: () => number;
  /** Told once of each row of failures. */
  onFailure: (error: Error) => void;
}

export class LogFile {
  readonly #options: LogFileOptions;
  #fd: number | null;
  #failedAt = 0;
  #dropped = 0;

  /** Its folder is made. Throws when it cannot be opened for appending. */
  constructor(options: LogFileOptions) {
    this.#options = options;
    mkdirSync(dirname(resolve(options.path)), { recursive: true });
    this.#fd = openForAppending(options.path);
    openFiles.add(this);
  }

  /** Lines that could not be written so far. */
  get dropped(): number {
    return this.#dropped;
  }

  write(line: string): void {
    try {
      this.#fd ??= this.#openAgain();
      if (this.#fd === null) this.#dropped += 1;
      else writeWhole(this.#fd, line);
    } catch (error) {
      this.#failed(error as Error);
    }
  }

  /** After the file was moved away: what comes next goes into a new one of the same name. */
  reopen(): void {
    this.#failedAt = 0;
    this.#close();
  }

  close(): void {
    openFiles.delete(this);
    this.#close();
  }

  /** Null: it failed a moment ago. */
  #openAgain(): number | null {
    const { path, now } = this.#options;
    if (now() - this.#failedAt < AGAIN_MS) return null;
    const fd = openForAppending(path);
    this.#failedAt = 0;
    return fd;
  }

  #failed(error: Error): void {
    this.#dropped += 1;
    const isFirst = this.#failedAt === 0;
    this.#failedAt = this.#options.now();
    this.#close();
    if (isFirst) this.#options.onFailure(error);
  }

  #close(): void {
    const fd = this.#fd;
    this.#fd = null;
    if (fd === null) return;
    try {
      closeSync(fd);
    } catch {
      // A disk that is full may say so only now; the line it is about was counted.
    }
  }
}

const openFiles = new Set<LogFile>();

/** What a process does at SIGHUP, as logrotate sends it. */
export function reopenLogFiles(): void {
  for (const file of openFiles) file.reopen();
}

function openForAppending(path: string): number {
  return openSync(path, 'a', LOG_FILE_MODE);
}

/** A write may take only a part; the rest of a line must not stand on a line of its own. */
function writeWhole(fd: number, line: string): void {
  const bytes = Buffer.from(line);
  for (let from = 0; from < bytes.length; ) from += writeSync(fd, bytes, from);
}
