import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareExcerpts, excerptsOf } from '../../src/demo/excerpts.ts';

const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `w${from + i}`).join(' ');

describe('excerpts', () => {
  it('show a text once when both say the same in other lines and marks', () => {
    expect(excerptsOf('One **two**\n three.', 'one two three')).toEqual({ left: 'One two three.', right: null });
  });

  it('begin a little before the first difference of a long text', () => {
    const { left, right } = excerptsOf(`${numbered(0, 200)} here ${numbered(200, 300)}`, `${numbered(0, 200)} there`);
    expect(left).toMatch(/^… w188 .* w199 here w200 .* …$/);
    expect(right).toBe(`… ${numbered(188, 200)} there`);
    expect(left.split(' ')).toHaveLength(62);
  });

  it('mark the words that only one of them has', () => {
    expect(compareExcerpts('the old red house', 'The red wooden house stands')).toEqual({
      left: [
        { text: 'the', own: false },
        { text: 'old', own: true },
        { text: 'red house', own: false },
      ],
      right: [
        { text: 'The red', own: false },
        { text: 'wooden', own: true },
        { text: 'house', own: false },
        { text: 'stands', own: true },
      ],
    });
  });

  it('share the same words on both sides and lose none', () => {
    const text = fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'Ä.', '—'), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(text, text, (a, b) => {
        const pieces = compareExcerpts(a.join(' '), b.join(' '));
        const joined = (side: typeof pieces.left) => side.map((piece) => piece.text).join(' ');
        const shared = (side: typeof pieces.left) =>
          side
            .filter(({ own }) => !own)
            .map((piece) => piece.text)
            .join(' ');
        expect(joined(pieces.left)).toBe(a.join(' '));
        expect(joined(pieces.right)).toBe(b.join(' '));
        expect(shared(pieces.left)).toBe(shared(pieces.right));
      }),
    );
  });
});
