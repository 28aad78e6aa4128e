/** One role as a child process, known by what it logs: where it listens, that it is ready, why it ended. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { pause, type Runtime } from '../runtime/runtime.ts';

export interface RoleProcessOptions {
  role: 'coordinator' | 'distributor' | 'worker';
  id: string;
  /** The program's entry file. */
  entry: string;
  /** The whole environment of the child; secrets go this way, for arguments can be read by others. */
  env: Readonly<Record<string, string>>;
  runtime: Runtime;
}

/** Of what a role says, the last lines are kept. */
const LINES_MAX = 40;
const LINE_LENGTH_MAX = 16 * 1024;
const TELLING = new Set(['warn', 'error', 'fatal']);

export class RoleProcess {
  readonly role: RoleProcessOptions['role'];
  readonly id: string;
  /** Resolves with its address once it works, with null when it has ended before. */
  readonly ready: Promise<string | null>;
  /** Resolves with its exit code, or with the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #runtime: Runtime;
  readonly #lines: string[] = [];
  #url = '';
  #onReady: (url: string | null) => void = () => undefined;

  constructor({ role, id, entry, env, runtime }: RoleProcessOptions) {
    this.role = role;
    this.id = id;
    this.#runtime = runtime;
    // Not in the person's directory: the .env there is for other systems.
    const child = spawn(process.execPath, [entry, '--role', role], {
      env: { ...env },
      cwd: dirname(entry),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    const killWithUs = () => child.kill('SIGKILL');
    process.once('exit', killWithUs);
    this.ready = new Promise((resolve) => {
      this.#onReady = resolve;
    });
    this.ended = new Promise((resolve) => {
      const end = (code: number | NodeJS.Signals) => {
        process.off('exit', killWithUs);
        this.#onReady(null);
        resolve(code);
      };
      // `close` comes after the last output; a child that could not be started has only an error.
      child.once('close', (code, signal) => end(signal ?? code ?? 1));
      child.once('error', (error) => {
        this.#keep(error.message);
        end(1);
      });
    });
    this.#listen(child.stdout);
    this.#listen(child.stderr);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Its last warnings, errors and whatever was no log line, for a person. */
  get said(): readonly string[] {
    return this.#lines;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Asks it to end, and ends it when it has not within `withinMs`. */
  async stop(withinMs: number): Promise<void> {
    this.#child.kill('SIGTERM');
    const patience = new AbortController();
    await Promise.race([this.ended, pause(this.#runtime, withinMs, patience.signal)]);
    patience.abort();
    this.kill();
    await this.ended;
  }

  #listen(stream: Readable): void {
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop()!.slice(0, LINE_LENGTH_MAX);
      for (const line of lines) this.#hear(line);
    });
    stream.on('end', () => this.#hear(rest));
  }

  #hear(line: string): void {
    const entry = entryOf(line);
    if (entry === null) return this.#keep(line);
    if (entry.msg === 'Started' && typeof entry.url === 'string') this.#url = entry.url;
    if (entry.msg === 'Ready') this.#onReady(this.#url);
    if (TELLING.has(String(entry.level))) this.#keep([entry.msg, entry.reason].filter(Boolean).join(': '));
  }

  #keep(line: string): void {
    if (line.trim() === '') return;
    this.#lines.push(line);
    if (this.#lines.length > LINES_MAX) this.#lines.shift();
  }
}

function entryOf(line: string): Record<string, unknown> | null {
  try {
    const entry: unknown = JSON.parse(line);
    return typeof entry === 'object' && entry !== null ? (entry as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
