import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Duplicates, findDuplicates } from '../../src/demo/find-duplicates.ts';
import { likelyPairs } from '../../src/demo/likely-pairs.ts';
import { guessedResemblance, resemblance, shinglesOf, signatureOf } from '../../src/demo/min-hash.ts';
import { fitSketches, readSketches, sketchOf } from '../../src/demo/sketch.ts';
import { readText } from '../../src/demo/text-parts.ts';

const sketched = (path: string, text: string) => ({ path, sketch: sketchOf(readText(text, path).prose) });

/** What is found in these files, read from memory. */
function found(files: Record<string, string>): Promise<Duplicates> {
  return findDuplicates(
    Object.entries(files).map(([path, text]) => sketched(path, text)),
    async (path) => files[path] ?? null,
  );
}

const RIVER =
  'The river rises in the hills above the town and falls for a day before it comes to the mill. Nobody has ever ' +
  'counted its bends, though the old ferryman says that there are more of them than there are days in a year.';
const BAKER =
  'A baker gets up while others still dance. By four the ovens are hot, by five the first loaves stand on the rack, ' +
  'and by six the queue reaches round the corner to the chemist, whatever the weather is like.';
const WORDS = RIVER.split(' ');

/** With `changed` words replaced, evenly apart. */
function changedRiver(changed: number): string {
  const words = [...WORDS];
  for (let i = 0; i < changed; i++) words[Math.floor(((i + 0.5) * words.length) / changed)] = `other${i}`;
  return words.join(' ');
}

describe('near-duplicate paragraphs', () => {
  it('are found word for word, however they are broken into lines, marked, and written', async () => {
    const files = {
      'a.md': `# One\n\n${RIVER}\n`,
      'b.md': `# Two\n\nSomething short.\n\n> ${RIVER.replaceAll(', ', ',\n> ').toUpperCase()}\n\n${BAKER}`,
    };
    const { groups, paragraphs, files: in2 } = await found(files);
    expect(groups).toHaveLength(1);
    expect(groups[0]).toMatchObject({ files: 2, paragraphs: 1, alike: 1, right: null });
    expect(groups[0]!.places).toEqual([
      { path: 'a.md', line: 3, alike: 1 },
      { path: 'b.md', line: 5, alike: 1 },
    ]);
    expect([paragraphs, in2]).toEqual([1, 2]);
  });

  it.each([1, 2, 3])('are found with %i words of 41 changed, and it is said how alike they are', async (changed) => {
    const { groups } = await found({ 'a.txt': RIVER, 'b.txt': `${BAKER}\n\n${changedRiver(changed)}` });
    expect(groups).toHaveLength(1);
    // Each changed word takes three runs from either side.
    const runs = WORDS.length - 2;
    expect(groups[0]!.alike).toBeCloseTo((runs - 3 * changed) / (runs + 3 * changed), 1);
    expect(groups[0]!.places.map(({ line }) => line)).toEqual([1, 3]);
    expect(groups[0]!.right!.text).toContain('other0');
  });

  it('are none where a third of the words differ, where only the words are the same, or where it is too short', async () => {
    const none = async (left: string, right: string) =>
      expect((await found({ 'a.txt': left, 'b.txt': right })).groups).toEqual([]);
    await none(RIVER, changedRiver(14));
    await none(RIVER, BAKER);
    await none(RIVER, WORDS.toSorted().join(' '));
    await none('All rights reserved by us.', 'All rights reserved by us.');
    await none('0 '.repeat(500), '0 '.repeat(500));
  });

  it('are none within one file, and none in data and code but in its comments', async () => {
    expect((await found({ 'a.md': `${RIVER}\n\n${RIVER}`, 'b.md': BAKER })).groups).toEqual([]);
    expect((await found({ 'a.json': RIVER, 'b.json': RIVER })).groups).toEqual([]);
    const { groups } = await found({
      'a.ts': `const a = 1;\n\n/**\n * ${RIVER}\n */\nlet b = 2;`,
      'b.py': `# ${RIVER}\nx = 1`,
    });
    expect(groups[0]!.places.map(({ path, line }) => `${path}:${line}`)).toEqual(['a.ts:4', 'b.py:1']);
  });

  it('of a copied file are one finding, with the longest paragraph shown', async () => {
    const text = `${BAKER.slice(0, 90)} and so on, as every day.\n\n${RIVER}\n\n${BAKER}`;
    const { groups, paragraphs } = await found({ 'a.md': text, 'copy/a.md': text });
    expect(groups).toHaveLength(1);
    expect(groups[0]).toMatchObject({ paragraphs: 3, left: RIVER });
    expect(paragraphs).toBe(3);
  });

  it('in very many files are boilerplate, told once', async () => {
    const files = Object.fromEntries(
      Array.from({ length: 300 }, (_, i) => [`src/f${i}.ts`, `// ${RIVER}\n\n// File ${i}: ${i % 2 ? BAKER : i}\n`]),
    );
    const { groups, boilerplate } = await found(files);
    expect(groups).toEqual([]);
    expect(boilerplate.map(({ files }) => files).sort()).toEqual([150, 300]);
    expect(boilerplate[0]!.places).toHaveLength(12);
    expect(boilerplate[0]!.placesMore).toBe(288);
  });

  it('are not told of a file that has changed or gone since it was sketched', async () => {
    const sketches = ['a.md', 'b.md', 'c.md'].map((path) => sketched(path, RIVER));
    const now: Record<string, string> = { 'a.md': RIVER, 'b.md': BAKER };
    expect((await findDuplicates(sketches, async (path) => now[path] ?? null)).groups).toEqual([]);
  });

  it('are nearly all found among thousands, and nothing else is, in little time', async () => {
    const files: Record<string, string> = {};
    const planted = 200;
    for (let i = 0; i < 2_000; i++) files[`f${i}.txt`] = `${prose(i)}\n\n${prose(10_000 + i)}`;
    for (let i = 0; i < planted; i++) {
      const words = prose(i).split(' ');
      for (const at of [7, 23, 38]) words[at] = `changed${i}`;
      files[`g${i}.txt`] = words.join(' ');
    }
    const from = performance.now();
    const { paragraphs, groups, compared } = await found(files);
    expect(performance.now() - from).toBeLessThan(8_000);
    expect(compared).toBe(4_000 + planted);
    expect(paragraphs).toBeGreaterThan(0.95 * planted);
    for (const { places } of groups) expect(places.map(({ path }) => path.slice(1))).toEqual(twice(places[0]!.path));
  });
});

