import { z } from 'zod';
import { defineAgent } from '../agent/define-agent.ts';
import {
  type AnalysedFile,
  analyseFile,
  type FindDuplicatesInput,
  findRepeats,
  type JoinReportInput,
  joinReport,
} from './agents.ts';

const PAUSE_MS_MAX = 1_000;

/** Reads one file and says what is in it. */
export const fileAnalyst = defineAgent({
  name: 'demo.file-analyst',
  version: '1.0.0',
  description: 'Counts words, sentences, headings and links of a text file and finds its terms.',
  input: z.object({
    root: z.string().min(1),
    path: z.string().min(1),
    pauseMs: z.int().min(0).max(PAUSE_MS_MAX).optional(),
  }),
  run: (input, ctx): Promise<AnalysedFile> => analyseFile(input, ctx.signal),
});

/** Compares the fingerprints of all files, and reads what may be alike again. */
export const duplicateFinder = defineAgent({
  name: 'demo.duplicate-finder',
  version: '1.0.0',
  description: 'Finds paragraphs that stand in several files, word for word or almost.',
  run: (input: FindDuplicatesInput, ctx) => findRepeats(input, ctx.signal),
});

/** Joins what the analysts found into `report.html` and `report.json`. */
export const reportWriter = defineAgent({
  name: 'demo.report-writer',
  version: '1.0.0',
  description: 'Joins the results of all files into a page for people and a file for programs.',
  run: (input: JoinReportInput, ctx) => joinReport(input, ctx.signal),
});
