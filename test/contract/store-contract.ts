/*
 * What every store promises, sentence by sentence of `src/store/store.ts`, looked at only through the port. A backend is
 * done when this suite passes on it; what only one backend does is tested elsewhere.
 */
import { afterEach, beforeEach, describe } from 'vitest';
import { describeCaps } from './caps-contract.ts';
import { describeCommits } from './commit-contract.ts';
import { describeIndexes } from './index-contract.ts';
import { describeOutside } from './outside-contract.ts';
import { describeOwnership } from './ownership-contract.ts';
import { describePayloads } from './payload-contract.ts';
import { describeReading } from './reading-contract.ts';
import { describeRegistry } from './registry-contract.ts';
import { describeRepairs } from './repair-contract.ts';
import { describeReportCursor } from './report-cursor-contract.ts';
import { describeSchedules } from './schedule-contract.ts';
import { describeSnapshots } from './snapshot-contract.ts';
import { describeStreams } from './stream-contract.ts';
import { describeTaking } from './take-contract.ts';
import { describeWorkers } from './worker-contract.ts';
import { type Open, World } from './world.ts';

export type { Open, Opened } from './world.ts';

/** Runs the suite with one shard and with four; every test gets a store of its own from `open`. */
export function describeStore(name: string, open: Open): void {
  describe.each([1, 4])(`${name} store with shards: %i`, (shards) => {
    let world: World;
    beforeEach(async () => {
      world = new World(shards, await open({ shards }));
    });
    afterEach(() => world.close());

    const here = () => world;
    describe('commit', () => describeCommits(here));
    describe('repair', () => describeRepairs(here));
    describe('report cursor', () => describeReportCursor(here));
    describe('indexes', () => describeIndexes(here));
    describe('reading', () => describeReading(here));
    describe('payloads', () => describePayloads(here));
    describe('take', () => describeTaking(here));
    describe('caps', () => describeCaps(here));
    describe('streams', () => describeStreams(here));
    describe('workers', () => describeWorkers(here));
    describe('registry', () => describeRegistry(here));
    describe('schedules', () => describeSchedules(here));
    describe('snapshots', () => describeSnapshots(here));
    describe('ownership', () => describeOwnership(here));
    describe('the outside', () => describeOutside(here));
  });
}