const twice = (path: string) => [path.slice(1), path.slice(1)];

/** 60 words of a small language, always the same for the same seed. */
function prose(seed: number): string {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  const word = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return `w${Math.floor((state / 2 ** 32) ** 2 * 3_000)}`;
  };
  return Array.from({ length: 60 }, word).join(' ');
}

describe('the resemblance', () => {
  const text = fc
    .array(fc.integer({ min: 0, max: 60 }), { minLength: 12, maxLength: 80 })
    .map((words) => words.join(' '));

  it('is 1 with itself, the same both ways, and never beyond its bounds', () => {
    fc.assert(
      fc.property(text, text, (left, right) => {
        const [a, b] = [shinglesOf(left), shinglesOf(right)];
        if (a === null || b === null) return;
        expect(resemblance(a, a)).toBe(1);
        expect(resemblance(a, b)).toBe(resemblance(b, a));
        expect(resemblance(a, b)).toBe(sharedOf(new Set(a), new Set(b)));
      }),
    );
  });

  it('is guessed from the fingerprints to within their error', () => {
    let off = 0;
    const pairs = 300;
    for (let i = 0; i < pairs; i++) {
      const words = prose(i).split(' ');
      const other = words.map((word, at) => (at % 59 < i % 12 ? `x${at}` : word)).join(' ');
      const [a, b] = [shinglesOf(words.join(' '))!, shinglesOf(other)!];
      const signatures = Uint16Array.from([...signatureOf(a), ...signatureOf(b)]);
      const error = guessedResemblance(signatures, 0, 1) - resemblance(a, b);
      expect(Math.abs(error)).toBeLessThan(0.4);
      off += error / pairs;
    }
    // Without a lean to either side.
    expect(Math.abs(off)).toBeLessThan(0.02);
  });
});

function sharedOf(a: Set<number>, b: Set<number>): number {
  const both = [...a].filter((one) => b.has(one)).length;
  return both / (a.size + b.size - both);
}

describe('sketches', () => {
  it('come back as they were, file by file', () => {
    const files = [RIVER, '', `short\n\n${BAKER}\n\n${RIVER}`].map((text, i) => sketched(`${i}.txt`, text).sketch);
    const { count, files: owners, ordinals, signatures } = readSketches(files);
    expect(count).toBe(3);
    expect([...owners]).toEqual([0, 2, 2]);
    expect([...ordinals]).toEqual([0, 1, 2]);
    expect(guessedResemblance(signatures, 0, 2)).toBe(1);
    expect(likelyPairs({ count, files: owners, ordinals, signatures })).toEqual([[0, 2]]);
  });

  it('fit into any bound, and what is alike stays or goes together', () => {
    const one = sketched('a.txt', Array.from({ length: 400 }, (_, i) => prose(i)).join('\n\n')).sketch;
    const { sketches, share } = fitSketches([one, one], one.length);
    expect(sketches[0]!.length + sketches[1]!.length).toBeLessThanOrEqual(one.length);
    expect(sketches[0]).toBe(sketches[1]);
    expect(readSketches(sketches).count).toBeGreaterThan(300);
    expect(share).toBeLessThanOrEqual(0.5);
    expect(fitSketches([one], 0).sketches).toEqual(['']);
    expect(fitSketches([one], one.length)).toEqual({ sketches: [one], share: 1 });
  });

  it('of hostile texts cost no more than their length', () => {
    const from = performance.now();
    for (const text of ['a '.repeat(2_000_000), 'x'.repeat(4_000_000), `${RIVER}\n\n`.repeat(30_000)])
      sketched('a.txt', text);
    expect(performance.now() - from).toBeLessThan(10_000);
  });
});
