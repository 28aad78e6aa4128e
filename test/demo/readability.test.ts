import { describe, expect, it } from 'vitest';
import { easeWord, gradeLevel, readingEase, syllables } from '../../src/demo/readability.ts';

describe('readability', () => {
  it.each([
    ['the', 1],
    ['cat', 1],
    ['make', 1],
    ['makes', 1],
    ['jumped', 1],
    ['wanted', 2],
    ['table', 2],
    ['tables', 2],
    ['horses', 2],
    ['readability', 5],
    ['worker', 2],
    ['queue', 1],
    ['rhythm', 1],
    ['Café', 2],
    ['naïve', 1],
    ['x', 1],
    ['42', 1],
  ])('counts the syllables of %s as %i', (word, expected) => {
    expect(syllables(word)).toBe(expected);
  });

  it('never counts more than a word can have, however long the blob', () => {
    expect(syllables('aba'.repeat(100_000))).toBeLessThan(40);
  });

  it('follows the published formulas', () => {
    // 100 words in 5 sentences with 150 syllables: 206.835 − 20.3 − 126.9 and 7.8 + 17.7 − 15.59.
    const counts = { words: 100, sentences: 5, syllables: 150 };
    expect(readingEase(counts)).toBeCloseTo(59.635, 6);
    expect(gradeLevel(counts)).toBeCloseTo(9.91, 6);
  });

  it.each([
    [115, 'very easy'],
    [90, 'very easy'],
    [89.9, 'easy'],
    [75, 'fairly easy'],
    [60, 'plain'],
    [59.9, 'fairly hard'],
    [30, 'hard'],
    [-40, 'very hard'],
  ])('calls %f %s', (ease, word) => {
    expect(easeWord(ease)).toBe(word);
  });
});
