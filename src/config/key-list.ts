/**
 * The text of `MESSAGE_KEYS` and of the file that `MESSAGE_KEYS_FILE` names: entries `kid:base64url`, newest first, with
 * commas, spaces or line breaks between them. `kid:revoked` stands in the place of a secret that nobody may use any more,
 * and what follows a `#` is a comment. Edits leave everything else in the text as it is.
 */
import { GENERATIONS_MAX, type KeyGeneration, SECRET_BYTES_MIN } from '../message/keys.ts';
import { tooShort } from './secrets.ts';

export interface KeyList {
  /** Newest first. */
  generations: KeyGeneration[];
  revoked: string[];
}

const REVOKED = 'revoked';
const KID = /^[A-Za-z0-9_-]{1,64}$/;

/** @param name of the setting or file, for the problems; secrets are never quoted */
export function parseKeyList(text: string, name: string, refuse: (problem: string) => void): KeyList {
  const entries = entriesOf(text);
  if (entries.length === 0 || entries.length > GENERATIONS_MAX)
    refuse(`${name} has ${entries.length} entries, wanted 1 to ${GENERATIONS_MAX} of the form kid:base64url`);
  const list: KeyList = { generations: [], revoked: [] };
  const kids = new Set<string>();
  for (const [at, entry] of entries.slice(0, GENERATIONS_MAX).entries()) {
    const read = readEntry(entry.text, { name, at }, refuse);
    if (read === undefined) continue;
    if (kids.has(read.kid)) refuse(`${name} names the kid "${read.kid}" more than once, wanted every kid once`);
    kids.add(read.kid);
    if (read.secret === null) list.revoked.push(read.kid);
    else list.generations.push({ kid: read.kid, secret: read.secret });
  }
  if (list.generations.length === 0 && list.revoked.length > 0)
    refuse(`${name} holds only revoked keys: add a new one with: agent-system keys rotate --keys-file FILE`);
  return list;
}

/** True for what may stand before the colon. */
export function isKid(text: string): boolean {
  return KID.test(text);
}

/**
 * Puts a key before all others. So that there are never more than 16, the oldest revoked ones go first, then the oldest
 * that still verify; `dropped` names them. The text must have been parsed without a problem.
 */
export function withNewest(text: string, { kid, secret }: KeyGeneration): { text: string; dropped: string[] } {
  const entries = entriesOf(text);
  const oldestFirst = [...entries].reverse();
  const candidates = [...oldestFirst.filter(isRevoked), ...oldestFirst.filter((entry) => !isRevoked(entry))];
  const dropped = candidates.slice(0, Math.max(0, entries.length + 1 - GENERATIONS_MAX));
  const kept = withoutEntries(text, dropped);
  const first = entriesOf(kept)[0];
  const at = first === undefined ? kept.length : kept.lastIndexOf('\n', first.start) + 1;
  const gap = at > 0 && kept[at - 1] !== '\n' ? '\n' : '';
  const line = `${gap}${kid}:${Buffer.from(secret).toString('base64url')}\n`;
  return { text: kept.slice(0, at) + line + kept.slice(at), dropped: dropped.map(kidOf) };
}

/** Puts `revoked` in the place of the secret of this key. */
export function withRevoked(text: string, kid: string): string {
  const entry = entriesOf(text).find((one) => kidOf(one) === kid);
  if (entry === undefined) return text;
  return `${text.slice(0, entry.start)}${kid}:${REVOKED}${text.slice(entry.start + entry.text.length)}`;
}

interface Entry {
  start: number;
  text: string;
}

function entriesOf(text: string): Entry[] {
  // Blanks of the same length, so that places stay what they are.
  const bare = text.replace(/#[^\n]*/g, (comment) => ' '.repeat(comment.length));
  return [...bare.matchAll(/[^,\s]+/g)].map((match) => ({ start: match.index, text: match[0] }));
}

function readEntry(
  entry: string,
  { name, at }: { name: string; at: number },
  refuse: (problem: string) => void,
): { kid: string; secret: Uint8Array | null } | undefined {
  const [, kid, encoded] = /^([A-Za-z0-9_-]{1,64}):([A-Za-z0-9_-]+)=*$/.exec(entry) ?? [];
  if (kid === undefined) {
    refuse(`${name} entry ${at + 1} is not of the form kid:base64url (kid of up to 64 letters, digits, - or _)`);
    return undefined;
  }
  if (encoded === REVOKED) return { kid, secret: null };
  const secret = Buffer.from(encoded!, 'base64url');
  if (secret.length < SECRET_BYTES_MIN) refuse(tooShort(`${name} entry ${at + 1} ("${kid}")`, secret.length));
  return { kid, secret };
}

function kidOf({ text }: Entry): string {
  return text.slice(0, text.indexOf(':'));
}

function isRevoked({ text }: Entry): boolean {
  return text.endsWith(`:${REVOKED}`);
}

/** Each goes with the comma or line break behind it. */
function withoutEntries(text: string, entries: readonly Entry[]): string {
  let rest = text;
  for (const { start, text: entry } of [...entries].sort((a, b) => b.start - a.start)) {
    const behind = rest.slice(start + entry.length).replace(/^[ \t]*(,|\r?\n)?/, '');
    rest = rest.slice(0, start) + behind;
  }
  return rest;
}
