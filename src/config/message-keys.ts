/**
 * What a process signs and verifies with, from whichever setting names it: one secret, a list of them, or the key of one
 * worker. A list or key that came from a file is read again while the process runs, by the same rules.
 */

import { ConfigurationError } from '../errors.ts';
import type { KeySet } from '../message/rotating-key-ring.ts';
import { parseWorkerKey, type WorkerKey } from '../message/worker-key.ts';
import { parseKeyList } from './key-list.ts';
import type { Role } from './role.ts';
import { readTokenSecret } from './secrets.ts';
import { type Environment, type ReadSettings, readSettings, type Sources } from './sources.ts';

export interface KeySettings extends KeySet {
  /** Read again when it changes; null = the keys stand in the environment, or in a file of a single secret. */
  readonly file: string | null;
  /** How long a key that is added while the process runs only verifies before it signs. */
  readonly signsAfterMs: number;
}

const SOURCES = ['A2A_TOKEN_SECRET', 'MESSAGE_KEYS', 'WORKER_KEY'] as const;

/** Null when no keys are given, or none that can be read. Whoever holds only a worker's key must be that worker. */
export function readKeys(
  { settings, files, given, bad }: ReadSettings,
  { role, workerKey }: { role: Role; workerKey: WorkerKey | null },
  refuse: (problem: string) => void,
): KeySettings | null {
  const named = SOURCES.filter((name) => given.has(name));
  if (named.length > 1) {
    refuse(`${named.join(' and ')} are ${named.length > 2 ? 'all' : 'both'} set: keep one of them (${WHICH_TO_KEEP})`);
    return null;
  }
  const [name] = named;
  if (name === undefined || bad.has(name)) return null;
  const file = name === 'A2A_TOKEN_SECRET' ? null : (files.get(name) ?? null);
  const shared = { file, signsAfterMs: settings.MESSAGE_KEY_DELAY };
  if (name === 'A2A_TOKEN_SECRET') {
    return { ...shared, worker: null, generations: [readTokenSecret(settings.A2A_TOKEN_SECRET!, refuse)] };
  }
  if (name === 'MESSAGE_KEYS') {
    return { ...shared, worker: null, generations: parseKeyList(settings.MESSAGE_KEYS!, name, refuse).generations };
  }
  if (workerKey === null) return null;
  const problem = whyNotThisWorker(role, settings.WORKER_ID, workerKey);
  if (problem !== null) refuse(problem);
  return { ...shared, worker: workerKey.workerId, generations: workerKey.generations };
}

const WHICH_TO_KEEP = 'MESSAGE_KEYS can hold several secrets; a worker with WORKER_KEY must hold none';

/** The worker whose key this is, if there is one that can be read. */
export function readWorkerKey({ settings }: ReadSettings, refuse: (problem: string) => void): WorkerKey | null {
  if (settings.WORKER_KEY === null) return null;
  const parsed = parseWorkerKey(settings.WORKER_KEY);
  if (parsed.ok) return parsed.key;
  refuse(`WORKER_KEY ${parsed.problem}`);
  return null;
}

/** What the commands are told of the keys that a process started here would have. */
export interface GivenKeys extends KeySet {
  revoked: readonly string[];
  /** `MESSAGE_KEYS`, or `MESSAGE_KEYS from /run/keys`. */
  source: string;
}

/** Whatever else is set, and whatever role it is for. Null when there are none. */
export function loadGivenKeys(sources: Sources): GivenKeys | null {
  const problems: string[] = [];
  const refuse = (problem: string) => void problems.push(problem);
  const only = (from: Environment) => Object.fromEntries(Object.entries(from).filter(([name]) => NAMES.has(name)));
  const read = readSettings({ ...sources, env: only(sources.env), dotenv: only(sources.dotenv) }, refuse);
  const workerKey = readWorkerKey(read, refuse);
  const settings = { ...read.settings, WORKER_ID: workerKey?.workerId ?? null };
  const keys = readKeys({ ...read, settings }, { role: 'worker', workerKey }, refuse);
  if (problems.length > 0) throw new ConfigurationError(problems);
  if (keys === null) return null;
  const [name = ''] = read.given;
  const file = read.files.get(name);
  const revoked = name === 'MESSAGE_KEYS' ? parseKeyList(settings.MESSAGE_KEYS!, name, refuse).revoked : [];
  return { ...keys, revoked, source: file === undefined ? name : `${name} from ${file}` };
}

const NAMES: ReadonlySet<string> = new Set(SOURCES.flatMap((name) => [name, `${name}_FILE`]));

/** The new text of a file of keys, or all that is wrong with it. `current` is what was read from that file before. */
export function rereadKeys(text: string, current: KeySettings): { keys: KeySet } | { problems: string[] } {
  const problems: string[] = [];
  const refuse = (problem: string) => void problems.push(problem);
  const keys = current.worker === null ? rereadList(text, refuse) : rereadWorkerKey(text, current.worker, refuse);
  return problems.length > 0 || keys === null ? { problems } : { keys };
}

function rereadList(text: string, refuse: (problem: string) => void): KeySet {
  return { worker: null, generations: parseKeyList(text, 'The file', refuse).generations };
}

function rereadWorkerKey(text: string, worker: string, refuse: (problem: string) => void): KeySet | null {
  const parsed = parseWorkerKey(text);
  if (!parsed.ok) refuse(`The file ${parsed.problem}`);
  else if (parsed.key.workerId !== worker) refuse(`The file holds the key of worker "${parsed.key.workerId}"`);
  return parsed.ok ? { worker, generations: parsed.key.generations } : null;
}

function whyNotThisWorker(role: Role, id: string | null, { workerId }: WorkerKey): string | null {
  if (role !== 'worker') {
    return `WORKER_KEY speaks for worker "${workerId}" only, and this process is to be ${role}: give it A2A_TOKEN_SECRET or MESSAGE_KEYS`;
  }
  if (id === workerId) return null;
  return `WORKER_KEY is of worker "${workerId}", WORKER_ID is "${id}": make one with: agent-system keys derive --worker ${id}`;
}
