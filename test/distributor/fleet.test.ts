import { describe, expect, it } from 'vitest';
import { Fleet } from '../../src/distributor/fleet.ts';
import type { SeenBeat } from '../../src/fleet/heartbeat-watch.ts';
import { aHeartbeatBody } from '../message/builders.ts';
import { anId, T0 } from '../support/builders.ts';

function seen(over: Partial<SeenBeat['heartbeat']> = {}, at = T0): SeenBeat {
  const heartbeat = aHeartbeatBody({ incarnation: '100-aa', distributor: 'd1', started: [], ...over });
  return { heartbeat, at, entry: `${at}-0`, issuedAt: at, predecessor: null };
}

const REF = 'w1@100-aa';
const TTL = 15_000;

describe('what a distributor knows of its workers', () => {
  it('is not set back by the heartbeat of an earlier life that another shard still holds', () => {
    const fleet = new Fleet('d1', TTL);
    fleet.hear(seen({ incarnation: '200-bb' }), 0);
    fleet.hear(seen({ incarnation: '100-aa' }), 1);
    expect(fleet.available(T0).map(({ ref }) => ref)).toEqual(['w1@200-bb']);
  });

  it('counts an assignment before its commit, and takes it back when that was lost', () => {
    const fleet = new Fleet('d1', TTL);
    fleet.hear(seen(), 0);
    const task = anId();
    fleet.occupy(REF, task, 'a1', { shard: 0, urgent: true, now: T0 });
    expect(fleet.member('w1')).toMatchObject({ occupied: 1, urgent: 1, lastAssignedAt: T0 });
    fleet.settle(REF, task, 'a1', null);
    expect(fleet.member('w1')).toMatchObject({ occupied: 0, urgent: 0 });
  });

  it('is not moved by a hint that came before the answer of the commit', () => {
    const fleet = new Fleet('d1', TTL);
    fleet.hear(seen(), 0);
    const task = anId();
    fleet.occupy(REF, task, 'a1', { shard: 0, urgent: false, now: T0 });
    expect(fleet.hint({ w: 'w1', i: '100-aa', r: [`${task}~a1`] }, T0)).toBe(true);
    fleet.settle(REF, task, 'a1', '5-0');
    expect(fleet.member('w1')!.occupied).toBe(0);
  });

  it('is corrected by a heartbeat only in the shard where that was read', () => {
    const fleet = new Fleet('d1', TTL);
    const [here, there] = [anId(0), anId(1)];
    fleet.hear(seen({ started: [`${here}~a1`] }), 0);
    fleet.hear(seen({ unstarted: [`${there}~a1`] }), 1);
    expect(fleet.member('w1')!.occupied).toBe(2);
    fleet.hear(seen(), 0);
    expect(fleet.member('w1')!.occupied).toBe(1);
  });

  it('does not count again what a hint released when a heartbeat from before it is read, and believes a later one', () => {
    const fleet = new Fleet('d1', TTL);
    const task = anId();
    const started = [`${task}~a1`];
    const says = { started, mailbox: '5-0', resources: { gpu: 2 }, used: { gpu: 2 } };
    const found = () => fleet.member('w1');
    fleet.hear(seen({ resources: { gpu: 2 } }, T0), 0);
    fleet.occupy(REF, task, 'a1', { shard: 0, urgent: true, needs: { gpu: 2 }, now: T0 });
    fleet.settle(REF, task, 'a1', '5-0');
    fleet.hint({ w: 'w1', i: '100-aa', r: started }, T0 + 80);
    fleet.hear(seen(says, T0 + 50), 0);
    expect(found()).toMatchObject({ occupied: 0, urgent: 0, used: {} });
    // The heart of a worker is told a moment later than the store.
    fleet.hear(seen(says, T0 + 120), 0);
    expect(found()).toMatchObject({ occupied: 0, used: {} });
    // Whoever wrote that hint was not the worker.
    fleet.hear(seen(says, T0 + 1_000), 0);
    expect(found()).toMatchObject({ occupied: 1, used: { gpu: 2 } });
  });

  it('lets a worker rest from a hand-back on only until a heartbeat that came after it, in whatever order both are read', () => {
    const fleet = new Fleet('d1', TTL);
    const takesWork = () => fleet.available(T0).length === 1;
    fleet.hear(seen({}, T0), 0);
    fleet.hint({ w: 'w1', i: '100-aa', b: true }, T0 + 10);
    expect(takesWork()).toBe(false);
    fleet.hear(seen({}, T0 + 11), 0);
    expect(takesWork()).toBe(true);
    fleet.hear(seen({}, T0 + 30), 0);
    fleet.hint({ w: 'w1', i: '100-aa', b: true }, T0 + 20);
    expect(takesWork()).toBe(true);
  });

  it('waits no more for mail of before a silence of a lease, in which the mailbox may have been taken away', () => {
    const fleet = new Fleet('d1', TTL);
    const [lying, late, fresh] = [anId(), anId(), anId()];
    const occupy = (task: string) => fleet.occupy(REF, task, 'a1', { shard: 0, urgent: false, now: T0 });
    const occupied = () => fleet.member('w1')!.occupied;
    fleet.hear(seen({ mailbox: '0-0' }, T0), 0);
    occupy(lying);
    fleet.settle(REF, lying, 'a1', `${T0 + 1}-0`);
    occupy(late);
    fleet.hear(seen({ mailbox: '0-0' }, T0 + TTL), 0);
    expect(occupied()).toBe(2);
    fleet.hear(seen({ mailbox: '0-0' }, T0 + 2 * TTL + 1), 0);
    // Of one the commit was not answered yet.
    expect(occupied()).toBe(1);
    fleet.settle(REF, late, 'a1', `${T0 + 2}-0`);
    occupy(fresh);
    fleet.settle(REF, fresh, 'a1', `${T0 + 2 * TTL + 2}-0`);
    fleet.hear(seen({ mailbox: '0-0' }, T0 + 2 * TTL + 3), 0);
    expect(occupied()).toBe(1);
  });

  it('adds to the resources that a worker says are in use what it cannot know of yet', () => {
    const fleet = new Fleet('d1', TTL);
    const used = () => fleet.member('w1')!.used;
    const [task, other] = [anId(), anId()];
    fleet.hear(seen({ resources: { gpu: 4 }, used: { gpu: 1 } }), 0);
    expect(fleet.member('w1')).toMatchObject({ resources: { gpu: 4 }, used: { gpu: 1 } });
    fleet.occupy(REF, task, 'a1', { shard: 0, urgent: false, needs: { gpu: 2 }, now: T0 });
    expect(used()).toEqual({ gpu: 3 });
    fleet.settle(REF, task, 'a1', '5-0');
    fleet.hear(seen({ used: { gpu: 1 }, mailbox: '4-0' }), 0);
    expect(used()).toEqual({ gpu: 3 });
    fleet.hear(seen({ used: { gpu: 2 }, mailbox: '5-0', started: [`${task}~a1`] }), 0);
    expect(used()).toEqual({ gpu: 2 });
    fleet.hint({ w: 'w1', i: '100-aa', r: [`${task}~a1`] }, T0);
    expect(used()).toEqual({});
    fleet.occupy(REF, other, 'a2', { shard: 0, urgent: false, needs: { gpu: 1 }, now: T0 });
    fleet.settle(REF, other, 'a2', null);
    expect(used()).toEqual({});
  });

  it('counts resources of its own assignments where a worker tells of none, over all shards', () => {
    const fleet = new Fleet('d1', TTL);
    const [here, there] = [anId(0), anId(1)];
    fleet.hear(seen(), 0);
    fleet.occupy(REF, here, 'a1', { shard: 0, urgent: false, needs: { gpu: 1 }, now: T0 });
    fleet.occupy(REF, there, 'a1', { shard: 1, urgent: false, needs: { gpu: 1 }, now: T0 });
    fleet.hear(seen({ used: undefined, started: [`${here}~a1`] }), 0);
    expect(fleet.member('w1')!.used).toEqual({ gpu: 2 });
    // The sum in a heartbeat is of all shards, its lists are of one.
    fleet.hear(seen({ used: { gpu: 2 }, started: [`${there}~a1`] }), 1);
    expect(fleet.member('w1')!.used).toEqual({ gpu: 2 });
  });

  it('takes from hints only what fits', () => {
    const fleet = new Fleet('d1', TTL);
    fleet.hear(seen(), 0);
    fleet.hint({ w: 'w1', i: '100-aa', x: 1e9, q: ['echo', 7 as unknown as string] }, T0);
    expect(fleet.member('w1')).toMatchObject({ extra: 10_000, quick: new Set(['echo']) });
    fleet.hint({ w: 'w1', i: '100-aa', x: -1 }, T0);
    fleet.hint({ w: 'w1', i: '100-aa', x: 1.5 }, T0);
    expect(fleet.member('w1')!.extra).toBe(10_000);
    expect(fleet.hint({ w: 'w1', i: 'other', b: true }, T0)).toBe(false);
    expect(fleet.available(T0)).toHaveLength(1);
  });

  it('ends when a worker joins another distributor', () => {
    const fleet = new Fleet('d1', TTL);
    fleet.hear(seen(), 0);
    fleet.hear(seen({ distributor: 'd2' }), 0);
    expect(fleet.size).toBe(0);
  });
});
