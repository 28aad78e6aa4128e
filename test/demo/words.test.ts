import { describe, expect, it } from 'vitest';
import { textKind } from '../../src/demo/text-kind.ts';
import { forEachWord, type WordStyle } from '../../src/demo/words.ts';

function wordsOf(text: string, style: WordStyle): string[] {
  const words: string[] = [];
  expect(forEachWord(text, style, (word) => words.push(word))).toBe(words.length);
  return words;
}

describe('forEachWord', () => {
  it.each<[WordStyle, string, string[]]>([
    [
      'prose',
      "Don't stop the well-known 'café' -- it’s 5 o'clock.",
      ["Don't", 'stop', 'the', 'well-known', 'café', 'it’s', '5', "o'clock"],
    ],
    ['prose', 'Größe 😀 naïve\u0301 漢字', ['Größe', 'naïve\u0301', '漢', '字']],
    ['prose', "- 'a' -b c-", ['a', 'b', 'c']],
    [
      'code',
      'leaseTtlMs lease_ttl_ms HTTPServer utf8',
      ['lease', 'Ttl', 'Ms', 'lease', 'ttl', 'ms', 'HTTP', 'Server', 'utf8'],
    ],
    ['code', "a-b x's", ['a', 'b', 'x', 's']],
    ['code', 'aB'.repeat(100), ['aB'.repeat(100)]],
    ['code', '', []],
  ])('finds in %s %j', (style, text, expected) => {
    expect(wordsOf(text, style)).toEqual(expected);
  });
});

describe('textKind', () => {
  it.each([
    ['README.md', 'markdown'],
    ['a/b.TS', 'code'],
    ['Dockerfile', 'code'],
    ['page.html', 'code'],
    ['a.json', 'data'],
    ['LICENSE', 'text'],
    ['a.unknown', 'text'],
    ['.profile', 'text'],
    ['dir.md/file', 'text'],
  ])('reads %s as %s', (path, kind) => {
    expect(textKind(path)).toBe(kind);
  });
});
