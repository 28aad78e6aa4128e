/*
 * Payloads that are stored apart from their record. A text comes by a plain command under a key `out:` that has an end, and
 * the commit which its unit wins gives it its lasting name. What no commit wants, because its unit lost or its process was
 * killed in between, is gone after a while without anybody looking for it; so nothing is ever half stored.
 */
import { digestOf } from '../../message/seal.ts';
import type { StoredTask } from '../../task/codec.ts';
import { isRef, type PayloadPart, type PayloadRef, parseRef } from '../../task/payload.ts';
import type { Commit, CommitReply, KeptResult, ReadParts } from '../store.ts';
import { creates, keptName, largeTexts, type WaitingText } from './commit-args.ts';
import type { Commands } from './connect.ts';
import type { Scripts } from './scripts.ts';

/** A text waits so long for the commit that follows it at once. */
const WAITING_MS = 30_000;
/** On their way in one go: what takes longer than a command may, would be repeated for ever. */
const BYTES_AT_ONCE = 16 * 1024 * 1024;
const KEYS_AT_ONCE = 500;

export interface PayloadsOptions {
  connection: Commands;
  scripts: Scripts;
}

/** Where a text belongs that was read as its reference. */
interface Gap extends PayloadRef {
  task: StoredTask;
  part: PayloadPart;
}

export class Payloads {
  readonly #options: PayloadsOptions;

  constructor(options: PayloadsOptions) {
    this.#options = options;
  }

  /** Brings the large texts of a commit; to be called before it, and again when it is repeated. */
  async stage(tag: string, commit: Commit): Promise<void> {
    const mayBeFull = !creates(commit);
    for (const some of inSlices(broughtBy(commit), ({ bytes }) => bytes)) {
      await Promise.all(some.map(({ name, text = '' }) => this.#put(tag, name, text, WAITING_MS, mayBeFull)));
    }
  }

  /** Takes away at once what the commit brought and did not write. */
  async unstage(tag: string, commit: Commit, { units }: CommitReply): Promise<void> {
    const left = commit.units.flatMap((unit, at) => {
      const outcome = units[at];
      if (!unit.large || (outcome?.ok && !outcome.already)) return [];
      return largeTexts(unit, commit.op, at).filter(({ text }) => text !== undefined);
    });
    await this.drop(
      tag,
      left.map(({ name }) => name),
    );
  }

  async drop(tag: string, names: readonly string[]): Promise<void> {
    for (let from = 0; from < names.length; from += KEYS_AT_ONCE) {
      const keys = names.slice(from, from + KEYS_AT_ONCE).map((name) => keyOf(tag, name));
      await this.#options.connection.call('unlink', keys);
    }
  }

  async put(tag: string, kept: KeptResult, text: string, ttlMs: number): Promise<void> {
    await this.#put(tag, keptName(kept), text, ttlMs, true);
  }

  async renew(tag: string, kept: readonly KeptResult[], ttlMs: number): Promise<boolean[]> {
    const found: boolean[] = [];
    for (let from = 0; from < kept.length; from += KEYS_AT_ONCE) {
      const some = kept.slice(from, from + KEYS_AT_ONCE);
      const replies = some.map((one) =>
        this.#options.connection.call('pexpire', [keyOf(tag, keptName(one)), String(ttlMs)]),
      );
      for (const reply of await Promise.all(replies)) found.push(reply === 1);
    }
    return found;
  }

  async get(tag: string, id: string, part: PayloadPart): Promise<string | null> {
    return (await this.#options.connection.call('get', [payloadKey(tag, id, part)])) as string | null;
  }

  /** Puts whole texts in place of references; marks and answers the tasks whose text is not what was stored. */
  async fill(tag: string, tasks: readonly (StoredTask | null)[], wanted: ReadParts): Promise<StoredTask[]> {
    const found = gapsOf(tasks, wanted);
    for (const gaps of inSlices(found, ({ bytes }) => bytes)) {
      const keys = gaps.map(({ task, part }) => payloadKey(tag, task.id, part));
      const texts = (await this.#options.connection.call('mget', keys)) as (string | null)[];
      for (const [n, gap] of gaps.entries()) {
        const text = texts[n];
        if (text != null && fits(text, gap)) gap.task[gap.part] = text;
        else gap.task.damaged = gap.part;
      }
    }
    return found.map(({ task }) => task).filter(({ damaged }) => damaged !== undefined);
  }

  /** A plain command takes a fifth of the time of a script, which alone may write where memory is out. */
  async #put(tag: string, name: string, text: string, ttlMs: number, mayBeFull: boolean): Promise<void> {
    const { connection, scripts } = this.#options;
    try {
      await connection.call('set', [keyOf(tag, name), text, 'PX', String(ttlMs)]);
    } catch (error) {
      if (!mayBeFull || (error as { code?: unknown }).code !== 'STORE_FULL') throw error;
      await connection.run(scripts['put-result'], tag, [name, text, String(ttlMs)]);
    }
  }
}

function broughtBy({ op, units }: Commit): WaitingText[] {
  return units
    .flatMap((unit, at) => (unit.large ? largeTexts(unit, op, at) : []))
    .filter(({ text }) => text !== undefined);
}

function gapsOf(tasks: readonly (StoredTask | null)[], { input, result }: ReadParts): Gap[] {
  const gaps: Gap[] = [];
  if (input !== true && !result) return gaps;
  for (const task of tasks) {
    if (!task) continue;
    if (input === true) addGap(gaps, task, 'input');
    if (result) addGap(gaps, task, 'result');
  }
  return gaps;
}

function addGap(gaps: Gap[], task: StoredTask, part: PayloadPart): void {
  const payload = task[part];
  if (payload === undefined || !isRef(payload)) return;
  gaps.push({ task, part, ...(parseRef(payload) ?? NO_TEXT) });
}

/** What no text fits: somebody wrote over the reference. */
const NO_TEXT: PayloadRef = { bytes: 0, digest: '' };

function fits(text: string, { bytes, digest }: PayloadRef): boolean {
  return Buffer.byteLength(text) === bytes && digestOf(text) === digest;
}

/** In order; a slice that is too heavy holds one. */
function* inSlices<T>(all: readonly T[], weightOf: (one: T) => number): Generator<T[]> {
  let slice: T[] = [];
  let weight = 0;
  for (const one of all) {
    if (slice.length > 0 && (weight + weightOf(one) > BYTES_AT_ONCE || slice.length >= KEYS_AT_ONCE)) {
      yield slice;
      slice = [];
      weight = 0;
    }
    slice.push(one);
    weight += weightOf(one);
  }
  if (slice.length > 0) yield slice;
}

function keyOf(tag: string, name: string): string {
  return `${tag}out:${name}`;
}

function payloadKey(tag: string, id: string, part: PayloadPart): string {
  return `${tag}p:${id}:${part[0]}`;
}
