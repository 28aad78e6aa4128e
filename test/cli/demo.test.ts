import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StartDemoSystem } from '../../src/demo/demo-system.ts';
import type { Report } from '../../src/demo/report.ts';
import { byPriority, type DemoSummary } from '../../src/demo/run.ts';
import { startDemo } from '../../src/start-demo.ts';
import { cli, type Terminal } from './builders.ts';

let folder: string;
let out: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cli-demo-'));
  out = await mkdtemp(join(tmpdir(), 'cli-demo-out-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
  await rm(out, { recursive: true, force: true });
});

const demo = (args: string[], terminal: Partial<Terminal> = {}) =>
  cli(['demo', ...args], { cwd: out, parts: { startDemoSystem: startDemo }, ...terminal });

const report = async (): Promise<Report> => JSON.parse(await readFile(join(out, 'report.json'), 'utf8'));

describe('demo', () => {
  it('reads every text file on four workers and writes the report to the working directory', async () => {
    for (let i = 0; i < 40; i++)
      await writeFile(join(folder, `f${i}.md`), `# File ${i}\n\n${'Some words. '.repeat(i)}`);
    const ran = await demo([folder]);
    expect(ran.code).toBe(0);
    expect(ran.err).toContain('40 text files in');
    expect(ran.out).toMatch(/^40 files, 1,640 words in .*tasks\/s\n/);
    expect(ran.out).toMatch(/Report: report\.html/);
    const { totals, workers, files } = await report();
    expect(totals).toMatchObject({ files: 40, words: 1_640, skipped: 0 });
    expect(workers.map(({ slots }) => slots)).toEqual([1, 2, 3, 4]);
    expect(workers.reduce((sum, { tasks }) => sum + tasks, 0)).toBe(40);
    expect(files.every(({ worker, ms }) => worker !== null && ms !== null)).toBe(true);
    expect(await readFile(join(out, 'report.html'), 'utf8')).toContain('<table id="files">');
  });

  it('has a clear word for every file that it cannot use, and goes on', async () => {
    await writeFile(join(folder, 'good.md'), 'Hello there.');
    await writeFile(join(folder, 'binary.bin'), new Uint8Array([1, 0, 2]));
    await writeFile(join(folder, 'big.txt'), 'x');
    await truncate(join(folder, 'big.txt'), 50 * 1024 * 1024);
    const { code, out: text } = await demo([folder]);
    expect(code).toBe(0);
    expect(text).toMatch(/^1 file, 2 words/);
    expect(text).toContain('big.txt: too large: found 50 MiB; wanted at most 8 MiB');
    expect(text).toContain('binary.bin: binary: found a NUL byte');
    expect((await report()).skipped.map(({ path }) => path).sort()).toEqual(['big.txt', 'binary.bin']);
  });

  it('reports a file whose task failed under its reason', async () => {
    await writeFile(join(folder, 'good.md'), 'Hello there.');
    await writeFile(join(folder, 'gone.md'), 'Bye.');
    // The file goes between the walk and its task.
    const start: StartDemoSystem = async (options) => {
      await rm(join(folder, 'gone.md'));
      return startDemo(options);
    };
    const { code, out: text } = await demo([folder], { parts: { startDemoSystem: start } });
    expect(code).toBe(0);
    expect(text).toMatch(/gone\.md: .*found nothing there/);
    expect(text).not.toMatch(/gone\.md: gone\.md/);
  });

  it('writes a report about a folder without text files', async () => {
    const ran = await demo([folder]);
    expect(ran).toMatchObject({ code: 0, err: expect.stringContaining('holds no text file') });
    expect((await report()).totals.files).toBe(0);
  });

  it('says what is wrong with a folder that is none', async () => {
    const missing = await demo([join(folder, 'missing')]);
    expect(missing).toMatchObject({ code: 1, out: '', err: expect.stringMatching(/^error: .*missing: found nothing/) });
    await writeFile(join(folder, 'file.md'), 'x');
    expect(await demo([join(folder, 'file.md')])).toMatchObject({
      code: 1,
      err: expect.stringContaining('found a file'),
    });
  });

  it('does not read its own report', async () => {
    await writeFile(join(folder, 'a.md'), 'One.');
    await demo([folder], { cwd: folder });
    const again = await demo([folder, '-o', 'json'], { cwd: folder });
    expect(JSON.parse(again.out)).toMatchObject({ files: 1, words: 1, skipped: [] });
  });

  it('fails with the reason when the report cannot be written', async () => {
    await mkdir(join(out, 'report.html'));
    await writeFile(join(folder, 'a.md'), 'One.');
    expect(await demo([folder])).toMatchObject({ code: 1, err: expect.stringContaining('out_not_writable') });
  });

  it('names paragraphs that stand in several files', async () => {
    const text = 'A paragraph of some length, which somebody has copied from one file to the other without a thought.';
    await writeFile(join(folder, 'a.md'), `# A\n\n${text}\n`);
    await writeFile(join(folder, 'b.md'), `# B\n\nShort.\n\n${text.replace('somebody', 'a person')}\n`);
    const ran = await demo([folder]);
    expect(ran.out).toContain('1 paragraph in several files');
    expect(ran.out).toContain('a.md:3 and b.md:5');
    expect((await report()).duplicates?.groups[0]).toMatchObject({ files: 2, words: 18 });
    expect(await readFile(join(out, 'report.html'), 'utf8')).toContain('<ins>a person</ins>');
  });

  it('stops a worker dead with --crash, and its tasks finish elsewhere, each accepted once', async () => {
    for (let i = 0; i < 60; i++) await writeFile(join(folder, `f${i}.md`), `# File ${i}\n\nSome words.`);
    const ran = await demo([folder, '--crash', '-o', 'json']);
    expect(ran.code).toBe(0);
    const { crash, files, workers } = JSON.parse(ran.out) as DemoSummary;
    expect(files).toBe(60);
    expect(crash).toMatchObject({ pid: null, total: 60, completed: 60, acceptedOnce: 60 });
    expect(crash!.done).toBeGreaterThanOrEqual(20);
    expect(crash!.done).toBeLessThan(60);
    expect(crash!.moved.length).toBeGreaterThan(0);
    for (const { worker, ms, assignments } of crash!.moved) {
      expect(worker).not.toBe(crash!.worker);
      expect(ms).toBeLessThan(10_000);
      expect(assignments).toBeGreaterThanOrEqual(2);
    }
    expect(workers.filter(({ killed }) => killed).map(({ id }) => id)).toEqual([crash!.worker]);
    expect(ran.err).toMatch(/was stopped dead with \d+ tasks? in its hands/);
    expect(await readFile(join(out, 'report.html'), 'utf8')).toContain('was killed in the middle');
  });

  it('says so when --crash finds nobody to kill', async () => {
    const ran = await demo([folder, '--crash']);
    expect(ran).toMatchObject({ code: 0, out: expect.stringContaining('No worker was killed: too few files') });
  });

  it('ends at Ctrl-C', async () => {
    for (let i = 0; i < 30; i++) await writeFile(join(folder, `f${i}.md`), 'word '.repeat(20_000));
    let started = () => {};
    const after = new Promise<void>((resolve) => {
      started = resolve;
    });
    const start: StartDemoSystem = async (options) => {
      const system = await startDemo(options);
      started();
      return system;
    };
    const ran = await demo([folder], { parts: { startDemoSystem: start }, signals: [{ signal: 'SIGINT', after }] });
    expect(ran).toMatchObject({ code: 130, out: '' });
  });
});

describe('the order of the demo', () => {
  it('gives big files a higher priority, from 9 to 1', () => {
    const files = Array.from({ length: 90 }, (_, i) => ({ path: `f${i}`, bytes: i }));
    const ordered = byPriority(files);
    expect(ordered[0]).toMatchObject({ file: { path: 'f89' }, priority: 9 });
    expect(ordered.at(-1)).toMatchObject({ file: { path: 'f0' }, priority: 1 });
    for (let priority = 1; priority <= 9; priority++) {
      expect(ordered.filter((one) => one.priority === priority)).toHaveLength(10);
    }
    expect(byPriority([])).toEqual([]);
    expect(byPriority(files.slice(0, 1))[0]!.priority).toBe(9);
  });
});
