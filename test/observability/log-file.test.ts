import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { LogFile } from '../../src/observability/log-file.ts';

const open: { close(): void }[] = [];
const folder = mkdtempSync(join(tmpdir(), 'log-file-'));
afterEach(() => {
  for (const one of open.splice(0)) one.close();
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
});

function logFile(path: string) {
  const failures: string[] = [];
  const clock = { now: 1_000_000 };
  const file = new LogFile({ path, now: () => clock.now, onFailure: (error) => failures.push(error.message) });
  open.push(file);
  return { file, failures, clock };
}

it('lets the process go on when the disk is full, tells it once, and counts what is lost', () => {
  const path = join(folder, 'full.log');
  symlinkSync('/dev/full', path);
  const { file, failures } = logFile(path);
  for (let n = 0; n < 1_000; n++) file.write(`line ${n}\n`);
  expect(failures).toEqual([expect.stringContaining('ENOSPC')]);
  expect(file.dropped).toBe(1_000);
});

it('writes again once the disk has room, and tells of the next failure', () => {
  const path = join(folder, 'app.log');
  symlinkSync('/dev/full', path);
  const { file, failures, clock } = logFile(path);
  file.write('lost\n');
  rmSync(path);
  file.write('too early\n');
  clock.now += 1_000;
  file.write('there\n');
  expect(readFileSync(path, 'utf8')).toBe('there\n');
  rmSync(path);
  symlinkSync('/dev/full', path);
  file.reopen();
  file.write('lost\n');
  expect(failures).toHaveLength(2);
  expect(file.dropped).toBe(3);
});

it('goes on when the file cannot be opened again', () => {
  const path = join(folder, 'deep', 'app.log');
  const { file, failures } = logFile(path);
  file.write('one\n');
  rmSync(join(folder, 'deep'), { recursive: true });
  file.reopen();
  file.write('two\n');
  expect(failures).toEqual([expect.stringContaining('ENOENT')]);
});

it('keeps bytes whole', () => {
  const path = join(folder, 'app.log');
  const { file } = logFile(path);
  const line = `${'grüße 🎉 '.repeat(50_000)}\n`;
  file.write(line);
  expect(readFileSync(path, 'utf8')).toBe(line);
});
