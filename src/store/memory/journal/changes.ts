/*
 * What a journal says: how things stand after a change, never what was asked for. So replaying is plain writing, may
 * begin earlier than needed, and knows nothing of clocks, reservations or who was right.
 */
import type { TaskState } from '../../../task/task.ts';
import type { StoreIdentity } from '../../store.ts';

/** Parts of a record that were written; absent ones stay as they are. */
export interface WrittenParts {
  spec?: string | undefined;
  input?: string | undefined;
  trail?: string | undefined;
  /** null = there is none any more. */
  result?: string | null | undefined;
}

export type Change =
  /** A record, new or whole. */
  | readonly ['record', id: string, version: number, state: TaskState, op: string, parts: WrittenParts]
  /** Parts of a record that is there. */
  | readonly ['write', id: string, version: number, state: TaskState, op: string, parts: WrittenParts]
  | readonly ['remove', id: string]
  | readonly ['reseal', id: string, spec: string]
  /** null = it does not stand there. */
  | readonly ['index', index: string, member: string, score: number | null]
  | readonly ['lane', lane: string, id: string, score: number | null]
  | readonly ['holder', holder: string, known: boolean]
  | readonly ['unique', key: string, id: string, digest: string, expiresAt: number]
  | readonly ['cursor', entry: string]
  | readonly ['epoch', number: number]
  | readonly ['paused', agent: string, paused: boolean]
  | readonly ['caps', limits: Record<string, number>, version: number]
  | readonly ['schedule', key: string, entry: { version: number; text: string; dueAt: number | null } | null]
  | readonly ['ledger', version: number, text: string]
  /** Of the whole store, told by shard 0. */
  | readonly ['identity', identity: StoreIdentity]
  | readonly ['card', name: string, card: string];

/** Where one shard tells its changes. */
export interface ShardLog {
  add(change: Change): void;
  /** What was told until now may stand in another frame than what follows. */
  pause(): void;
}

/** Characters of a frame beyond which the next one begins at the next pause. */
const FRAME_LENGTH_MAX = 1024 * 1024;
const LENGTH_OF_OTHERS = 80;

/** Gathers changes into the texts of frames: `[time, shard, change, shard, change, …]`. */
export class FrameText {
  #items: unknown[] = [];
  #length = 0;

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  get isLong(): boolean {
    return this.#length > FRAME_LENGTH_MAX;
  }

  add(shard: number, change: Change): void {
    this.#items.push(shard, change);
    this.#length += lengthOf(change);
  }

  /** Answers the text and begins anew. */
  take(now: number): string {
    const text = JSON.stringify([now, ...this.#items]);
    this.#items = [];
    this.#length = 0;
    return text;
  }
}

function lengthOf(change: Change): number {
  if (change[0] !== 'record' && change[0] !== 'write') return LENGTH_OF_OTHERS;
  const { spec, input, trail, result } = change[5];
  const texts = (spec?.length ?? 0) + (input?.length ?? 0) + (trail?.length ?? 0) + (result?.length ?? 0);
  return LENGTH_OF_OTHERS + texts;
}

/** Gives the changes of a frame to `apply`, and answers its time. */
export function readFrame(text: string, apply: (shard: number, change: Change) => void): number {
  const items = JSON.parse(text) as [number, ...unknown[]];
  for (let at = 1; at < items.length; at += 2) apply(items[at] as number, items[at + 1] as Change);
  return items[0];
}
