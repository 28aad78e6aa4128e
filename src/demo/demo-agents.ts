import { z } from 'zod';
import { defineAgent } from '../agent/define-agent.ts';
import { analyseFile, type JoinReportInput, joinReport } from './agents.ts';
import type { FileResult } from './report.ts';

/** Reads one file and says what is in it. */
export const fileAnalyst = defineAgent({
  name: 'demo.file-analyst',
  version: '1.0.0',
  description: 'Counts words, sentences, headings and links of a text file and finds its terms.',
  input: z.object({ root: z.string().min(1), path: z.string().min(1) }),
  run: (input, ctx): Promise<FileResult> => analyseFile(input, ctx.signal),
});

/** Joins what the analysts found into `report.html` and `report.json`. */
export const reportWriter = defineAgent({
  name: 'demo.report-writer',
  version: '1.0.0',
  description: 'Joins the results of all files into a page for people and a file for programs.',
  run: (input: JoinReportInput, ctx) => joinReport(input, ctx.signal),
});
