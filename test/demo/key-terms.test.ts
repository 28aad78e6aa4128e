import { describe, expect, it } from 'vitest';
import { FILE_TERMS_MAX, FOLDER_TERMS_MAX, keyTerms } from '../../src/demo/key-terms.ts';

describe('keyTerms', () => {
  it('scores as done by hand', () => {
    // idf(river) = ln(3/2) + 1 = 1.405465, idf(task) = ln(3/3) + 1 = 1.
    const found = keyTerms([
      { words: 10, terms: { river: 2, task: 1 } },
      { words: 5, terms: { task: 3 } },
    ]);
    expect(found.files).toEqual([
      [
        { term: 'river', count: 2, score: 0.2811 },
        { term: 'task', count: 1, score: 0.1 },
      ],
      [{ term: 'task', count: 3, score: 0.6 }],
    ]);
    // task: (1 + ln 1) + (1 + ln 3) = 3.0986; river: (1 + ln 2) × 1.405465 = 2.3797.
    expect(found.folder).toEqual([
      { term: 'task', count: 4, files: 2, score: 3.0986 },
      { term: 'river', count: 2, files: 1, score: 2.3797 },
    ]);
  });

  it('prefers what is rare in the folder at equal frequency', () => {
    const common = { words: 4, terms: { shared: 2 } };
    const [first] = keyTerms([{ words: 4, terms: { shared: 2, special: 2 } }, common, common]).files[0]!;
    expect(first!.term).toBe('special');
  });

  it('counts a plural with its singular only where the singular is about as common', () => {
    const found = keyTerms([{ words: 100, terms: { tasks: 6, task: 3, redis: 20, redi: 1, entries: 2, entry: 2 } }]);
    const counts = Object.fromEntries(found.folder.map(({ term, count }) => [term, count]));
    expect(counts).toEqual({ task: 9, redis: 20, redi: 1, entry: 4 });
  });

  it('is empty for nothing, bounded for much, and breaks ties by alphabet', () => {
    expect(keyTerms([])).toEqual({ files: [], folder: [] });
    expect(keyTerms([{ words: 0, terms: {} }])).toEqual({ files: [[]], folder: [] });
    const terms = Object.fromEntries(
      Array.from({ length: 100 }, (_, i) => [`w${String(99 - i).padStart(2, '0')}x`, 1]),
    );
    const found = keyTerms([{ words: 100, terms }]);
    expect(found.files[0]).toHaveLength(FILE_TERMS_MAX);
    expect(found.folder).toHaveLength(FOLDER_TERMS_MAX);
    expect(found.files[0]!.slice(0, 2).map(({ term }) => term)).toEqual(['w00x', 'w01x']);
  });
});
