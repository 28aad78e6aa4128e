/**
 * Paragraphs that stand in several files, word for word or almost. Fingerprints say which paragraphs may be alike;
 * those are read again and compared, so nothing is reported that is not so. What is alike forms a group, and groups in
 * the very same files are told as one: a copied file is one finding, not forty.
 */
import { excerptsOf } from './excerpts.ts';
import { likelyPairs, type Pair } from './likely-pairs.ts';
import { resemblance, shinglesOf } from './min-hash.ts';
import { type Fingerprints, readSketches } from './sketch.ts';
import { readText } from './text-parts.ts';
import { forEachWord } from './words.ts';

/** From here on two paragraphs count as the same one: about one word in ten may differ. */
export const RESEMBLANCE_MIN = 0.5;
/** A paragraph in so many files is boilerplate, such as a licence: worth one line, not a comparison. */
export const BOILERPLATE_FILES_MIN = 10;
const GROUPS_MAX = 60;
const BOILERPLATE_MAX = 20;
const PLACES_MAX = 12;
/** Paragraphs read again at most; each holds its text and its shingles in memory. */
const COMPARED_MAX = 50_000;

export interface SketchedFile {
  readonly path: string;
  readonly sketch: string;
}

export interface DuplicatePlace {
  readonly path: string;
  /** From 1. */
  readonly line: number;
  /** Resemblance with the first place, from 0 to 1. */
  readonly alike: number;
}

export interface DuplicateGroup {
  readonly files: number;
  /** Different paragraphs that stand in these very files; what follows is about the longest. */
  readonly paragraphs: number;
  readonly words: number;
  /** The least of its places. */
  readonly alike: number;
  /** The first `PLACES_MAX`, by path and line. */
  readonly places: readonly DuplicatePlace[];
  readonly placesMore: number;
  /** From the first place. */
  readonly left: string;
  /** From the place that differs most, and which one that is; null where all say the same. */
  readonly right: { readonly text: string; readonly path: string; readonly line: number } | null;
}

export interface Duplicates {
  /** What is worth most to look at comes first: much text in many files. */
  readonly groups: readonly DuplicateGroup[];
  readonly groupsMore: number;
  /** The same of paragraphs in very many files. */
  readonly boilerplate: readonly DuplicateGroup[];
  readonly boilerplateMore: number;
  /** Different paragraphs that stand in several files, and how many files have such ones; boilerplate not counted. */
  readonly paragraphs: number;
  readonly files: number;
  /** Paragraphs that had a fingerprint. */
  readonly compared: number;
  /** True when there were too many paragraphs to look at all. */
  readonly cut: boolean;
}

/** Null for a file that cannot be read any more. */
export type ReadFile = (path: string) => Promise<string | null>;

export async function findDuplicates(files: readonly SketchedFile[], read: ReadFile): Promise<Duplicates> {
  const prints = readSketches(files.map(({ sketch }) => sketch));
  const { pairs, cut } = bounded(likelyPairs(prints));
  const found = await readAgain(new Set(pairs.flat()), prints, files, read);
  return summed(families(groupsOf(pairs, found)), { compared: prints.count, cut });
}

/** The paragraphs behind fingerprints, each file read once. One that has changed since is not there any more. */
async function readAgain(
  wanted: ReadonlySet<number>,
  prints: Fingerprints,
  files: readonly SketchedFile[],
  read: ReadFile,
): Promise<Map<number, Paragraph>> {
  const byFile = new Map<number, number[]>();
  for (const at of wanted) {
    const file = prints.files[at]!;
    if (!byFile.get(file)?.push(at)) byFile.set(file, [at]);
  }
  const found = new Map<number, Paragraph>();
  for (const [file, ats] of byFile) {
    const { path } = files[file]!;
    const text = await read(path);
    const blocks = text === null ? [] : readText(text, path).prose;
    for (const at of ats) {
      const block = blocks[prints.ordinals[at]!];
      const shingles = block ? shinglesOf(block.text) : null;
      if (block && shingles) found.set(at, { path, line: block.line, text: block.text, shingles });
    }
  }
  return found;
}

interface Paragraph {
  readonly path: string;
  readonly line: number;
  readonly text: string;
  readonly shingles: Uint32Array;
}

function bounded(pairs: readonly Pair[]): { pairs: readonly Pair[]; cut: boolean } {
  const seen = new Set<number>();
  for (const [i, pair] of pairs.entries()) {
    for (const at of pair) seen.add(at);
    if (seen.size > COMPARED_MAX) return { pairs: pairs.slice(0, i), cut: true };
  }
  return { pairs, cut: false };
}

