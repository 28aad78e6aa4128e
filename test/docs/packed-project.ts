/** A project of somebody who installed the packed package: what is not in the package is not there. */
import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { within } from '../e2e/support/eventually.ts';
import { endWithTest } from '../e2e/support/process-guard.ts';
import { ROOT } from '../e2e/support/role-process.ts';

const run = promisify(execFile);
const START_MS = 15_000;

/**
 * Stands for npx, which would do the same half a second later and may ask the network. With `exec`, so that a signal for
 * the shell reaches the program.
 */
const NPX = 'npx() { command=$1; shift; $NPX_EXEC "./node_modules/.bin/$command" "$@"; }; set -ae\n';

export interface Ran {
  code: number;
  out: string;
  err: string;
}

export interface Role {
  /** All it wrote so far. */
  text(): string;
  /** Resolves once a line of its log holds `msg`, with that line. */
  logged(msg: string): Promise<Record<string, string>>;
  /** SIGTERM; resolves with the exit code. */
  end(): Promise<number | null>;
}

export class PackedProject {
  readonly dir: string;
  env: Record<string, string> = {};

  constructor(dir: string) {
    this.dir = dir;
  }

  async write(path: string, text: string): Promise<void> {
    await mkdir(dirname(join(this.dir, path)), { recursive: true });
    await writeFile(join(this.dir, path), text);
  }

  /** Runs lines of shell to their end; `set -e` makes the first that fails the last. */
  async sh(lines: string): Promise<Ran> {
    try {
      const { stdout, stderr } = await run('sh', ['-c', NPX + lines], { cwd: this.dir, env: this.#environment('') });
      return { code: 0, out: stdout, err: stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { code, out: stdout, err: stderr };
    }
  }

  /** Starts one line of shell that runs until it is told to end. */
  start(line: string): Role {
    const child = endWithTest(
      spawn('sh', ['-c', NPX + line], {
        cwd: this.dir,
        env: this.#environment('exec'),
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
    const chunks: Buffer[] = [];
    const text = () => Buffer.concat(chunks).toString('utf8');
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    const code = new Promise<number | null>((resolve) => child.once('close', resolve));
    return {
      text,
      logged: (msg) =>
        within(START_MS, `a line "${msg}" in the log of: ${line}`, () => lineWith(text(), msg)).then((found) => found!),
      end: () => {
        child.kill('SIGTERM');
        return code;
      },
    };
  }

  remove(): Promise<void> {
    return rm(this.dir, { recursive: true, force: true });
  }

  #environment(exec: string): Record<string, string> {
    const { PATH = '', HOME = '' } = process.env;
    return { PATH, HOME, NPX_EXEC: exec, ...this.env };
  }
}

function lineWith(text: string, msg: string): Record<string, string> | undefined {
  const whole = text
    .split('\n')
    .slice(0, -1)
    .filter((line) => line.startsWith('{'));
  return whole.map((line) => JSON.parse(line)).find((line) => line.msg === msg);
}

/** Packs what is built and installs it, with the dependencies that are here already. */
export async function packedProject(): Promise<PackedProject> {
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'agent-system-docs-')));
  const installed = join(dir, 'node_modules', 'agent-system');
  await mkdir(join(dir, 'node_modules', '.bin'), { recursive: true });
  await mkdir(installed);
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', dir], { cwd: ROOT });
  const [{ filename }] = JSON.parse(stdout);
  await run('tar', ['-xzf', join(dir, filename), '-C', installed, '--strip-components=1']);
  const here = join(ROOT, 'node_modules');
  for (const name of ['zod', '@types']) await symlink(join(here, name), join(dir, 'node_modules', name));
  await symlink(here, join(installed, 'node_modules'));
  await symlink('../agent-system/bin/agent-system', join(dir, 'node_modules', '.bin', 'agent-system'));
  const project = new PackedProject(dir);
  await project.write('package.json', '{ "name": "newcomer", "private": true, "type": "module" }');
  return project;
}
