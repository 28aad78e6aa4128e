import { decodeBase32, encodeBase32 } from '../runtime/base32.ts';

/*
 * A task id is 25 characters: creation time (9, milliseconds), shard (2), block tail (4), position in the block (2),
 * random tail (8). Time comes first and has a fixed width, so ids sort by creation, on every shard alike; the tails
 * carry 60 random bits, so an id cannot be guessed. The first 15 characters name the block that stores the record.
 */
const TIME = 9;
const SHARD = 2;
const BLOCK = 15;
const POSITION = 2;
const TAIL = 8;
export const TASK_ID_LENGTH = BLOCK + POSITION + TAIL;
/** Records per block. */
export const BLOCK_SIZE = 100;
/** One coordinator fills a block for at most this long, so that ids of several coordinators sort within it. */
export const BLOCK_OPEN_MS = 1_000;
export const SHARDS_MAX = 1_024;

export interface TaskIdParts {
  block: string;
  /** Position and tail: the record's field in its block. */
  field: string;
  shard: number;
  /** Creation of the block, milliseconds of the store's clock. */
  createdAt: number;
}

const PATTERN = /^[0-9a-hjkmnp-tv-z]{25}$/;

/** True when `text` has the form of a task id; says nothing about whether the task exists. */
export function isTaskId(text: string): boolean {
  return PATTERN.test(text);
}

export function parseTaskId(id: string): TaskIdParts {
  return { block: id.slice(0, BLOCK), field: id.slice(BLOCK), shard: shardOf(id), createdAt: blockCreatedAt(id) };
}

export function shardOf(id: string): number {
  return decodeBase32(id.slice(TIME, TIME + SHARD));
}

export function blockOf(id: string): string {
  return id.slice(0, BLOCK);
}

/** The id without its random tail: sorts right before it and names no task. */
export function placeOf(id: string): string {
  return id.slice(0, BLOCK + POSITION) + '0'.repeat(TAIL);
}

/** Works for a block and for an id. */
export function blockCreatedAt(block: string): number {
  return decodeBase32(block.slice(0, TIME));
}

/** Hands out ids of one shard, in rising order. One per coordinator and shard; the ids of two never meet. */
export class TaskIds {
  readonly #shard: string;
  readonly #random: (length: number) => string;
  #block = '';
  #openedAt = 0;
  #next = BLOCK_SIZE;

  constructor(shard: number, random: (length: number) => string) {
    this.#shard = encodeBase32(shard, SHARD);
    this.#random = random;
  }

  /** `now` in milliseconds of the store's clock; a clock that steps back does not make ids fall. */
  next(now: number): string {
    if (this.#next >= BLOCK_SIZE || now - this.#openedAt >= BLOCK_OPEN_MS) this.#open(now);
    return this.#block + encodeBase32(this.#next++, POSITION) + this.#random(TAIL);
  }

  #open(now: number): void {
    this.#openedAt = Math.max(now, this.#openedAt + 1);
    this.#block = encodeBase32(this.#openedAt, TIME) + this.#shard + this.#random(BLOCK - TIME - SHARD);
    this.#next = 0;
  }
}
