import type { Runtime } from '../../runtime/runtime.ts';
import { Indexes } from './indexes.ts';
import { Lanes } from './lanes.ts';
import { Ownership } from './ownership.ts';
import { Quarantine } from './quarantine.ts';
import { Records } from './records.ts';
import { Reservations } from './reservations.ts';
import type { RisingClock } from './rising-clock.ts';
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
  readonly reservations = new Reservations();
  readonly uniqueKeys = new UniqueKeys();
  readonly workers = new Workers();
  readonly streams: Streams;
  readonly quarantine: Quarantine;
  readonly ownership: Ownership;
  /** The last report entry whose effects are committed. */
  reportCursor = '0-0';

  constructor(options: ShardOptions) {
    this.clock = options.clock;
    this.streams = new Streams(options);
    this.quarantine = new Quarantine(options.clock);
    this.ownership = new Ownership(options.clock, options.runtime);
  }

  /** Tells the distributors to look at once. `q`: a lane has tasks, `h`: a worker's hint, `b`: a worker beat. */
  wake(fields: Record<string, string>): void {
    this.streams.append('wake', fields);
  }
}
