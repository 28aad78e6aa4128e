import { describe, expect, it } from 'vitest';
import { findUrls, parseMarkdown } from '../../src/demo/markdown.ts';
import { splitSentences } from '../../src/demo/sentences.ts';

describe('parseMarkdown', () => {
  it('finds both kinds of headings and none in fences or deeper than six', () => {
    const text = [
      '# One #',
      '####### seven',
      '',
      'Two',
      '---',
      '',
      '```',
      '# code',
      '````',
      '',
      '###### `Six` **b**',
      '#no',
      '#',
    ].join('\n');
    expect(parseMarkdown(text).headings).toEqual([
      { level: 1, text: 'One' },
      { level: 2, text: 'Two' },
      { level: 6, text: 'Six b' },
    ]);
  });

  it('finds distinct links of all forms, with brackets, and drops the stop behind an address', () => {
    const text = [
      '[a](https://x.example/a_(b)) and ![pic](pic.png "Title") and <https://y.example/z>.',
      'See https://z.example/q. Again [a](https://x.example/a_(b)).',
      '',
      '[ref]: https://r.example/1',
      '[other]: <https://r.example/2> "T"',
    ].join('\n');
    expect(parseMarkdown(text).links).toEqual([
      'https://x.example/a_(b)',
      'pic.png',
      'https://y.example/z',
      'https://z.example/q',
      'https://r.example/1',
      'https://r.example/2',
    ]);
  });

  it('keeps paragraphs, items and quotes as prose, tables apart, and settings, code and tags out', () => {
    const text =
      '---\ntitle: x\n---\nA\nline\n\n- item\n- other\n\n> quote\n\n| a | b |\n|---|---|\n| c | d |\n\n~~~\ncode\n~~~\n<b>bold</b>';
    const { prose, rest } = parseMarkdown(text);
    expect(prose.map(({ text: block }) => block.trim())).toEqual(
      ['A\nline', '- item', '- other', 'quote', 'bold'].map((t) => expect.stringContaining(t)),
    );
    expect(rest).toEqual(['| a | b |', '| c | d |']);
  });

  it('cuts a heading that is a megabyte long', () => {
    expect(parseMarkdown(`# ${'x'.repeat(1_000_000)}`).headings[0]!.text.length).toBe(200);
  });
});

describe('findUrls', () => {
  it('names each address once', () => {
    expect(findUrls('// see https://a.example/x, "https://b.example" https://a.example/x.')).toEqual([
      'https://a.example/x',
      'https://b.example',
    ]);
  });
});

describe('splitSentences', () => {
  it.each([
    ['One. Two! Three? Four', 4],
    ['It is 3.14, e.g. this one. Next.', 2],
    ['"Quoted." He left.', 2],
    ['Wait... what? No.', 2],
    ['猫。犬！鳥', 3],
    ['no stop at all', 1],
    ['', 0],
  ])('cuts %j into %i', (text, expected) => {
    expect(splitSentences(text)).toHaveLength(expected);
  });
});
