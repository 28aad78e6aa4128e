import { describe, expect, it } from 'vitest';
import { fitResults } from '../../src/demo/fit-results.ts';
import { buildReport } from '../../src/demo/report.ts';
import { packRows } from '../../src/demo/strip-chart.ts';
import { aMeta, aResult } from './a-result.ts';

const PLAIN = 'The cat sat on the mat. The dog ran to the red house.';

describe('buildReport', () => {
  it('joins results, workers and times, longest file first', () => {
    const timeline = [{ file: 'b.txt', worker: 'w1', startedAt: 1_700_000_000_100, endedAt: 1_700_000_000_142 }];
    const skipped = [{ path: 'pic.png', why: 'binary' }];
    const report = buildReport(
      [aResult('a.md', '# One\n\nShort.'), aResult('b.txt', PLAIN)],
      aMeta({ timeline, skipped, skippedMore: 2 }),
    );
    expect(report).toMatchObject({ startedAt: '2023-11-14T22:13:20.000Z', elapsedMs: 1500 });
    expect(report.totals).toMatchObject({
      files: 2,
      words: 15,
      sentences: 3,
      headings: 1,
      skipped: 3,
      medianReadability: 115.6,
    });
    expect(report.files.map(({ path, worker, ms, readabilityWord }) => [path, worker, ms, readabilityWord])).toEqual([
      ['b.txt', 'w1', 42, 'very easy'],
      ['a.md', null, null, null],
    ]);
    expect(report.longestSentence).toEqual({ path: 'b.txt', words: 7, text: 'The dog ran to the red house.' });
  });

  it('keeps each file with its own key terms after sorting', () => {
    const report = buildReport([aResult('s.txt', 'river'), aResult('l.txt', 'mountain mountain')], aMeta());
    expect(report.files.map(({ path, keyTerms }) => [path, keyTerms[0]?.term])).toEqual([
      ['l.txt', 'mountain'],
      ['s.txt', 'river'],
    ]);
  });

  it('is whole for no files', () => {
    expect(buildReport([], aMeta())).toMatchObject({
      files: [],
      terms: [],
      longestSentence: null,
      totals: { files: 0, words: 0, medianReadability: null },
    });
  });
});

describe('packRows', () => {
  it('gives attempts at the same time rows of their own and shows idle slots', () => {
    const at = (startedAt: number, endedAt: number) => ({ file: 'f', worker: 'w', startedAt, endedAt });
    expect(packRows([at(0, 10), at(0, 5), at(5, 9), at(10, 12)], 1)).toEqual({ count: 2, rowOf: [0, 1, 1, 0] });
    expect(packRows([], 4)).toEqual({ count: 4, rowOf: [] });
  });
});

describe('fitResults', () => {
  const many = Array.from({ length: 50 }, (_, i) =>
    aResult(`f${i}.md`, Array.from({ length: 300 }, (_, k) => `# word${'abcdefgh'[k % 8]}${k}\n`).join('\n')),
  );

  it('leaves alone what fits', () => {
    expect(fitResults(many, 100_000_000).results).toBe(many);
  });

  it('shortens lists, not counts, until the bytes fit', () => {
    const { results, bytes, fits } = fitResults(many, 60_000);
    expect(fits).toBe(true);
    expect(bytes).toBe(Buffer.byteLength(JSON.stringify(results)));
    expect(bytes).toBeLessThanOrEqual(60_000);
    expect(results.map(({ words, headingCount }) => [words, headingCount])).toEqual(
      many.map(({ words, headingCount }) => [words, headingCount]),
    );
    expect(Object.keys(results[0]!.terms)).toEqual(
      Object.keys(many[0]!.terms).slice(0, Object.keys(results[0]!.terms).length),
    );
  });

  it('says so when even the barest results do not fit', () => {
    expect(fitResults(many, 100).fits).toBe(false);
  });
});
