import { expect } from 'vitest';
import {
  type Commit,
  type CommitReply,
  type Store,
  type StreamName,
  type TakeReply,
  type TakeRequest,
  UNITS_MAX,
  type Unit,
} from '../../src/store/store.ts';
import type { StoredTask } from '../../src/task/codec.ts';
import { anId, aUnit } from '../support/builders.ts';

export interface Opened {
  store: Store;
  /** Lets this much time pass: virtual where the clock is, else by waiting. */
  advance(ms: number): Promise<void>;
  close(): Promise<void>;
}

/** Opens an empty store: no identity, no records. */
export type Open = (options: { shards: number }) => Promise<Opened>;

/** The store under test and the shard that a test works on, with the words that nearly every test needs. */
export class World {
  readonly shards: number;
  /** The last one, so that mixing up shards shows. */
  readonly shard: number;
  readonly store: Store;
  readonly advance: (ms: number) => Promise<void>;
  readonly close: () => Promise<void>;
  #ops = 0;

  constructor(shards: number, opened: Opened) {
    this.shards = shards;
    this.shard = shards - 1;
    this.store = opened.store;
    this.advance = opened.advance;
    this.close = opened.close;
  }

  unit(over: Partial<Unit> = {}): Unit {
    return aUnit({ id: anId(this.shard), ...over });
  }

  /** A new operation each time, unless one is named. */
  commit(commit: Partial<Commit>): Promise<CommitReply> {
    this.#ops += 1;
    return this.store.commit(this.shard, { op: `op${this.#ops}`, units: [], ...commit });
  }

  /** Stores these tasks and answers their ids. */
  async create(...tasks: Partial<Unit>[]): Promise<string[]> {
    const units = tasks.map((task) => this.unit(task));
    const { units: outcomes } = await this.commit({ units });
    expect(outcomes).toEqual(units.map(() => ({ ok: true, already: false })));
    return units.map((unit) => unit.id);
  }

  async createOne(task: Partial<Unit> = {}): Promise<string> {
    return (await this.create(task))[0]!;
  }

  async record(id: string): Promise<StoredTask | null> {
    const { tasks } = await this.store.read(this.shard, [id], { input: true, result: true });
    return tasks[0]!;
  }

  take(over: Partial<TakeRequest> = {}): Promise<TakeReply> {
    const agents = { echo: UNITS_MAX };
    return this.store.take(this.shard, { token: 't1', max: 100, urgentMax: 100, agents, lanesMax: 100, ...over });
  }

  async takeIds(over: Partial<TakeRequest> = {}): Promise<string[]> {
    return idsOf(await this.take(over));
  }

  /** `lane` → number of tasks in it. */
  async lanes(): Promise<Record<string, number>> {
    const { queues } = await this.store.queues(this.shard, 1_000);
    return Object.fromEntries(queues.map(({ lane, length }) => [lane, length]));
  }

  async fields(stream: StreamName, after = '0'): Promise<Record<string, string>[]> {
    const batches = await this.store.readStreams(this.shard, { from: [{ stream, after }], count: 1_000, waitMs: 0 });
    return (batches[0]?.entries ?? []).map((entry) => entry.fields);
  }

  async last(stream: StreamName): Promise<string> {
    return (await this.store.lastEntry(this.shard, stream)).id;
  }

  /** Appends to the report stream. */
  async reported(envelope = 'report'): Promise<string> {
    return (await this.store.report(this.shard, { worker: 'w1', incarnation: '100-aa', envelope, hint: null })).entry;
  }
}

export function idsOf(reply: TakeReply): string[] {
  return reply.tasks.map(({ task }) => task.id);
}

/** A unit that was written now. */
export const WON = { ok: true, already: false };
export const ALREADY = { ok: true, already: true };
export const CONFLICT = { ok: false, reason: 'conflict' };
