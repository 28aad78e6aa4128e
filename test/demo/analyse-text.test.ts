import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { analyseText, HEADINGS_MAX, LINKS_MAX, TERMS_MAX } from '../../src/demo/analyse-text.ts';

describe('analyseText', () => {
  it('computes both formulas as done by hand', () => {
    // 13 words, 2 sentences, 13 syllables: 206.835 − 1.015 × 6.5 − 84.6 × 1 = 115.6375; 0.39 × 6.5 + 11.8 − 15.59 = −1.255.
    const found = analyseText('The cat sat on the mat. The dog ran to the red house.', 'a.txt');
    expect(found).toMatchObject({ kind: 'text', words: 13, sentences: 2, readability: 115.6, gradeLevel: -1.3 });
    expect(found.uniqueWords).toBe(10);
    expect(found.longestSentence).toEqual({ words: 7, text: 'The dog ran to the red house.' });
  });

  it('gives no readability for too little prose, for data and for other scripts', () => {
    expect(analyseText('Too short.', 'a.txt').readability).toBeNull();
    expect(analyseText(`{"a": "${'The cat sat. '.repeat(20)}"}`, 'a.json').readability).toBeNull();
    expect(
      analyseText('Это длинное предложение написано по-русски и здесь больше десяти слов. Да.', 'a.txt').readability,
    ).toBeNull();
  });

  it('counts lines, paragraphs and characters alike for LF, CRLF and CR, with and without a byte order mark', () => {
    const text = 'One line.\nTwo lines.\n\nA paragraph 😀.\n';
    const expected = { lines: 4, paragraphs: 2, characters: 37, words: 6, sentences: 3 };
    for (const variant of [text, text.replaceAll('\n', '\r\n'), text.replaceAll('\n', '\r'), `\uFEFF${text}`]) {
      expect(analyseText(variant, 'a.txt')).toMatchObject(expected);
    }
  });

  it('finds nothing in an empty text and in white space', () => {
    const nothing = { words: 0, uniqueWords: 0, sentences: 0, paragraphs: 0, readability: null, terms: {} };
    for (const path of ['a.md', 'a.txt', 'a.ts', 'a.json']) {
      expect(analyseText('', path)).toMatchObject({ ...nothing, lines: 0, longestSentence: null });
      expect(analyseText(' \t\n \n\n', path)).toMatchObject({ ...nothing, lines: 3 });
    }
  });

  it('counts each Chinese or Japanese character as a word and stops at their full stop', () => {
    expect(analyseText('漢字です。猫。', 'a.txt')).toMatchObject({ words: 5, sentences: 2, readability: null });
  });

  it('splits the names of code and reads its comments as prose', () => {
    const code = [
      '// The lease is renewed by heartbeats until its worker stops for good.',
      'const leaseTtlMs = parse_lease(HTTPServer);',
      '/*',
      ' * Nothing else.',
      ' */',
    ].join('\n');
    const found = analyseText(code, 'a.ts');
    expect(found).toMatchObject({ kind: 'code', sentences: 2, headings: [] });
    expect(found.terms).toMatchObject({ lease: 3, ttl: 1, parse: 1, server: 1 });
    expect(found.terms).not.toHaveProperty('const');
    expect(found.readability).not.toBeNull();
  });

  it('reads hash comments, docstrings and dashes, and no shebang', () => {
    expect(analyseText('#!/bin/sh\n# One. Two.\necho x', 'a.sh').sentences).toBe(2);
    expect(analyseText('def f():\n  """Says it.\n\n  And more."""\n  return 1', 'a.py').sentences).toBe(2);
    expect(analyseText('-- One.\nlocal x = 1\n--[[ Two.\nThree. ]]\n', 'a.lua').sentences).toBe(3);
  });

  it('leaves out stop words, numbers and blobs as terms, and a possessive s', () => {
    const found = analyseText(`The river's 2024 and ${'x'.repeat(50)} which river would`, 'a.txt');
    expect(found.terms).toEqual({ river: 2 });
  });

  it('keeps lists bounded and their counts exact', () => {
    const lines = Array.from(
      { length: 500 },
      (_, i) => `# Heading word${'abcdefghij'[i % 10]}${i}\n\nhttps://a.example/${i}\n`,
    );
    const found = analyseText(lines.join('\n'), 'a.md');
    expect(found).toMatchObject({ headingCount: 500, linkCount: 500 });
    expect(found.headings).toHaveLength(HEADINGS_MAX);
    expect(found.links).toHaveLength(LINKS_MAX);
    expect(Object.keys(found.terms)).toHaveLength(TERMS_MAX);
  });

  it('holds for any text: no throw, consistent counts, the same for the same input', () => {
    const anyText = fc
      .array(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.constantFrom('# ', '\n', '```', '](', '. ', '|', '\r\n', '/*', 'http://'),
        ),
      )
      .map((p) => p.join(''));
    fc.assert(
      fc.property(anyText, fc.constantFrom('a.md', 'a.txt', 'a.ts', 'a.py', 'a.json'), (text, path) => {
        const found = analyseText(text, path);
        expect(found.uniqueWords).toBeLessThanOrEqual(found.words);
        expect(found.sentences).toBeLessThanOrEqual(found.words);
        expect(found.paragraphs).toBeLessThanOrEqual(found.lines);
        expect(found.lines).toBeLessThanOrEqual(text.length);
        expect(JSON.parse(JSON.stringify(analyseText(text, path)))).toEqual(found);
      }),
      { numRuns: 300 },
    );
  });

  it.each(['a', '.', '](', '](a(b', '# ', ' ', '`', '<a', '[', 'https://', '😀', '. ', '/*', "a'", '漢', '>'])(
    'stays linear on a line of a megabyte of %j',
    (piece) => {
      const line = `${piece.repeat(Math.ceil(1_000_000 / piece.length))}x`;
      // A quadratic step over a million characters takes minutes; that fails by the time limit.
      for (const path of ['a.md', 'a.txt', 'a.ts']) expect(analyseText(line, path).lines).toBe(1);
    },
    10_000,
  );
});
