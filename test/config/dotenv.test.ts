import { describe, expect, it } from 'vitest';
import { parseDotenv } from '../../src/config/dotenv.ts';

describe('parseDotenv', () => {
  it.each([
    ['A=b', 'b'],
    ['  export A = b  ', 'b'],
    ['A=', ''],
    ['A=b # comment', 'b'],
    ['A=# comment', ''],
    ['A=b#c', 'b#c'],
    ['A="b # c"', 'b # c'],
    ["A='b\\n' # comment", 'b\\n'],
    ['A="b\\n\\"c\\" \\\\"', 'b\n"c" \\'],
    ['A=`b "c"`', 'b "c"'],
    ['A=redis://u:p@h:1/0?x=y', 'redis://u:p@h:1/0?x=y'],
    ['\ufeffA=b\r', 'b'],
  ])('reads %j', (text, value) => {
    expect(parseDotenv(text)).toEqual({ values: { A: value }, problems: [] });
  });

  it('skips comments and empty lines, and lets the last of two win', () => {
    expect(parseDotenv('# A=1\n\nA=2\r\nB=3\nA=4\n').values).toEqual({ A: '4', B: '3' });
  });

  it('names the lines it cannot read, without what stands in them', () => {
    const found = parseDotenv('A=1\nhunter2\nB="open\nC=3\n1D=4');
    expect(found.values).toEqual({ A: '1', C: '3' });
    expect(found.problems.map((problem) => problem.slice(0, 11))).toEqual([
      '.env line 2',
      '.env line 3',
      '.env line 5',
    ]);
    expect(found.problems.join()).not.toMatch(/hunter2|open/);
  });
});