/** What is alike over any number of steps, as far as it stands in more than one file. */
function groupsOf(pairs: readonly Pair[], found: ReadonlyMap<number, Paragraph>): Paragraph[][] {
  const parents = new Map<number, number>();
  const rootOf = (at: number): number => {
    let root = at;
    for (let up = parents.get(root); up !== undefined; up = parents.get(root)) root = up;
    // The way is made short for the next one who asks.
    for (let on = at; on !== root; ) {
      const up = parents.get(on)!;
      parents.set(on, root);
      on = up;
    }
    return root;
  };
  for (const [left, right] of pairs) {
    const [a, b] = [found.get(left), found.get(right)];
    if (!a || !b || rootOf(left) === rootOf(right)) continue;
    if (resemblance(a.shingles, b.shingles) >= RESEMBLANCE_MIN) parents.set(rootOf(right), rootOf(left));
  }
  const groups = new Map<number, Paragraph[]>();
  for (const [at, paragraph] of found) {
    const root = rootOf(at);
    const group = groups.get(root);
    if (group) group.push(paragraph);
    else groups.set(root, [paragraph]);
  }
  return [...groups.values()].filter((group) => group.some(({ path }) => path !== group[0]!.path)).map(inOrder);
}

function inOrder(group: Paragraph[]): Paragraph[] {
  return group.sort((a, b) => (a.path === b.path ? a.line - b.line : a.path < b.path ? -1 : 1));
}

interface Family {
  readonly paths: readonly string[];
  /** The longest first. */
  readonly groups: readonly Paragraph[][];
}

/** Groups in the very same files. */
function families(groups: readonly Paragraph[][]): Family[] {
  const byPaths = new Map<string, { paths: string[]; groups: Paragraph[][] }>();
  for (const group of groups) {
    const paths = [...new Set(group.map(({ path }) => path))];
    const name = paths.join('\0');
    const family = byPaths.get(name);
    if (family) family.groups.push(group);
    else byPaths.set(name, { paths, groups: [group] });
  }
  return [...byPaths.values()].map(({ paths, groups }) => ({
    paths,
    groups: groups.sort((a, b) => sizeOf(b) - sizeOf(a) || a[0]!.line - b[0]!.line),
  }));
}

/** Different runs of words: within two of the number of words, unless it repeats itself. */
function sizeOf(group: readonly Paragraph[]): number {
  return group[0]!.shingles.length;
}

function summed(all: readonly Family[], { compared, cut }: { compared: number; cut: boolean }): Duplicates {
  const worth = ({ paths, groups }: Family) => (paths.length - 1) * groups.reduce((sum, one) => sum + sizeOf(one), 0);
  const sorted = all.toSorted((a, b) => worth(b) - worth(a) || (a.paths[0]! < b.paths[0]! ? -1 : 1));
  const common = sorted.filter(({ paths }) => paths.length >= BOILERPLATE_FILES_MIN);
  const few = sorted.filter(({ paths }) => paths.length < BOILERPLATE_FILES_MIN);
  return {
    groups: few.slice(0, GROUPS_MAX).map(shown),
    groupsMore: Math.max(0, few.length - GROUPS_MAX),
    boilerplate: common.slice(0, BOILERPLATE_MAX).map(shown),
    boilerplateMore: Math.max(0, common.length - BOILERPLATE_MAX),
    paragraphs: few.reduce((sum, { groups }) => sum + groups.length, 0),
    files: new Set(few.flatMap(({ paths }) => paths)).size,
    compared,
    cut,
  };
}

function shown({ paths, groups }: Family): DuplicateGroup {
  const [longest] = groups;
  const [first, ...others] = longest!;
  const places = longest!.map((one) => ({ ...one, alike: resemblance(first!.shingles, one.shingles) }));
  const elsewhere = others.length > 0 ? places.filter(({ path }) => path !== first!.path) : [];
  const farthest = elsewhere.reduce((least, one) => (one.alike < least.alike ? one : least), elsewhere[0]!);
  const { left, right } = excerptsOf(first!.text, farthest.text);
  return {
    files: paths.length,
    paragraphs: groups.length,
    words: forEachWord(first!.text, 'prose', () => undefined),
    alike: rounded(places.reduce((least, { alike }) => Math.min(least, alike), 1)),
    places: places.slice(0, PLACES_MAX).map(({ path, line, alike }) => ({ path, line, alike: rounded(alike) })),
    placesMore: Math.max(0, places.length - PLACES_MAX),
    left,
    right: right === null ? null : { text: right, path: farthest.path, line: farthest.line },
  };
}

/** Down to a hundredth, so that only what is the same is called 100 %. */
function rounded(alike: number): number {
  return Math.floor(alike * 100) / 100;
}
