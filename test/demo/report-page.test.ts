import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CrashSummary } from '../../src/demo/crash.ts';
import type { Duplicates } from '../../src/demo/find-duplicates.ts';
import { escapeHtml } from '../../src/demo/html.ts';
import { buildReport, type ReportMeta } from '../../src/demo/report.ts';
import { renderReport } from '../../src/demo/report-page.ts';
import { aMeta, aResult } from './a-result.ts';

const page = (files: [path: string, text: string][], meta: Partial<ReportMeta> = {}) =>
  renderReport(
    buildReport(
      files.map(([path, text]) => aResult(path, text)),
      aMeta(meta),
    ),
  );
const EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>\'';
const count = (text: string, piece: string) => text.split(piece).length - 1;

describe('renderReport', () => {
  it('shows every file once in a table whose headers are buttons', () => {
    const html = page([
      ['a.md', '# Hello\n\nworld of rivers'],
      ['src/b.ts', 'const river = 1;'],
    ]);
    expect(count(html, '<tr id="f')).toBe(2);
    expect(count(html, '<button type="button">')).toBe(10);
    expect(html).toContain('aria-sort="descending"');
    expect(html).toContain('<title>2 files in books</title>');
  });

  it('lets no hostile name, heading, term, worker, reason or folder become markup', () => {
    const evil = EVIL;
    const html = page(
      [[`${evil}.md`, `# ${evil}\n\n[x](javascript:alert(3)) ${evil} and a few more words to make it long.`]],
      {
        folder: `/tmp/${evil}`,
        workers: [{ id: evil, slots: 1, tasks: 1, busyMs: 5 }],
        timeline: [{ file: `${evil}.md`, worker: evil, startedAt: 1, endedAt: 6 }],
        skipped: [{ path: evil, why: evil }],
        cut: evil,
      },
    );
    expect(count(html, '<script>')).toBe(1);
    expect(html).not.toContain('<img');
    expect(html).not.toContain('"><script');
    expect(html).not.toMatch(/href="(?!#)/);
  });

  it('shows what stands in several files side by side, what differs marked, and boilerplate in a line each', () => {
    const places = (...paths: string[]) => paths.map((path, i) => ({ path, line: 3 + i, alike: 1 - i / 10 }));
    const group = { files: 2, paragraphs: 4, words: 30, alike: 0.9, placesMore: 0, left: `one ${EVIL} two` };
    const duplicates: Duplicates = {
      groups: [
        { ...group, places: places('a.md', EVIL), right: { text: 'one three two', path: EVIL, line: 4 } },
        { ...group, places: places('c.md', 'd.md', 'e.md'), right: null },
      ],
      groupsMore: 5,
      boilerplate: [{ ...group, files: 80, places: places('x.ts'), right: null }],
      boilerplateMore: 0,
      paragraphs: 2,
      files: 5,
      compared: 1_000,
      cut: true,
    };
    const html = page([['a.md', 'x']], { duplicates });
    expect(html).toContain('<ins>three</ins>');
    expect(html).toContain('90 % alike in 2 files');
    expect(html).toContain('Word for word in 2 files');
    expect(html).toContain('also in 1 other place');
    expect(html).toContain('And 5 more that are not listed.');
    expect(html).toContain('80 files, such as');
    expect(html).toContain('too many to look at');
    expect(count(html, '<script>')).toBe(1);
    expect(html).not.toContain('<img');
    expect(page([['a.md', 'x']])).not.toContain('Said more than once');
  });

  it('shows a worker that was killed and what became of its tasks', () => {
    const crash: CrashSummary = {
      worker: 'worker-2',
      pid: 77,
      at: 1_700_000_000_700,
      done: 40,
      total: 120,
      instanceTtlMs: 1_000,
      pauseMs: 80,
      moved: [{ id: 't1', file: EVIL, worker: 'worker-1', assignments: 2, ms: 1_400 }],
      completed: 120,
      acceptedOnce: 120,
    };
    const workers = [{ id: 'worker-2', slots: 2, tasks: 9, busyMs: 5, killed: true }];
    const timeline = [{ file: 'a.md', worker: 'worker-2', startedAt: 1_700_000_000_000, endedAt: 1_700_000_001_000 }];
    const html = page([['a.md', 'x']], { crash, workers, timeline });
    expect(html).toContain('worker-2 was killed in the middle');
    expect(html).toContain('worker-1 finished it 1.4 s later; it was given out 2 times');
    expect(html).toContain('process 77');
    expect(count(html, 'class="death"')).toBe(1);
    expect(html).not.toContain('<img');
  });

  it('needs nothing from outside and lets only its own script run', () => {
    const html = page([['a.md', 'See https://x.example/y']]);
    expect(html).not.toMatch(/(?:src|href)="(?!#)/);
    expect(html).not.toMatch(/@import|url\(/);
    const script = /<script>([\s\S]*?)<\/script>/.exec(html)![1]!;
    expect(html).toContain(`script-src &#39;sha256-${createHash('sha256').update(script).digest('base64')}&#39;`);
  });

  it('says what was left out, folding a long list, and when the walk was cut', () => {
    const skipped = Array.from({ length: 25 }, (_, i) => ({ path: `p${i}.png`, why: 'binary: found a NUL byte' }));
    const html = page([['a.md', 'x']], { skipped, skippedMore: 7, cut: 'found more than 2,000 text files' });
    expect(count(html, 'binary: found a NUL byte')).toBe(25);
    expect(html).toContain('5 more');
    expect(html).toContain('And 7 more that are not listed.');
    expect(html).toContain('The walk found more than 2,000 text files.');
  });

  it('is a whole page for no files, for one empty file and for 2,000', () => {
    expect(page([])).toContain('No text files');
    for (const html of [page([]), page([['empty.txt', '']])]) expect(html).not.toMatch(/NaN|undefined|Infinity/);
    const many = Array.from({ length: 2_000 }, (_, i): [string, string] => [
      `f${i}.md`,
      `# F${i}\n\nSome river words.`,
    ]);
    const timeline = many.map(([file], i) => ({ file, worker: `w${i % 4}`, startedAt: i, endedAt: i + 9 }));
    const html = page(many, { timeline });
    expect(count(html, '<tr id="f')).toBe(2_000);
    expect(count(html, 'class="bar"')).toBe(30);
    expect(html.length).toBeLessThan(4_000_000);
  });
});

describe('escapeHtml', () => {
  it('leaves no character that could end a text or an attribute, or turn it round', () => {
    const piece = fc.oneof(fc.constantFrom('<', '>', '"', "'", '&', '&amp;', '\n', '\0', '\u202e'), fc.string());
    const hostile = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''));
    fc.assert(
      fc.property(hostile, (text) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must be gone.
        expect(escapeHtml(text)).not.toMatch(/[<>"'\u0000-\u001f\u202e]|&(?!(?:amp|lt|gt|quot|#39);)/);
      }),
    );
  });

  it('shows control characters', () => {
    expect(escapeHtml('a\nb\u202ec\u007f')).toBe('a␊b\ufffdc␡');
  });
});
