import { constants, type Dirent } from 'node:fs';
import { lstat, open, readdir, realpath, stat } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { FileError, reasonOf, systemCode, unreadable } from './file-error.ts';
import { SNIFF_BYTES, whyNotText } from './sniff-text.ts';

/** A file worth a task. */
export interface FoundFile {
  /** Relative to the folder, with `/` between names. */
  readonly path: string;
  readonly bytes: number;
}

/** What was left out, and why in words for a person: what was found, what was wanted. */
export interface SkippedFile {
  readonly path: string;
  readonly why: string;
}

export interface FoundFiles {
  /** The folder as an absolute path without symbolic links. */
  readonly root: string;
  /** By path. */
  readonly files: FoundFile[];
  /** At most `SKIPPED_MAX`; `skippedMore` counts the rest. */
  readonly skipped: SkippedFile[];
  readonly skippedMore: number;
  /** Set when a bound ended the walk early: what it found, as the end of a sentence about the walk. */
  readonly cut: string | null;
}

export interface FindOptions {
  /** Files taken at most; default `FILES_MAX`. */
  readonly filesMax?: number;
  /** Paths not to read, such as the report of an earlier demo. */
  readonly ignore?: readonly string[];
}

export const FILES_MAX = 2_000;
export const FILE_BYTES_MAX = 8 * 1024 * 1024;
export const SKIPPED_MAX = 500;
const ENTRIES_MAX = 100_000;
const DEPTH_MAX = 40;

/**
 * The text and source files below `folder`. One bad file never ends the walk: it is left out with a reason.
 * Throws `FileError` when `folder` is not a readable folder; a folder without text files is an empty answer.
 */
export async function findFiles(folder: string, options: FindOptions = {}): Promise<FoundFiles> {
  const walk = new Walk(await folderRoot(folder), options);
  await walk.folder('', 0);
  return walk.result();
}

async function folderRoot(folder: string): Promise<string> {
  const path = resolve(folder);
  try {
    const root = await realpath(path);
    if ((await stat(root)).isDirectory()) return root;
  } catch (cause) {
    throw new FileError('not_a_folder', `${path}: found ${reasonOf(systemCode(cause), cause)}; wanted a folder`, {
      cause,
    });
  }
  throw new FileError('not_a_folder', `${path}: found a file; wanted a folder`);
}

class Walk {
  readonly #root: string;
  readonly #filesMax: number;
  readonly #ignored: ReadonlySet<string>;
  readonly #files: FoundFile[] = [];
  readonly #skipped: SkippedFile[] = [];
  #skippedMore = 0;
  #entries = 0;
  #cut: string | null = null;

  constructor(root: string, options: FindOptions) {
    this.#root = root;
    this.#filesMax = options.filesMax ?? FILES_MAX;
    this.#ignored = new Set((options.ignore ?? []).map((path) => resolve(path)));
  }

