import { describe, expect, it } from 'vitest';
import { parseKeyList, withNewest, withRevoked } from '../../src/config/key-list.ts';

const encoded = (letter: string) => Buffer.alloc(32, letter).toString('base64url');
const entry = (kid: string) => `${kid}:${encoded(kid.at(-1)!)}`;
const key = (kid: string) => ({ kid, secret: Buffer.alloc(32, kid.at(-1)!) });

function read(text: string) {
  const problems: string[] = [];
  const { generations, revoked } = parseKeyList(text, 'KEYS', (problem) => problems.push(problem));
  return { kids: generations.map(({ kid }) => kid), revoked, problems };
}

describe('a list of keys', () => {
  it.each([
    `${entry('k2')},${entry('k1')}`,
    `${entry('k2')}\n${entry('k1')}\n`,
    `# made by hand, k9:nothing\r\n\r\n${entry('k2')} , # in use\r\n  ${entry('k1')}=\r\n`,
  ])('is read newest first, whatever stands between: %j', (text) => {
    expect(read(text)).toEqual({ kids: ['k2', 'k1'], revoked: [], problems: [] });
  });

  it('knows keys that are revoked', () => {
    expect(read(`${entry('k2')},k1:revoked`)).toEqual({ kids: ['k2'], revoked: ['k1'], problems: [] });
    expect(read('k1:revoked').problems).toEqual([
      'KEYS holds only revoked keys: add a new one with: agent-system keys rotate --keys-file FILE',
    ]);
  });

  it('is refused with each thing that is wrong, and never with a secret', () => {
    const { problems } = read(`${entry('k2')},k2:revoked,oops,k3:${encoded('x').slice(0, 20)}`);
    expect(problems).toEqual([
      'KEYS names the kid "k2" more than once, wanted every kid once',
      expect.stringContaining('KEYS entry 3 is not of the form kid:base64url'),
      expect.stringContaining('KEYS entry 4 ("k3") has 15 bytes, wanted at least 32'),
    ]);
    expect(problems.join()).not.toContain(encoded('x').slice(0, 20));
    expect(read('# nothing\n').problems).toEqual(['KEYS has 0 entries, wanted 1 to 16 of the form kid:base64url']);
  });
});

describe('a change of the list', () => {
  it('puts a new key before the others and leaves comments where they are', () => {
    const text = `# ours\n${entry('k1')} # the first\n`;
    expect(withNewest(text, key('k2')).text).toBe(`# ours\n${entry('k2')}\n${entry('k1')} # the first\n`);
    expect(withNewest('', key('k1')).text).toBe(`${entry('k1')}\n`);
    expect(read(withNewest('# no line break at the end', key('k1')).text).kids).toEqual(['k1']);
    expect(read(withNewest(`${entry('k2')},${entry('k1')}`, key('k3')).text).kids).toEqual(['k3', 'k2', 'k1']);
  });

  it('drops the oldest beyond sixteen, revoked ones first', () => {
    const kids = Array.from({ length: 16 }, (_, n) => `key-${String.fromCharCode(97 + n)}`);
    const full = kids.map((kid, n) => (n === 3 ? `${kid}:revoked` : entry(kid))).join('\n');
    const once = withNewest(full, key('k1'));
    expect(once.dropped).toEqual(['key-d']);
    expect(read(once.text)).toMatchObject({ revoked: [], problems: [] });
    const twice = withNewest(once.text, key('k2'));
    expect(twice.dropped).toEqual(['key-p']);
    expect(read(twice.text)).toMatchObject({ kids: ['k2', 'k1', ...kids.filter((_, n) => n !== 3 && n !== 15)] });
  });

  it('takes the secret of a revoked key away and nothing else', () => {
    const text = `# k1 is old\n${entry('k2')},${entry('k1')}\n`;
    expect(withRevoked(text, 'k1')).toBe(`# k1 is old\n${entry('k2')},k1:revoked\n`);
    expect(withRevoked(text, 'k9')).toBe(text);
  });
});
