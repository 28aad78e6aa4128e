/**
 * What the demo's agents do, as plain functions. Each may run twice for one task: reading changes nothing, and the
 * report is written aside and renamed, so a second attempt only writes the same files again.
 */
import { type FileHandle, mkdir, mkdtemp, open, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { pause } from '../runtime/runtime.ts';
import { systemRuntime } from '../runtime/system-runtime.ts';
import { analyseParts } from './analyse-text.ts';
import { FileError, reasonOf, systemCode, unreadable } from './file-error.ts';
import { type Duplicates, findDuplicates, type SketchedFile } from './find-duplicates.ts';
import { isInside, OPEN_FLAGS, whyTooLarge } from './find-files.ts';
import { buildReport, type FileResult, type ReportMeta } from './report.ts';
import { renderReport } from './report-page.ts';
import { sketchOf } from './sketch.ts';
import { whyNotText } from './sniff-text.ts';
import { readText } from './text-parts.ts';

interface FileBelow {
  /** The folder, absolute. */
  readonly root: string;
  /** The file below it. */
  readonly path: string;
}

export interface AnalyseFileInput extends FileBelow {
  /** Waits so long beside its work, for a demo in which a worker is to be killed in the middle of it. */
  readonly pauseMs?: number | undefined;
}

export interface AnalysedFile extends FileResult {
  /** Fingerprints of its paragraphs, to find the same ones in other files. */
  readonly sketch: string;
}

/**
 * Reads and analyses one file. Throws `FileError` with `binary_file`, `unreadable_file`, `too_large`, `not_a_file` or
 * `outside_folder`, and the signal's reason once it aborts.
 */
export async function analyseFile(input: AnalyseFileInput, signal?: AbortSignal): Promise<AnalysedFile> {
  if (input.pauseMs) await pause(systemRuntime, input.pauseMs, signal);
  signal?.throwIfAborted();
  const { bytes, text } = await readTextInside(input, signal);
  const parts = readText(text, input.path);
  return { path: input.path, bytes, ...analyseParts(parts), sketch: sketchOf(parts.prose) };
}

async function readTextInside(file: FileBelow, signal?: AbortSignal): Promise<{ bytes: number; text: string }> {
  const bytes = await readInside(file, signal);
  const why = whyNotText(bytes);
  if (why !== null) throw new FileError('binary_file', `${file.path}: ${why}`);
  return { bytes: bytes.length, text: new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes) };
}

async function readInside({ root, path }: FileBelow, signal?: AbortSignal): Promise<Uint8Array> {
  try {
    const file = await open(await insidePath(root, path), OPEN_FLAGS);
    try {
      return await readBounded(file, signal);
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    const error = unreadable(cause);
    throw new FileError(error.code, `${path}: ${error.message}`, { retryable: error.retryable, cause });
  }
}

/** The real path of the file; a `..` or a folder swapped for a link must not lead out of the folder. */
async function insidePath(root: string, path: string): Promise<string> {
  const absolute = resolve(root, path);
  const real = join(await realpath(dirname(absolute)), absolute.slice(dirname(absolute).length));
  if (isInside(await realpath(root), real)) return real;
  throw new FileError('outside_folder', 'found a path out of the folder; wanted one below it');
}

const CHUNK_BYTES = 1024 * 1024;

/** A file may grow while it is read: what it held when it was opened counts, and no more is read. */
async function readBounded(file: FileHandle, signal?: AbortSignal): Promise<Uint8Array> {
  const size = await sizeOf(file);
  const buffer = Buffer.allocUnsafe(size);
  let filled = 0;
  while (filled < buffer.length) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(buffer, filled, Math.min(CHUNK_BYTES, buffer.length - filled), null);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

async function sizeOf(file: FileHandle): Promise<number> {
  const found = await file.stat();
  if (!found.isFile()) throw new FileError('not_a_file', 'found a folder, device, pipe or socket; wanted a file');
  const why = whyTooLarge(found.size);
  if (why !== null) throw new FileError('too_large', why);
  return found.size;
}

export interface FindDuplicatesInput {
  /** The folder, absolute. */
  readonly root: string;
  /** What the analysts of its files handed on. */
  readonly files: readonly SketchedFile[];
}

/** Finds the paragraphs that stand in several files. A file that has gone since then has none. */
export function findRepeats({ root, files }: FindDuplicatesInput, signal?: AbortSignal): Promise<Duplicates> {
  return findDuplicates(files, async (path) => {
    signal?.throwIfAborted();
    try {
      return (await readTextInside({ root, path }, signal)).text;
    } catch (error) {
      if (error instanceof FileError) return null;
      throw error;
    }
  });
}

export interface JoinReportInput {
  readonly results: readonly FileResult[];
  readonly meta: ReportMeta;
  /** The folder for `report.html` and `report.json`; made when missing. */
  readonly out: string;
}

export interface JoinReportResult {
  /** Absolute path of the page. */
  readonly html: string;
  /** Absolute path of the same facts for programs. */
  readonly json: string;
  readonly files: number;
  readonly words: number;
}

/** Joins all results into the two files. Each appears whole or not at all. */
export async function joinReport(input: JoinReportInput, signal?: AbortSignal): Promise<JoinReportResult> {
  signal?.throwIfAborted();
  const report = buildReport(input.results, input.meta);
  const paths = { html: join(resolve(input.out), 'report.html'), json: join(resolve(input.out), 'report.json') };
  try {
    await writeAside(dirname(paths.html), [
      [paths.json, `${JSON.stringify(report, null, 2)}\n`],
      [paths.html, renderReport(report)],
    ]);
  } catch (cause) {
    const found = reasonOf(systemCode(cause), cause);
    throw new FileError('out_not_writable', `${resolve(input.out)}: found ${found}; wanted a folder to write to`, {
      cause,
    });
  }
  return { ...paths, files: report.totals.files, words: report.totals.words };
}

/** Writes into a folder of its own beside the targets: same disk, so a rename is one step; two attempts never share it. */
async function writeAside(folder: string, files: readonly (readonly [path: string, text: string])[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  const aside = await mkdtemp(join(folder, '.report-'));
  try {
    for (const [i, [, text]] of files.entries()) await writeFile(join(aside, String(i)), text, { flush: true });
    for (const [i, [path]] of files.entries()) await rename(join(aside, String(i)), path);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}
