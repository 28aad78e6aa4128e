import type { StoredTask } from '../../task/codec.ts';
import { blockOf } from '../../task/id.ts';
import type { TaskState } from '../../task/task.ts';
import type { ReadParts } from '../store.ts';

/** Fields given to one command at most. */
const RUN_MAX = 500;
/** Blocks up to which plain commands are cheaper than a script. */
const NARROW_RUNS_MAX = 16;

/** What a script answers: texts, numbers, null, and lists of them. */
export type Reply = string | number | null | Reply[];

const LETTERS: Record<TaskState, string> = {
  scheduled: 's',
  queued: 'q',
  assigned: 'a',
  running: 'r',
  waiting: 'w',
  completed: 'c',
  failed: 'f',
  cancelled: 'x',
};
const STATES = Object.fromEntries(Object.entries(LETTERS).map(([state, letter]) => [letter, state])) as Record<
  string,
  TaskState
>;

export function letterOf(state: TaskState): string {
  return LETTERS[state];
}

/** `version state operation`, within 64 bytes so that Redis keeps a block of them in one compact list. */
export function metaOf(version: number, state: TaskState, op: string): string {
  return `${version} ${LETTERS[state]} ${op}`;
}

/** Suffixes of the texts to read: the specification has none and goes by `s`. */
export function partsOf({ input, result }: ReadParts): string {
  return `st${input ? 'i' : ''}${result ? 'r' : ''}`;
}

/** @param texts what stands under the suffixes of `parts`, from `at` on */
export function storedTask(id: string, meta: string, parts: string, texts: readonly Reply[], at: number): StoredTask {
  const gap = meta.indexOf(' ');
  const version = Number(meta.slice(0, gap));
  const state = STATES[meta[gap + 1]!];
  // Told with the record, not thrown: one that was written over must not hide those that were read along with it.
  if (!state || !(gap > 0 && Number.isSafeInteger(version))) {
    return { id, version: 0, state: 'queued', op: '', spec: '', trail: '', unreadable: meta };
  }
  const task: StoredTask = { id, version, state, op: meta.slice(gap + 3), spec: '', trail: '' };
  for (let k = 0; k < parts.length; k++) {
    const text = texts[at + k] as string | null;
    const letter = parts[k];
    if (letter === 's') task.spec = text ?? '';
    else if (letter === 't') task.trail = text ?? '';
    else if (letter === 'i') task.input = text ?? '';
    else if (text !== null) task.result = text;
  }
  return task;
}

/** Ids of one block, with their places in the question. */
interface Run {
  block: string;
  places: number[];
}

/**
 * A question for records. With few blocks it is put as plain commands, which are done together: texts that pass through
 * a script are copied and hashed there, and cost twice as much. With many blocks one script call is cheaper for both.
 */
export class RecordQuestion {
  readonly #ids: readonly string[];
  readonly #parts: string;
  readonly #runs: Run[];

  constructor(ids: readonly string[], wanted: ReadParts) {
    this.#ids = ids;
    this.#parts = partsOf(wanted);
    this.#runs = runsOf(ids);
  }

  get isNarrow(): boolean {
    return this.#runs.length <= NARROW_RUNS_MAX;
  }

  /** Two commands for each run. */
  commands(tag: string): [string, ...string[]][] {
    return this.#runs.flatMap(({ block, places }): [string, ...string[]][] => {
      const fields = places.map((at) => this.#field(at));
      const names: string[] = [];
      for (const field of fields) for (const letter of this.#parts) names.push(letter === 's' ? field : field + letter);
      return [
        ['hmget', `${tag}m:${block}`, ...fields],
        ['hmget', `${tag}b:${block}`, ...names],
      ];
    });
  }

  /** Arguments of `read.lua`. */
  script(): string[] {
    const args = [this.#parts];
    for (const { block, places } of this.#runs) {
      args.push(block, String(places.length));
      for (const at of places) args.push(this.#field(at));
    }
    return args;
  }

  /** @param replies metas and texts of each run in turn, however they were asked for */
  answer(replies: readonly unknown[]): (StoredTask | null)[] {
    const tasks = new Array<StoredTask | null>(this.#ids.length).fill(null);
    for (const [n, { places }] of this.#runs.entries()) {
      const metas = replies[2 * n] as (string | null)[];
      const texts = replies[2 * n + 1] as Reply[];
      for (const [k, at] of places.entries()) {
        const meta = metas[k];
        if (meta) tasks[at] = storedTask(this.#ids[at]!, meta, this.#parts, texts, k * this.#parts.length);
      }
    }
    return tasks;
  }

  #field(at: number): string {
    return fieldOf(this.#ids[at]!);
  }
}

/** The record's name within its block. */
function fieldOf(id: string): string {
  return id.slice(blockOf(id).length);
}

export function readWholeBlock(block: string, reply: Reply[]): StoredTask[] {
  const [, fields, metas, texts] = reply as [Reply, string[]?, string[]?, Reply[]?];
  if (!fields || !metas || !texts) return [];
  return fields
    .map((field, at) => storedTask(block + field, metas[at]!, 'st', texts, 2 * at))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

function runsOf(ids: readonly string[]): Run[] {
  const runs: Run[] = [];
  const open = new Map<string, Run>();
  for (const [at, id] of ids.entries()) {
    const block = blockOf(id);
    let run = open.get(block);
    if (!run || run.places.length >= RUN_MAX) {
      run = { block, places: [] };
      open.set(block, run);
      runs.push(run);
    }
    run.places.push(at);
  }
  return runs;
}

export function timeOf(time: Reply): number {
  const [seconds, micros] = time as [string, string];
  return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
}
