/** One role in a process of its own, started by the same command as anywhere, with what it logs and how it ended. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { Hopeless, within } from './eventually.ts';
import { endWithTest } from './process-guard.ts';

export type RoleName = 'coordinator' | 'distributor' | 'worker' | 'all';

export interface LogLine {
  /** When the test read it, local time. */
  readAt: number;
  level: string;
  msg: string;
  [field: string]: unknown;
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** Where the built command is taken from; another build can be named to test it. */
export const ROOT = process.env.E2E_ROOT ?? fileURLToPath(new URL('../../..', import.meta.url));
export const BIN = `${ROOT.replace(/\/$/, '')}/bin/agent-system`;

export class RoleProcess {
  readonly role: RoleName;
  readonly id: string;
  readonly lines: LogLine[] = [];
  /** Everything written, also what is no log line. */
  text = '';
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  exit: Exit | null = null;

  constructor(role: RoleName, id: string, env: Record<string, string>, nodeArgs: string[] = []) {
    this.role = role;
    this.id = id;
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn(process.execPath, [...nodeArgs, BIN, '--role', role], {
      env: { PATH, HOME, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = endWithTest(child);
    this.exited = new Promise((resolve) => {
      // `close` comes after the last output, `exit` may not.
      child.once('close', (code, signal) => {
        this.exit = { code, signal };
        resolve(this.exit);
      });
    });
    this.#collect(child.stdout);
    this.#collect(child.stderr);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }

  said(sentence: string, since = 0): LogLine | undefined {
    return this.lines.find((line) => line.msg.includes(sentence) && line.readAt >= since);
  }

  /** Waits for a line of the log. */
  says(sentence: string, { ms = 10_000, since = 0 }: { ms?: number; since?: number } = {}): Promise<LogLine> {
    return within(ms, `${this.id} logs "${sentence}"`, () => {
      const line = this.said(sentence, since);
      if (!line && !this.alive) throw new Hopeless(`${this.id} ended: ${this.text.slice(-2_000)}`);
      return line;
    }) as Promise<LogLine>;
  }

  async url(): Promise<string> {
    const { url } = await this.says('Started');
    return String(url);
  }

  async get(path: string): Promise<{ status: number; body: Record<string, unknown>; headers: Headers }> {
    const response = await fetch(`${await this.url()}${path}`, { signal: AbortSignal.timeout(5_000) });
    return {
      status: response.status,
      body: (await response.json()) as Record<string, unknown>,
      headers: response.headers,
    };
  }

  async ready(ms = 15_000): Promise<this> {
    await within(ms, `${this.role} ${this.id} is ready`, async () => {
      if (!this.alive) throw new Hopeless(`${this.id} ended: ${this.text.slice(-2_000)}`);
      const { status, body } = await this.get('/ready');
      if (status !== 200) throw new Error(JSON.stringify(body));
      return true;
    });
    return this;
  }

  /** The sum of all samples of a metric whose labels contain `labels`. */
  async metric(name: string, labels = ''): Promise<number> {
    const response = await fetch(`${await this.url()}/metrics`, { signal: AbortSignal.timeout(5_000) });
    const samples = (await response.text())
      .split('\n')
      .filter((line) => line.startsWith(name) && line.includes(labels));
    return samples.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  #collect(stream: Readable): void {
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      this.text += chunk;
      const pieces = (rest + chunk).split('\n');
      rest = pieces.pop() ?? '';
      for (const piece of pieces) this.#line(piece);
    });
  }

  #line(text: string): void {
    if (!text.startsWith('{')) return;
    try {
      this.lines.push({ ...(JSON.parse(text) as LogLine), readAt: Date.now() });
    } catch {
      // A line cut off by a kill; it stays in `text`.
    }
  }
}
