/**
 * What a worker in hardened mode holds instead of a root: of each generation the four keys of its own pairs, to and from
 * the coordinators and the distributors. Whoever steals them speaks for this worker and hears what it is told, and can
 * neither give orders nor seal a task nor be another worker. The worker takes a task on the signature of the distributor
 * (or owner) who has checked its seal, so it needs no key for that.
 *
 * As text it is one line, `wk1:<worker id>:<kid>=<keys>,…:<check>`, newest first. `keys` are the four of 32 bytes each, in
 * base64url and in the order of `usesOf`; `check` is a short hash of all before it, because a line that was cut or
 * mistyped would otherwise only show as messages that nobody believes.
 */
import { createHash, createSecretKey } from 'node:crypto';
import { ConfigurationError } from '../errors.ts';
import {
  deriveKey,
  fingerprintOf,
  GENERATION_PATTERN,
  GENERATIONS_MAX,
  type HeldGeneration,
  type Key,
  type KeyGeneration,
  type KeyUse,
} from './keys.ts';
import { isWorkerId, workerPrincipal } from './principals.ts';

export interface WorkerKey {
  readonly workerId: string;
  /** Newest first; each secret is the four keys, one behind the other. */
  readonly generations: readonly KeyGeneration[];
}

const VERSION = 'wk1';
const KEY_BYTES = 32;
const KEYS_BYTES = 4 * KEY_BYTES;
const CHECK_LENGTH = 8;
const ENTRY = new RegExp(`^(${GENERATION_PATTERN})=([A-Za-z0-9_-]+)$`);

/** Everything that a worker signs and verifies, in the order in which its keys are written. */
export function usesOf(workerId: string): readonly [KeyUse, KeyUse, KeyUse, KeyUse] {
  const worker = workerPrincipal(workerId);
  return [
    `${worker}>coordinators`,
    `${worker}>distributors`,
    `coordinators>${worker}`,
    `distributors>${worker}`,
  ] as const;
}

/** The keys of one worker from each of these roots. */
export function deriveWorkerKey(workerId: string, roots: readonly KeyGeneration[]): WorkerKey {
  const uses = usesOf(workerId);
  const generations = roots.map(({ kid, secret }) => {
    const root = Buffer.from(secret);
    return { kid, secret: Buffer.concat(uses.map((use) => deriveKey(root, use))) };
  });
  return { workerId, generations };
}

export function formatWorkerKey({ workerId, generations }: WorkerKey): string {
  const entries = generations.map(({ kid, secret }) => `${kid}=${Buffer.from(secret).toString('base64url')}`);
  const line = `${VERSION}:${workerId}:${entries.join(',')}`;
  return `${line}:${checkOf(line)}`;
}

/** `problem` ends the sentence "WORKER_KEY …" and never shows a key. */
export function parseWorkerKey(text: string): { ok: true; key: WorkerKey } | { ok: false; problem: string } {
  const parts = text.trim().split(':');
  if (!/^wk\d+$/.test(parts[0]!)) return refused(`does not begin with "${VERSION}:"`);
  if (parts[0] !== VERSION) return refused(`is of version "${parts[0]}", this program reads "${VERSION}"`);
  const [, workerId, entries, check] = parts;
  if (parts.length !== 4) return refused(`has ${parts.length} parts between colons, not 4`);
  if (checkOf(parts.slice(0, 3).join(':')) !== check) return refused('is cut off or was changed: its check is wrong');
  const generations = entries!.split(',').map(readEntry);
  const whole = generations.filter((generation) => generation !== null);
  const kids = new Set(whole.map(({ kid }) => kid));
  if (!isWorkerId(workerId!) || whole.length < generations.length || kids.size < whole.length) {
    return refused('does not hold a worker id and four keys of each generation');
  }
  if (whole.length > GENERATIONS_MAX) return refused(`holds ${whole.length} generations, at most ${GENERATIONS_MAX}`);
  return { ok: true, key: { workerId: workerId!, generations: whole } };
}

/** The generations of a worker's key; any use that is not its own has no key in them. */
export function workerGenerations({ workerId, generations }: WorkerKey): HeldGeneration[] {
  const uses = usesOf(workerId);
  return generations.map((generation) => {
    const { kid, secret } = generation;
    if (secret.length !== KEYS_BYTES) {
      throw new ConfigurationError([`The worker key "${kid}" has ${secret.length} bytes, wanted ${KEYS_BYTES}.`]);
    }
    const bytes = Buffer.from(secret);
    const keys = new Map<KeyUse, Key>(
      uses.map((use, at) => {
        const own = bytes.subarray(at * KEY_BYTES, (at + 1) * KEY_BYTES);
        return [use, { kid: `${kid}.${use}`, generation: kid, secret: createSecretKey(own) }];
      }),
    );
    return { kid, fingerprint: fingerprintOf(generation), keyFor: (use) => keys.get(use) };
  });
}

function readEntry(text: string): KeyGeneration | null {
  const [, kid, encoded] = ENTRY.exec(text) ?? [];
  if (kid === undefined) return null;
  const secret = Buffer.from(encoded!, 'base64url');
  return secret.length === KEYS_BYTES ? { kid, secret } : null;
}

function checkOf(line: string): string {
  return createHash('sha256').update(line).digest('base64url').slice(0, CHECK_LENGTH);
}

function refused(found: string): { ok: false; problem: string } {
  return { ok: false, problem: `${found}; wanted the whole line of: agent-system keys derive --worker ID` };
}
