import { readingMinutes, type TextAnalysis } from './analyse-text.ts';
import type { CrashSummary } from './crash.ts';
import type { Duplicates } from './find-duplicates.ts';
import type { SkippedFile } from './find-files.ts';
import { type FolderTerm, type KeyTerm, keyTerms } from './key-terms.ts';
import { easeWord } from './readability.ts';
import type { TextKind } from './text-kind.ts';

/** What one task found out about one file. */
export interface FileResult extends TextAnalysis {
  /** Relative to the folder. */
  readonly path: string;
  readonly bytes: number;
}

export interface WorkerSummary {
  readonly id: string;
  readonly slots: number;
  readonly tasks: number;
  /** Sum of its attempts' run times in milliseconds. */
  readonly busyMs: number;
  /** It was killed in the middle, on purpose. */
  readonly killed?: boolean;
}

/** One attempt: which worker had which file from when to when, in milliseconds since 1970. */
export interface TimelineEntry {
  readonly file: string;
  readonly worker: string;
  readonly startedAt: number;
  readonly endedAt: number;
}

export interface ReportMeta {
  readonly folder: string;
  /** First submit and last result, in milliseconds since 1970. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly workers: readonly WorkerSummary[];
  readonly timeline: readonly TimelineEntry[];
  /** Left out at listing, and files whose task failed. */
  readonly skipped: readonly SkippedFile[];
  /** Left out beyond those listed. */
  readonly skippedMore?: number;
  /** From `findFiles`: what the walk found when it met a bound. */
  readonly cut?: string | null;
  /** Absent = nobody looked. */
  readonly duplicates?: Duplicates | null;
  /** Absent = no worker was killed. */
  readonly crash?: CrashSummary | null;
}

export interface ReportFile {
  readonly path: string;
  readonly kind: TextKind;
  readonly bytes: number;
  readonly words: number;
  readonly uniqueWords: number;
  readonly sentences: number;
  readonly paragraphs: number;
  readonly lines: number;
  readonly characters: number;
  readonly readability: number | null;
  readonly readabilityWord: string | null;
  readonly gradeLevel: number | null;
  readonly readingMinutes: number;
  readonly headingCount: number;
  readonly headings: FileResult['headings'];
  readonly linkCount: number;
  readonly links: readonly string[];
  readonly longestSentence: FileResult['longestSentence'];
  readonly keyTerms: readonly KeyTerm[];
  /** Null when the timeline does not name the file. */
  readonly worker: string | null;
  readonly ms: number | null;
}

export interface Report {
  readonly folder: string;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly endedAt: string;
  readonly elapsedMs: number;
  readonly totals: {
    readonly files: number;
    readonly words: number;
    readonly sentences: number;
    readonly lines: number;
    readonly bytes: number;
    readonly headings: number;
    readonly links: number;
    readonly readingMinutes: number;
    /** The middle one of all files that have prose; null without any. */
    readonly medianReadability: number | null;
    readonly skipped: number;
  };
  readonly terms: readonly FolderTerm[];
  readonly longestSentence: { readonly path: string; readonly words: number; readonly text: string } | null;
  /** Most words first. */
  readonly files: readonly ReportFile[];
  readonly workers: readonly WorkerSummary[];
  readonly timeline: readonly TimelineEntry[];
  readonly skipped: readonly SkippedFile[];
  readonly skippedMore: number;
  readonly cut: string | null;
  readonly duplicates: Duplicates | null;
  readonly crash: CrashSummary | null;
}

/** Joins what all tasks found into one report; the same input gives the same report. */
export function buildReport(results: readonly FileResult[], meta: ReportMeta): Report {
  const terms = keyTerms(results);
  const attempts = new Map(meta.timeline.map((entry) => [entry.file, entry]));
  const files = results.map((result, i) => reportFile(result, terms.files[i]!, attempts.get(result.path)));
  files.sort((a, b) => b.words - a.words || (a.path < b.path ? -1 : 1));
  return {
    folder: meta.folder,
    startedAt: new Date(meta.startedAt).toISOString(),
    endedAt: new Date(meta.endedAt).toISOString(),
    elapsedMs: Math.max(0, meta.endedAt - meta.startedAt),
    totals: totalsOf(files, meta),
    terms: terms.folder,
    longestSentence: longestOf(files),
    files,
    workers: meta.workers,
    timeline: [...meta.timeline].sort((a, b) => a.startedAt - b.startedAt),
    skipped: meta.skipped,
    skippedMore: meta.skippedMore ?? 0,
    cut: meta.cut ?? null,
    duplicates: meta.duplicates ?? null,
    crash: meta.crash ?? null,
  };
}

function reportFile(result: FileResult, terms: readonly KeyTerm[], attempt: TimelineEntry | undefined): ReportFile {
  const { terms: _counts, ...figures } = result;
  return {
    ...figures,
    readabilityWord: result.readability === null ? null : easeWord(result.readability),
    keyTerms: terms,
    worker: attempt?.worker ?? null,
    ms: attempt === undefined ? null : Math.max(0, attempt.endedAt - attempt.startedAt),
  };
}

function totalsOf(files: readonly ReportFile[], meta: ReportMeta): Report['totals'] {
  const sum = (of: (file: ReportFile) => number) => files.reduce((total, file) => total + of(file), 0);
  return {
    files: files.length,
    words: sum((file) => file.words),
    sentences: sum((file) => file.sentences),
    lines: sum((file) => file.lines),
    bytes: sum((file) => file.bytes),
    headings: sum((file) => file.headingCount),
    links: sum((file) => file.linkCount),
    readingMinutes: readingMinutes(sum((file) => file.words)),
    medianReadability: median(files.flatMap((file) => file.readability ?? [])),
    skipped: meta.skipped.length + (meta.skippedMore ?? 0),
  };
}

/** The middle value; of an even number the mean of the two in the middle, to one decimal. */
function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const value = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return Math.round(value * 10) / 10;
}

function longestOf(files: readonly ReportFile[]): Report['longestSentence'] {
  let longest: Report['longestSentence'] = null;
  for (const { path, longestSentence } of files) {
    if (longestSentence !== null && longestSentence.words > (longest?.words ?? 0))
      longest = { path, ...longestSentence };
  }
  return longest;
}
