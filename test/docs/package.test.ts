/* What other projects install: the tarball as npm would publish it, looked at by the two usual checkers. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../e2e/support/role-process.ts';

const run = promisify(execFile);
const bin = (name: string) => join(ROOT, 'node_modules', '.bin', name);

describe('the package', () => {
  let dir: string;
  let tarball: string;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'agent-system-package-'));
    const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', dir], {
      cwd: ROOT,
    });
    tarball = join(dir, JSON.parse(stdout)[0].filename);
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  it('resolves, with its types, from ES modules and bundlers at every entry', async () => {
    const { stdout } = await run(bin('attw'), [tarball, '--profile', 'esm-only', '--format', 'json']);
    const { analysis } = JSON.parse(stdout);
    expect(Object.keys(analysis.entrypoints).sort()).toEqual(['.', './package.json', './testing']);
    const problems = Object.values(analysis.problems as Record<string, { kind: string; resolutionKind?: string }>);
    const counted = problems.filter(
      ({ resolutionKind }) => resolutionKind !== 'node10' && resolutionKind !== 'node16-cjs',
    );
    expect(counted).toEqual([]);
  });

  it('has no fault in its manifest', async () => {
    const { stdout } = await run(bin('publint'), ['run', tarball, '--strict']);
    expect(stdout).toContain('All good!');
  });

  it('holds no source, no test and no file of keys', async () => {
    const { stdout } = await run('tar', ['-tzf', tarball]);
    const files = stdout
      .trim()
      .split('\n')
      .map((path) => path.replace(/^package\//, ''));
    const tops = new Set(files.map((path) => path.split('/')[0]));
    expect([...tops].sort()).toEqual(
      [
        '.env.example',
        'CHANGELOG.md',
        'LICENSE',
        'README.md',
        'bin',
        'dist',
        'examples',
        'package.json',
        'redis',
      ].sort(),
    );
    expect(files.filter((path) => /(^|\/)\.env$|\.pem$|\.key$/.test(path))).toEqual([]);
  });
});
