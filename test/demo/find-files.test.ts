import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, realpath, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FILE_BYTES_MAX, findFiles } from '../../src/demo/find-files.ts';

describe('findFiles', () => {
  let root: string;
  beforeEach(async () => {
    root = await realpath(await mkdtemp(join(tmpdir(), 'find-files-')));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  const put = async (path: string, content: string | Uint8Array = 'text') => {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  };
  const whyOf = async (path: string) => (await findFiles(root)).skipped.find((skipped) => skipped.path === path)?.why;

  it('lists text files by path with their size', async () => {
    await put('b.md', 'bb');
    await put('a/z.ts', 'zzz');
    await put('empty', '');
    expect((await findFiles(root)).files).toEqual([
      { path: 'a/z.ts', bytes: 3 },
      { path: 'b.md', bytes: 2 },
      { path: 'empty', bytes: 0 },
    ]);
  });

  it('leaves out what is installed, built, hidden, locked or generated, each with its reason', async () => {
    const left = ['node_modules/', '.git/', 'dist/', '.env', 'package-lock.json', 'yarn.lock', 'a.min.js'];
    for (const path of left) await put(path.endsWith('/') ? `${path}x.md` : path);
    await put('kept.md');
    const found = await findFiles(root);
    expect(found.files.map(({ path }) => path)).toEqual(['kept.md']);
    expect(found.skipped.map(({ path }) => path).sort()).toEqual(left.sort());
    expect(found.skipped.every(({ why }) => why.length > 0)).toBe(true);
  });

  it('says what it found instead of text', async () => {
    await put('nul.bin', new Uint8Array([65, 0, 66]));
    await put('latin.txt', new Uint8Array([99, 97, 102, 0xe9, 32, 120]));
    await put('cut.txt', new Uint8Array([99, 97, 102, 0xe9]));
    await put('wide.txt', new Uint8Array([0xff, 0xfe, 65, 0]));
    await put('big.log');
    await truncate(join(root, 'big.log'), 50 * 1024 * 1024);
    execFileSync('mkfifo', [join(root, 'pipe')]);
    expect(await whyOf('nul.bin')).toBe('binary: found a NUL byte at offset 1; wanted UTF-8 text');
    expect(await whyOf('latin.txt')).toBe('not UTF-8: found byte 0xE9 at offset 3; wanted UTF-8 text');
    expect(await whyOf('cut.txt')).toBe('not UTF-8: found byte 0xE9 at offset 3; wanted UTF-8 text');
    expect(await whyOf('wide.txt')).toBe('not UTF-8: found UTF-16 (little endian); wanted UTF-8 text');
    expect(await whyOf('big.log')).toBe('too large: found 50 MiB; wanted at most 8 MiB');
    expect(await whyOf('pipe')).toBe('found a device, pipe or socket; wanted a file');
    expect((await findFiles(root)).files).toEqual([]);
  });

  it('takes a file of exactly the limit and one whose sample ends inside a character', async () => {
    await put('limit.txt');
    await writeFile(join(root, 'limit.txt'), Buffer.alloc(FILE_BYTES_MAX, 'a'));
    for (const shift of [0, 1, 2, 3]) await put(`emoji-${shift}.txt`, 'a'.repeat(shift) + '😀'.repeat(20_000));
    expect((await findFiles(root)).files).toHaveLength(5);
  });

  it('follows no link, inside, outside, dangling or round', async () => {
    await put('real.md');
    await symlink(join(root, 'real.md'), join(root, 'inside'));
    await symlink('/etc/passwd', join(root, 'outside'));
    await symlink('/nowhere/at/all', join(root, 'dangling'));
    await symlink(root, join(root, 'round'));
    expect((await findFiles(root)).files.map(({ path }) => path)).toEqual(['real.md']);
    expect(await whyOf('inside')).toMatch(/read itself/);
    expect(await whyOf('outside')).toMatch(/out of the folder/);
    expect(await whyOf('dangling')).toBe('a link that leads nowhere');
    expect(await whyOf('round')).toMatch(/read itself/);
  });

  it('stops at the bound with a word, and says nothing when the folder just fills it', async () => {
    for (const name of ['a.md', 'b.md', 'c/d.md']) await put(name);
    const cut = await findFiles(root, { filesMax: 2 });
    expect(cut.files.map(({ path }) => path)).toEqual(['a.md', 'b.md']);
    expect(cut.cut).toBe('found more than 2 text files; the rest is left out');
    expect((await findFiles(root, { filesMax: 3 })).cut).toBeNull();
  });

  it('does not read the report of an earlier demo', async () => {
    await put('report.html');
    await put('a.md');
    const found = await findFiles(root, { ignore: [join(root, 'report.html')] });
    expect(found).toMatchObject({ files: [{ path: 'a.md' }], skipped: [] });
  });

  it('answers an empty folder with nothing and refuses what is no folder', async () => {
    expect(await findFiles(root)).toEqual({ root, files: [], skipped: [], skippedMore: 0, cut: null });
    await put('a.md');
    const file = join(root, 'a.md');
    await expect(findFiles(file)).rejects.toMatchObject({
      code: 'not_a_folder',
      message: `${file}: found a file; wanted a folder`,
    });
    await expect(findFiles(join(root, 'none'))).rejects.toMatchObject({
      code: 'not_a_folder',
      message: expect.stringContaining('found nothing there'),
    });
  });

  it('leaves out what it may not read, and names the folder that it may not list', async () => {
    await put('a.md');
    await put('locked.md');
    await put('closed/b.md');
    await chmod(root, 0o755);
    await chmod(join(root, 'locked.md'), 0);
    await chmod(join(root, 'closed'), 0);
    await unprivileged(async () => {
      expect(await whyOf('locked.md')).toBe('cannot be read: found no permission; wanted a readable file');
      expect(await whyOf('closed/')).toBe('found no permission; wanted a readable folder');
      expect((await findFiles(root)).files.map(({ path }) => path)).toEqual(['a.md']);
      await expect(findFiles(join(root, 'closed'))).rejects.toMatchObject({
        code: 'not_a_folder',
        message: `${join(root, 'closed')}: found no permission; wanted a readable folder`,
      });
    });
    await chmod(join(root, 'closed'), 0o700);
  });
});

/** Root may read everything: then the work is done as nobody. */
async function unprivileged(work: () => Promise<void>): Promise<void> {
  if (process.getuid?.() !== 0) return work();
  const NOBODY = 65_534;
  process.seteuid?.(NOBODY);
  try {
    await work();
  } finally {
    process.seteuid?.(0);
  }
}
