import { analyseText } from '../../src/demo/analyse-text.ts';
import type { FileResult, ReportMeta } from '../../src/demo/report.ts';

/** The true result for a file of this text. */
export function aResult(path: string, text: string): FileResult {
  return { path, bytes: Buffer.byteLength(text), ...analyseText(text, path) };
}

export function aMeta(changes: Partial<ReportMeta> = {}): ReportMeta {
  return {
    folder: '/home/me/books',
    startedAt: 1_700_000_000_000,
    endedAt: 1_700_000_001_500,
    workers: [],
    timeline: [],
    skipped: [],
    ...changes,
  };
}
