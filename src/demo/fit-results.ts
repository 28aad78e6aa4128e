import type { FileResult } from './report.ts';

/** How much of each list a result keeps, from all to almost nothing. */
const LEVELS = [
  { terms: 150, headings: 60, links: 60, sentence: true },
  { terms: 80, headings: 20, links: 20, sentence: true },
  { terms: 40, headings: 8, links: 5, sentence: true },
  { terms: 20, headings: 2, links: 0, sentence: false },
  { terms: 8, headings: 0, links: 0, sentence: false },
] as const;

/**
 * The results with their lists shortened, all alike, until they fit as JSON into `bytesMax`: the joining task takes
 * them as its input, and an input is bounded. Counts stay exact. `fits` is false when even the barest do not.
 */
export function fitResults(
  results: readonly FileResult[],
  bytesMax: number,
): { results: readonly FileResult[]; bytes: number; fits: boolean } {
  let shorter = results;
  let bytes = jsonBytes(shorter);
  for (const level of LEVELS) {
    if (bytes <= bytesMax) break;
    shorter = results.map((result) => shorten(result, level));
    bytes = jsonBytes(shorter);
  }
  return { results: shorter, bytes, fits: bytes <= bytesMax };
}

function shorten(result: FileResult, level: (typeof LEVELS)[number]): FileResult {
  return {
    ...result,
    terms: Object.fromEntries(Object.entries(result.terms).slice(0, level.terms)),
    headings: result.headings.slice(0, level.headings),
    links: result.links.slice(0, level.links),
    longestSentence: level.sentence ? result.longestSentence : null,
  };
}

function jsonBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}