  result(): FoundFiles {
    const files = this.#files.sort((a, b) => (a.path < b.path ? -1 : 1));
    return { root: this.#root, files, skipped: this.#skipped, skippedMore: this.#skippedMore, cut: this.#cut };
  }

  /** Files before folders, so that a bound cuts the depths and not the top. */
  async folder(path: string, depth: number): Promise<void> {
    if (depth > DEPTH_MAX) return this.#skip(`${path}/`, `found a folder ${depth} deep; wanted at most ${DEPTH_MAX}`);
    const entries = await this.#list(path);
    for (const entry of entries) if (!entry.isDirectory() && this.#mayGoOn()) await this.#entry(path, entry);
    for (const entry of entries) {
      if (!entry.isDirectory() || !this.#mayGoOn()) continue;
      const child = childPath(path, entry.name);
      const why = whyNotFolder(entry.name);
      if (why !== null) this.#skip(`${child}/`, why);
      else await this.folder(child, depth + 1);
    }
  }

  async #list(path: string): Promise<Dirent[]> {
    try {
      const entries = await readdir(join(this.#root, path), { withFileTypes: true });
      return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    } catch (cause) {
      const why = `found ${reasonOf(systemCode(cause), cause)}; wanted a readable folder`;
      if (path === '') throw new FileError('not_a_folder', `${this.#root}: ${why}`, { cause });
      this.#skip(`${path}/`, why);
      return [];
    }
  }

  async #entry(folder: string, entry: Dirent): Promise<void> {
    const path = childPath(folder, entry.name);
    if (this.#ignored.has(join(this.#root, path))) return;
    try {
      const why = whyNotName(entry.name) ?? (await this.#whyNotKind(path, entry));
      if (why !== null) return this.#skip(path, why);
      await this.#take(path);
    } catch (cause) {
      this.#skip(path, unreadable(cause).message);
    }
  }

  async #whyNotKind(path: string, entry: Dirent): Promise<string | null> {
    if (entry.isFile()) return null;
    if (!entry.isSymbolicLink()) return 'found a device, pipe or socket; wanted a file';
    return whyNotLink(this.#root, join(this.#root, path));
  }

  async #take(path: string): Promise<void> {
    const absolute = join(this.#root, path);
    const { size } = await lstat(absolute);
    const why = whyTooLarge(size) ?? whyNotText(await readHead(absolute));
    if (why !== null) this.#skip(path, why);
    else if (this.#files.length < this.#filesMax) this.#files.push({ path, bytes: size });
    else this.#cut = `found more than ${this.#filesMax.toLocaleString('en')} text files; the rest is left out`;
  }

  #skip(path: string, why: string): void {
    if (this.#skipped.length < SKIPPED_MAX) this.#skipped.push({ path, why });
    else this.#skippedMore++;
  }

  #mayGoOn(): boolean {
    this.#entries++;
    if (this.#entries > ENTRIES_MAX)
      this.#cut ??= `found more than ${ENTRIES_MAX.toLocaleString('en')} entries; the rest is left out`;
    return this.#cut === null;
  }
}

function childPath(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`;
}

/** The sentence for a file over the limit, else null. */
export function whyTooLarge(bytes: number): string | null {
  if (bytes <= FILE_BYTES_MAX) return null;
  return `too large: found ${mebibytes(bytes)} MiB; wanted at most ${mebibytes(FILE_BYTES_MAX)} MiB`;
}

/** Rounded up, so that a byte over the limit does not read as the limit itself. */
function mebibytes(bytes: number): string {
  return String(Math.ceil((bytes / 1024 / 1024) * 10) / 10);
}

/** Never blocks: without O_NONBLOCK the open of a pipe put in the file's place would wait for a writer. */
export const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

async function readHead(path: string): Promise<Uint8Array> {
  const file = await open(path, OPEN_FLAGS);
  try {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(SNIFF_BYTES), 0, SNIFF_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

async function whyNotLink(root: string, path: string): Promise<string> {
  try {
    const inside = isInside(root, await realpath(path));
    return inside ? 'a link: what it leads to is read itself' : 'a link out of the folder: only what is in it is read';
  } catch (cause) {
    return systemCode(cause) === 'ENOENT' ? 'a link that leads nowhere' : unreadable(cause).message;
  }
}

/** Whether `path` is `root` or below it; both absolute and free of links. */
export function isInside(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !way.startsWith(sep);
}

const BUILT_FOLDERS = new Set(['dist', 'build', 'coverage', '__pycache__', 'venv']);
const INSTALLED_FOLDERS = new Set(['node_modules', 'bower_components', 'site-packages']);

function whyNotFolder(name: string): string | null {
  if (INSTALLED_FOLDERS.has(name)) return 'a folder of installed packages';
  if (BUILT_FOLDERS.has(name)) return 'a folder of built files';
  return name.startsWith('.') ? 'a hidden folder' : null;
}

const LOCK_FILES = new Set(['package-lock.json', 'npm-shrinkwrap.json', 'pnpm-lock.yaml', 'bun.lockb', 'go.sum']);

/** Hidden files are left out with hidden folders: `.env` and its kind hold secrets that belong in no report. */
function whyNotName(name: string): string | null {
  if (name.startsWith('.')) return 'a hidden file';
  if (LOCK_FILES.has(name) || name.endsWith('.lock')) return 'a lock file, written by a tool';
  return /\.(?:min\.(?:js|css)|map)$/.test(name) ? 'a generated file' : null;
}
