import type { Block, Heading } from './markdown.ts';
import { gradeLevel, readingEase, syllables } from './readability.ts';
import { splitSentences } from './sentences.ts';
import { CODE_WORDS, STOP_WORDS } from './stop-words.ts';
import type { TextKind } from './text-kind.ts';
import { readText, type TextParts } from './text-parts.ts';
import { forEachWord, type WordStyle } from './words.ts';

/** What one text says about itself. Lists are bounded; the counts beside them are not. */
export interface TextAnalysis {
  readonly kind: TextKind;
  readonly words: number;
  readonly uniqueWords: number;
  /** Of the prose: paragraphs, list items, comments. Headings, table rows and code have none. */
  readonly sentences: number;
  /** Runs of lines between blank ones. */
  readonly paragraphs: number;
  readonly lines: number;
  /** Code points, each line ending counted as one, without a byte order mark. */
  readonly characters: number;
  /** Flesch reading ease of the prose; null where there is too little of it or it is not in Latin letters. */
  readonly readability: number | null;
  /** Flesch–Kincaid grade level of the same prose. */
  readonly gradeLevel: number | null;
  readonly headingCount: number;
  /** The first ones, at most `HEADINGS_MAX`. */
  readonly headings: readonly Heading[];
  readonly linkCount: number;
  /** The first distinct targets, at most `LINKS_MAX`. */
  readonly links: readonly string[];
  /** The sentence with the most words, cut at `SENTENCE_LENGTH_MAX` characters; null without sentences. */
  readonly longestSentence: { readonly words: number; readonly text: string } | null;
  readonly readingMinutes: number;
  /** The most frequent meaningful words, at most `TERMS_MAX`, most frequent first. */
  readonly terms: Readonly<Record<string, number>>;
}

export const HEADINGS_MAX = 60;
export const LINKS_MAX = 60;
export const TERMS_MAX = 150;
const LINK_LENGTH_MAX = 300;
const SENTENCE_LENGTH_MAX = 300;
/** The formulas were made for samples of 100 words; a remark of three would only be noise. */
const READABILITY_WORDS_MIN = 10;

/** Analyses one text in time proportional to its length; `path` only tells its kind. */
export function analyseText(raw: string, path: string): TextAnalysis {
  return analyseParts(readText(raw, path));
}

export function analyseParts(parts: TextParts): TextAnalysis {
  const { text, kind } = parts;
  const prose = readProse(parts.prose);
  const counts = countAll(text, kind, parts, prose);
  const readable = prose.words >= READABILITY_WORDS_MIN && prose.latinWords * 2 > prose.words;
  return {
    kind,
    words: counts.words,
    uniqueWords: counts.byWord.size,
    sentences: prose.sentences,
    ...shapeOf(text),
    readability: readable ? oneDecimal(readingEase(prose)) : null,
    gradeLevel: readable ? oneDecimal(gradeLevel(prose)) : null,
    headingCount: parts.headings.length,
    headings: parts.headings.slice(0, HEADINGS_MAX),
    linkCount: parts.links.length,
    links: parts.links.slice(0, LINKS_MAX).map((link) => cut(link, LINK_LENGTH_MAX)),
    longestSentence: prose.longest,
    readingMinutes: readingMinutes(counts.words),
    terms: topTerms(counts.byWord, kind),
  };
}

/** Silent reading of English non-fiction: M. Brysbaert, Journal of Memory and Language 109 (2019). */
export const WORDS_PER_MINUTE = 238;

/** Minutes to one decimal. */
export function readingMinutes(words: number): number {
  return oneDecimal(words / WORDS_PER_MINUTE);
}

interface Prose {
  words: number;
  latinWords: number;
  sentences: number;
  syllables: number;
  longest: { words: number; text: string } | null;
  readonly byWord: Map<string, number>;
}

