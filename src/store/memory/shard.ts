import type { Runtime } from '../../runtime/runtime.ts';
import type { Ledger } from '../store.ts';
import { Caps } from './caps.ts';
import { Indexes } from './indexes.ts';
import type { ShardLog } from './journal/changes.ts';
import { KeptResults } from './kept-results.ts';
import { Lanes } from './lanes.ts';
import { Ownership } from './ownership.ts';
import { Quarantine } from './quarantine.ts';
import { Records } from './records.ts';
import { Reservations } from './reservations.ts';
import type { RisingClock } from './rising-clock.ts';
import { Schedules } from './schedules.ts';
import { Streams } from './streams.ts';
import { UniqueKeys } from './unique-keys.ts';
import { Workers } from './workers.ts';

export interface ShardOptions {
  clock: RisingClock;
  runtime: Runtime;
  maxEventBytes: number;
}

/** All state of one shard; nothing of it is shared with another. Every change is synchronous, hence atomic. */
export class Shard {
  readonly clock: RisingClock;
  readonly records = new Records();
  readonly indexes = new Indexes();
  readonly lanes = new Lanes();
  readonly caps = new Caps(this.lanes, this.indexes);
  readonly reservations = new Reservations();
  readonly uniqueKeys = new UniqueKeys();
  readonly workers = new Workers();
  readonly streams: Streams;
  readonly quarantine: Quarantine;
  readonly keptResults: KeptResults;
  readonly schedules: Schedules;
  readonly ownership: Ownership;
  /** Told of every change of what is durable; null = nothing is. */
  log: ShardLog | null = null;
  /** The last report entry whose effects are committed. */
  reportCursor = '0-0';
  /** In shard 0: the shares of limits that shards were lent. */
  ledger: Ledger = { version: 0, text: '' };

  constructor(options: ShardOptions) {
    this.clock = options.clock;
    this.streams = new Streams(options);
    this.quarantine = new Quarantine(options.clock);
    this.keptResults = new KeptResults(options.clock);
    this.schedules = new Schedules(options.clock);
    this.ownership = new Ownership(options.clock, options.runtime, (...news) => this.tell(...news));
  }

  /** Puts what happened to the system into the event stream; see `redis/shared/tell.lua`. */
  tell(what: string, name: string, text: string): void {
    this.streams.append('events', { s: what, n: name, i: text });
  }

  /** Tells the distributors to look at once. `q`: a lane has tasks, `h`: a worker's hint, `b`: a worker beat. */
  wake(fields: Record<string, string>): void {
    this.streams.append('wake', fields);
  }
}
