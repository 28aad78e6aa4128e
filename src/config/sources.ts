/**
 * Where a setting's text comes from: the process environment, else `.env`; of a secret also the file that `NAME_FILE`
 * names. An empty value counts as unset. What is wrong is reported to `refuse` and the setting then counts as bad, so
 * that no rule draws a second, misleading problem from its default.
 */
import { parseBoolean } from './parse.ts';
import { NOT_YET_SUPPORTED, SETTINGS, type Setting, type Settings } from './schema.ts';
import { isPlaceholder } from './secrets.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Sources {
  env: Environment;
  dotenv: Environment;
  /** Text of a file; throws when there is none. */
  readFile: (path: string) => string;
}

export interface ReadSettings {
  settings: Settings;
  /** Names that were set by somebody, rightly or not. */
  given: ReadonlySet<string>;
  bad: ReadonlySet<string>;
  /** Path of the file that a secret was read from, by the secret's name. */
  files: ReadonlyMap<string, string>;
}

export function readSettings(sources: Sources, refuse: (problem: string) => void): ReadSettings {
  const given = new Set<string>();
  const bad = new Set<string>();
  const files = new Map<string, string>();
  const settings: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries<Setting<unknown>>(SETTINGS)) {
    const byDefault = setting.default === null ? null : setting.kind.read(setting.default);
    const found = find(name, setting.secret, sources);
    if (found === undefined) {
      settings[name] = byDefault;
      continue;
    }
    given.add(name);
    if ('file' in found && found.file !== undefined) files.set(name, found.file);
    const read = 'problem' in found ? found : readText(name, setting, found);
    if ('problem' in read) {
      bad.add(name);
      refuse(read.problem);
    }
    settings[name] = 'problem' in read ? byDefault : read.value;
  }
  return { settings: settings as Settings, given, bad, files };
}

/** Settings that other versions know: relied upon by whoever sets them, so never overlooked. `false` asks for nothing. */
export function refuseUnsupported(sources: Sources, refuse: (problem: string) => void): void {
  for (const name of NOT_YET_SUPPORTED) {
    const value = sources.env[name] || sources.dotenv[name];
    if (value && parseBoolean(value) !== false) refuse(`${name} is not supported by this version: unset it`);
  }
}

export function refused(name: string, found: string, wanted: string): string {
  return `${name} is ${found}, wanted ${wanted}`;
}

export function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);
}

interface Found {
  text: string;
  /** What to call it in a sentence: `WORKER_SLOTS`, `WORKER_SLOTS in .env`, `API_KEY from /run/key`. */
  label: string;
  /** Path of the file that it was read from. */
  file?: string;
}

type Problem = { problem: string };

function find(name: string, secret: boolean, sources: Sources): Found | Problem | undefined {
  return findIn(sources.env, name, secret, '', sources) ?? findIn(sources.dotenv, name, secret, ' in .env', sources);
}

function findIn(
  from: Environment,
  name: string,
  secret: boolean,
  where: string,
  sources: Sources,
): Found | Problem | undefined {
  const text = from[name]?.trim();
  const file = secret ? from[`${name}_FILE`]?.trim() : undefined;
  if (text && file) return { problem: `${name} and ${name}_FILE are both set${where}: keep one of them` };
  if (text) return { text, label: name + where };
  return file ? fromFile(name, file, sources.readFile) : undefined;
}

function fromFile(name: string, path: string, readFile: Sources['readFile']): Found | Problem {
  try {
    const text = readFile(path).replace(/(\r?\n)+$/, '');
    if (text !== '') return { text, label: `${name} from ${path}`, file: path };
    return { problem: `${name}_FILE names ${path}, which is empty, wanted a file with the secret` };
  } catch (error) {
    return { problem: `${name}_FILE names ${path}, which cannot be read (${codeOf(error)})` };
  }
}

export function codeOf(error: unknown): string {
  if (error instanceof Error) return (error as NodeJS.ErrnoException).code ?? error.message;
  return String(error);
}

function readText(name: string, setting: Setting<unknown>, { text, label }: Found): { value: unknown } | Problem {
  const shown = setting.secret ? 'not shown' : quoted(text);
  if (isServiceLink(text))
    return {
      problem:
        `${label} is a service link (${shown}), which Kubernetes sets for a service named like our settings: ` +
        `set "enableServiceLinks: false" in the pod's spec, or set ${name} there itself`,
    };
  if (setting.secret && isPlaceholder(text))
    return { problem: `${label} is a placeholder (not shown), wanted a secret of your own` };
  const value = setting.kind.read(text);
  if (value !== undefined) return { value };
  return { problem: refused(label, shown, setting.kind.wanted) };
}

function isServiceLink(text: string): boolean {
  return /^(tcp|udp|sctp):\/\/[^/]+:\d+$/.test(text);
}
