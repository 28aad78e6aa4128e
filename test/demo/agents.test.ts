import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { analyseFile, findRepeats, joinReport } from '../../src/demo/agents.ts';
import type { SketchedFile } from '../../src/demo/find-duplicates.ts';
import { aMeta, aResult } from './a-result.ts';

describe('the agents of the demo', () => {
  let root: string;
  beforeEach(async () => {
    root = await realpath(await mkdtemp(join(tmpdir(), 'demo-agents-')));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  describe('analyseFile', () => {
    it('reads and analyses one file', async () => {
      await writeFile(join(root, 'a.md'), '# Hi\n\nHello there.');
      const { sketch, ...result } = await analyseFile({ root, path: 'a.md' });
      expect(result).toEqual(aResult('a.md', '# Hi\n\nHello there.'));
      expect(sketch).toBe('');
    });

    it('names what it cannot use by code, not worth another attempt', async () => {
      await writeFile(join(root, 'nul'), new Uint8Array([1, 0, 2]));
      await writeFile(join(root, 'big.txt'), '');
      await truncate(join(root, 'big.txt'), 8 * 1024 * 1024 + 1);
      await mkdir(join(root, 'folder'));
      await symlink('/etc/passwd', join(root, 'link'));
      await symlink('/etc', join(root, 'etc'));
      execFileSync('mkfifo', [join(root, 'pipe')]);
      const cases = [
        ['nul', 'binary_file', /found a NUL byte at offset 1; wanted UTF-8 text/],
        ['big.txt', 'too_large', /found 8.1 MiB; wanted at most 8 MiB/],
        ['none', 'unreadable_file', /found nothing there/],
        ['link', 'unreadable_file', /found a symbolic link/],
        ['folder', 'not_a_file', /wanted a file/],
        ['pipe', 'not_a_file', /wanted a file/],
        ['../outside', 'outside_folder', /wanted one below it/],
        ['/etc/passwd', 'outside_folder', /wanted one below it/],
        ['etc/passwd', 'outside_folder', /wanted one below it/],
      ] as const;
      for (const [path, code, message] of cases) {
        const failure = analyseFile({ root, path });
        await expect(failure).rejects.toMatchObject({
          code,
          retryable: false,
          message: expect.stringMatching(message),
        });
        await expect(failure).rejects.toThrow(path);
      }
    });

    it('stops with the reason of its signal', async () => {
      await writeFile(join(root, 'a.md'), 'x');
      const reason = new Error('cancelled');
      await expect(analyseFile({ root, path: 'a.md' }, AbortSignal.abort(reason))).rejects.toBe(reason);
    });
  });

  describe('findRepeats', () => {
    it('reads again what may be alike, and takes a file that has gone for one without paragraphs', async () => {
      const text = 'One paragraph of more than a dozen words, so that it is long enough to be compared at all.';
      const files: SketchedFile[] = [];
      for (const path of ['a.md', 'b.md', 'c.md']) {
        await writeFile(join(root, path), `# ${path}\n\n${text}\n`);
        files.push({ path, sketch: (await analyseFile({ root, path })).sketch });
      }
      await rm(join(root, 'b.md'));
      const { groups } = await findRepeats({ root, files });
      expect(groups.map(({ places }) => places.map(({ path, line }) => `${path}:${line}`))).toEqual([
        ['a.md:3', 'c.md:3'],
      ]);
    });
  });

  describe('joinReport', () => {
    it('writes both files whole and leaves nothing else, however often and at once', async () => {
      const input = { results: [aResult('a.md', '# Hi\n\nHello there.')], meta: aMeta(), out: join(root, 'new') };
      const [first] = await Promise.all([joinReport(input), joinReport(input), joinReport(input)]);
      expect(first).toEqual({
        html: join(root, 'new/report.html'),
        json: join(root, 'new/report.json'),
        files: 1,
        words: 3,
      });
      expect((await readdir(input.out)).sort()).toEqual(['report.html', 'report.json']);
      expect(JSON.parse(await readFile(first!.json, 'utf8')).files[0]).toMatchObject({ path: 'a.md', words: 3 });
      expect(await readFile(first!.html, 'utf8')).toMatch(/^<!doctype html>[\s\S]*<\/html>\n$/);
    });

    it('refuses an output that is no folder and keeps what is there', async () => {
      await writeFile(join(root, 'file'), 'mine');
      const input = { results: [], meta: aMeta(), out: join(root, 'file') };
      await expect(joinReport(input)).rejects.toMatchObject({ code: 'out_not_writable', retryable: false });
      expect(await readFile(join(root, 'file'), 'utf8')).toBe('mine');
    });
  });
});