function readProse(blocks: readonly Block[]): Prose {
  const prose: Prose = { words: 0, latinWords: 0, sentences: 0, syllables: 0, longest: null, byWord: new Map() };
  for (const block of blocks) for (const sentence of splitSentences(block.text)) addSentence(prose, sentence);
  for (const [word, count] of prose.byWord) {
    prose.syllables += count * syllables(word);
    if (word.charCodeAt(0) < LATIN_END) prose.latinWords += count;
  }
  if (prose.longest !== null) prose.longest.text = oneLine(prose.longest.text);
  return prose;
}

/** Latin letters with all their accents, and digits, stand before this code. */
const LATIN_END = 0x250;

function addSentence(prose: Prose, sentence: string): void {
  const words = countInto(prose.byWord, sentence, 'prose');
  if (words === 0) return;
  prose.words += words;
  prose.sentences++;
  if (words > (prose.longest?.words ?? 0)) prose.longest = { words, text: sentence };
}

function countInto(byWord: Map<string, number>, text: string, style: WordStyle): number {
  return forEachWord(text, style, (written) => {
    const word = written.toLowerCase();
    byWord.set(word, (byWord.get(word) ?? 0) + 1);
  });
}

/** In code and data every name counts, in a text for people the prose and what stands between it. */
function countAll(text: string, kind: TextKind, parts: TextParts, prose: Prose) {
  if (kind === 'code' || kind === 'data') {
    const byWord = new Map<string, number>();
    return { words: countInto(byWord, text, 'code'), byWord };
  }
  let words = prose.words;
  for (const rest of parts.rest) words += countInto(prose.byWord, rest, 'prose');
  return { words, byWord: prose.byWord };
}

function shapeOf(text: string): { paragraphs: number; lines: number; characters: number } {
  let lines = 0;
  let paragraphs = 0;
  let blankLine = true;
  let inParagraph = false;
  let lowSurrogates = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 10) {
      lines++;
      if (blankLine) inParagraph = false;
      blankLine = true;
    } else if (code !== 32 && (code < 9 || code > 13)) {
      if (!inParagraph) paragraphs++;
      inParagraph = true;
      blankLine = false;
      if (code >= 0xdc00 && code <= 0xdfff) lowSurrogates++;
    }
  }
  if (text !== '' && !text.endsWith('\n')) lines++;
  return { paragraphs, lines, characters: text.length - lowSurrogates };
}

function topTerms(byWord: ReadonlyMap<string, number>, kind: TextKind): Record<string, number> {
  const counts = new Map<string, number>();
  for (const [word, count] of byWord) {
    const term = termOf(word, kind);
    if (term !== null) counts.set(term, (counts.get(term) ?? 0) + count);
  }
  const ranked = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  return Object.fromEntries(ranked.slice(0, TERMS_MAX));
}

const TERM_LENGTH_MIN = 3;
const TERM_LENGTH_MAX = 32;

/** The word as a term, without a possessive 's; null when it says nothing (stop word, number, fragment, blob). */
function termOf(word: string, kind: TextKind): string | null {
  const term = /['’]s$/.test(word) ? word.slice(0, -2) : word;
  if (/^[\p{Script=Han}\p{Script=Katakana}]$/u.test(term)) return term;
  if (term.length < TERM_LENGTH_MIN || term.length > TERM_LENGTH_MAX || /^\p{N}|['’]/u.test(term)) return null;
  if (STOP_WORDS.has(term)) return null;
  return (kind === 'code' || kind === 'data') && CODE_WORDS.has(term) ? null : term;
}

function oneDecimal(value: number): number {
  return Math.round(value * 10) / 10;
}

/** The sentence as one line, without the marks of Markdown. */
function oneLine(text: string): string {
  const start = text.trimStart().slice(0, SENTENCE_LENGTH_MAX * 4);
  const bare = start.replace(/[`*[\]]/g, '').replace(/\s+/g, ' ');
  return cut(bare.trim(), SENTENCE_LENGTH_MAX);
}

/** Cuts between code points, so that no half of an emoji is left. */
function cut(text: string, lengthMax: number): string {
  if (text.length <= lengthMax) return text;
  const end = lengthMax - 1;
  const code = text.charCodeAt(end - 1);
  return `${text.slice(0, code >= 0xd800 && code <= 0xdbff ? end - 1 : end)}…`;
}
