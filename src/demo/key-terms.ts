/**
 * TF-IDF: a term counts the more the more often it stands in this text and the fewer other texts know it.
 * tf = count ÷ words of the text; idf = ln((1 + N) ÷ (1 + files with the term)) + 1, smoothed so that a folder of one
 * file still has key terms. G. Salton and C. Buckley, "Term-weighting approaches in automatic text retrieval" (1988);
 * smoothing as in scikit-learn. For the whole folder each file adds (1 + ln count) × idf (the sublinear tf of Manning,
 * Raghavan and Schütze, "Introduction to Information Retrieval", 6.4.1), so one long file cannot outvote the others.
 *
 * Each file brings only its most frequent terms, so "files with the term" leaves out files that mention it in passing.
 */

export interface KeyTerm {
  readonly term: string;
  readonly score: number;
  readonly count: number;
}

export interface FolderTerm extends KeyTerm {
  /** How many files have the term. */
  readonly files: number;
}

export interface TermSource {
  readonly words: number;
  readonly terms: Readonly<Record<string, number>>;
}

type Entry = readonly [term: string, count: number];

export const FILE_TERMS_MAX = 8;
export const FOLDER_TERMS_MAX = 24;

/** The key terms of each file, in the files' order, and of the folder; best first, ties by alphabet. */
export function keyTerms(sources: readonly TermSource[]): { files: KeyTerm[][]; folder: FolderTerm[] } {
  const files = sources.map((source) => Object.entries(source.terms));
  const totals = countTerms(files);
  const folded = files.map((entries) => foldPlurals(entries, totals));
  const spread = countFiles(folded);
  const idf = (term: string) => Math.log((1 + sources.length) / (1 + (spread.get(term) ?? 0))) + 1;
  return {
    files: folded.map((terms, i) => fileTerms(terms, sources[i]!.words, idf)),
    folder: folderTerms(folded, spread, idf),
  };
}

/** The plural may be this many times as frequent as the singular; beyond it they are rather two words. */
const PLURAL_RATIO_MAX = 4;

/** tasks counts as task where task is about as common; redis stays, though one file may say redi. */
function foldPlurals(entries: readonly Entry[], totals: ReadonlyMap<string, number>): Map<string, number> {
  const terms = new Map<string, number>();
  for (const [term, count] of entries) {
    const singular = term.endsWith('ies') ? `${term.slice(0, -3)}y` : term.slice(0, -1);
    const isPlural = term.endsWith('s') && (totals.get(singular) ?? 0) * PLURAL_RATIO_MAX >= totals.get(term)!;
    const folded = isPlural ? singular : term;
    terms.set(folded, (terms.get(folded) ?? 0) + count);
  }
  return terms;
}

function countTerms(files: readonly (readonly Entry[])[]): Map<string, number> {
  const totals = new Map<string, number>();
  for (const entries of files) for (const [term, count] of entries) totals.set(term, (totals.get(term) ?? 0) + count);
  return totals;
}

function countFiles(files: readonly ReadonlyMap<string, number>[]): Map<string, number> {
  const spread = new Map<string, number>();
  for (const terms of files) for (const term of terms.keys()) spread.set(term, (spread.get(term) ?? 0) + 1);
  return spread;
}

function fileTerms(terms: ReadonlyMap<string, number>, words: number, idf: (term: string) => number): KeyTerm[] {
  const scored = [...terms].map(([term, count]) => ({ term, count, score: (count / Math.max(1, words)) * idf(term) }));
  return best(scored, FILE_TERMS_MAX);
}

function folderTerms(
  files: readonly ReadonlyMap<string, number>[],
  spread: ReadonlyMap<string, number>,
  idf: (term: string) => number,
): FolderTerm[] {
  const totals = new Map<string, { count: number; weight: number }>();
  for (const terms of files) {
    for (const [term, count] of terms) {
      const total = totals.get(term) ?? { count: 0, weight: 0 };
      totals.set(term, { count: total.count + count, weight: total.weight + 1 + Math.log(count) });
    }
  }
  const scored = [...totals].map(([term, { count, weight }]) => ({
    term,
    count,
    files: spread.get(term) ?? 0,
    score: weight * idf(term),
  }));
  return best(scored, FOLDER_TERMS_MAX);
}

function best<T extends KeyTerm>(scored: T[], max: number): T[] {
  scored.sort((a, b) => b.score - a.score || (a.term < b.term ? -1 : 1));
  return scored.slice(0, max).map((term) => ({ ...term, score: Math.round(term.score * 1e4) / 1e4 }));
}
