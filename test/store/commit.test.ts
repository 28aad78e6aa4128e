import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digestOf } from '../../src/message/seal.ts';
import { removalOf, repairOf, unitOf } from '../../src/store/commit.ts';
import { type IndexPolicy, indexesOf } from '../../src/store/indexes.ts';
import type { IndexChange } from '../../src/store/store.ts';
import { blockOf } from '../../src/task/id.ts';
import { LARGE_PAYLOAD_BYTES } from '../../src/task/payload.ts';
import { TASK_STATES, type TaskRecord } from '../../src/task/task.ts';
import { anAttempt, anId, aSpec, aTask, jsonOf, refTo, T0 } from '../support/builders.ts';

const POLICY = {
  timeoutGraceMs: 5_000,
  retentionCompletedMs: 1_000_000,
  retentionFailedMs: 9_000_000,
  tenantConcurrency: null,
};

describe('the index entries of a record', () => {
  const entriesOf = (task: TaskRecord) => indexesOf(task, POLICY);

  it('scheduled: due at its time', () => {
    const task = aTask({ state: 'scheduled', trail: { dueAt: T0 + 5 } });
    expect(entriesOf(task)).toEqual([{ do: 'add', index: 'due', member: task.id, score: T0 + 5 }]);
  });

  it('queued: in its lane at its score', () => {
    const task = aTask({ priority: 10, tenant: 't', trail: { score: -3 } });
    expect(entriesOf(task)).toEqual([{ do: 'add', lane: '!echo|t', score: -3 }]);
  });

  it('assigned: held by its incarnation, with a deadline from the assignment', () => {
    const task = aTask({ state: 'assigned', timeoutMs: 60_000 });
    expect(entriesOf(task)).toEqual([
      { do: 'add', index: 'deadline', member: task.id, score: T0 + 65_000 },
      { do: 'add', index: 'held:w1@100-aa', member: `${task.id}~a1`, score: T0 },
      { do: 'add', index: 'cap:a|echo', member: task.id, score: 0 },
    ]);
  });

  it('running: in the caps of its agent, its key and, where tenants have a limit, its tenant', () => {
    const task = aTask({ state: 'running', tenant: 'a|b', concurrencyKey: 'k' });
    const caps = (policy: IndexPolicy) =>
      indexesOf(task, policy).flatMap((entry) =>
        'index' in entry && entry.index.startsWith('cap:') ? entry.index : [],
      );
    expect(caps(POLICY)).toEqual(['cap:a|echo', 'cap:k|echo|a%7Cb|k']);
    expect(caps({ ...POLICY, tenantConcurrency: 1 })).toEqual(['cap:a|echo', 'cap:t|a%7Cb', 'cap:k|echo|a%7Cb|k']);
  });

  it('running: with a deadline from the start', () => {
    const attempt = anAttempt({ startedAt: T0 + 700 });
    const task = aTask({ state: 'running', timeoutMs: 60_000, trail: { attempt } });
    expect(entriesOf(task)[0]).toMatchObject({ index: 'deadline', score: T0 + 65_700 });
    expect(entriesOf(task)[1]).toMatchObject({ score: T0 });
  });

  it('waiting: in none', () => expect(entriesOf(aTask({ state: 'waiting' }))).toEqual([]));

  it.each([
    ['completed', 1_000_000],
    ['cancelled', 1_000_000],
    ['failed', 9_000_000],
  ] as const)('%s: its block expires no later than it does', (state, kept) => {
    const task = aTask({ state, trail: { endedAt: T0 + 1 } });
    const entry = { do: 'min', index: 'expiry', member: blockOf(task.id), score: T0 + 1 + kept };
    expect(entriesOf(task)).toEqual([entry]);
  });
});

describe('a unit between two records', () => {
  const id = anId();
  const record = fc
    .record({
      state: fc.constantFrom(...TASK_STATES),
      score: fc.integer({ min: 0, max: 3 }),
      attempt: fc.constantFrom('a1', 'a2'),
      worker: fc.constantFrom('w1', 'w2'),
      assignedAt: fc.integer({ min: T0, max: T0 + 2 }),
      startedAt: fc.option(fc.integer({ min: T0, max: T0 + 2 }), { nil: undefined }),
    })
    .map(({ state, score, attempt, worker, assignedAt, startedAt }): TaskRecord => {
      const task = aTask({ id, state, trail: { score, dueAt: T0 + score, endedAt: T0 + score } });
      const { attempt: held } = task.trail;
      if (held) task.trail.attempt = { ...held, id: attempt, worker, assignedAt };
      if (held && startedAt !== undefined) task.trail.attempt!.startedAt = startedAt;
      return task;
    });

  it('changes exactly the index entries that lie between them', () => {
    fc.assert(
      fc.property(record, record, (before, after) => {
        const then = apply(new Map(), indexesOf(before, POLICY));
        const wanted = apply(new Map(), indexesOf(after, POLICY));
        // A block that is to be looked at earlier than need be is put right by the pruner.
        for (const [place, score] of then) {
          if (place.startsWith('expiry')) wanted.set(place, Math.min(score, wanted.get(place) ?? score));
        }
        const { indexes } = unitOf(before, after, POLICY);
        for (const change of indexes) if (change.do !== 'min') expect(changes(then, change)).toBe(true);
        expect(apply(then, indexes)).toEqual(wanted);
      }),
      { numRuns: 2_000 },
    );
  });

  it('that are equal writes no index at all', () => {
    fc.assert(
      fc.property(record, (task) => {
        expect(unitOf(task, task, POLICY).indexes).toEqual([]);
      }),
    );
  });

  it('expects the version before, however many transitions lie between, and leaves the fixed parts alone', () => {
    const before = aTask({ version: 7 });
    const unit = unitOf(before, aTask({ id: before.id, version: 8, state: 'running' }), POLICY);
    expect(unit).toMatchObject({ id: before.id, expect: 7, state: 'running' });
    for (const part of ['spec', 'input', 'result']) expect(unit).not.toHaveProperty(part);
  });

  it('writes everything of a new record, and null for an input that there is not', () => {
    const { input, ...task } = aTask({ version: 1 });
    const unit = unitOf(null, task, POLICY);
    expect(unit).toMatchObject({ expect: 0, spec: `seal ${task.sealed.text}`, input: 'null' });
    expect(JSON.parse(unit.trail!)).toEqual(task.trail);
    expect(unit.indexes).toEqual(indexesOf(task, POLICY));
  });

  it('writes a result and takes one away', () => {
    const running = aTask({ state: 'running' });
    const done = { ...aTask({ ...aSpec({ id: running.id }), state: 'completed', result: '7' }) };
    expect(unitOf(running, done, POLICY).result).toBe('7');
    expect(unitOf(done, running, POLICY).result).toBeNull();
  });
});

describe('repair and removal', () => {
  it('a repair names every entry and leaves version and parts as they are', () => {
    const task = aTask({ state: 'running', version: 3 });
    const indexes = indexesOf(task, POLICY);
    expect(repairOf(task, POLICY)).toEqual({ id: task.id, expect: 3, state: 'running', repair: true, indexes });
  });

  it('a removal takes the entries along, but not the expiry of the block', () => {
    const task = aTask({ state: 'queued', version: 3, trail: { score: 4 } });
    expect(removalOf(task, POLICY)).toMatchObject({
      expect: 3,
      remove: true,
      indexes: [{ do: 'remove', lane: 'echo|default' }],
    });
    expect(removalOf(aTask({ state: 'failed' }), POLICY).indexes).toEqual([]);
  });
});

type Entries = Map<string, number>;

function placeOf(change: IndexChange): string {
  return 'lane' in change ? `lane/${change.lane}` : `${change.index}/${change.member}`;
}

function changes(entries: Entries, change: IndexChange): boolean {
  const standing = entries.get(placeOf(change));
  return change.do === 'remove' ? standing !== undefined : standing !== change.score;
}

function apply(entries: Entries, indexes: readonly IndexChange[]): Entries {
  const next = new Map(entries);
  for (const change of indexes) {
    const place = placeOf(change);
    if (change.do === 'remove') next.delete(place);
    else if (change.do === 'add') next.set(place, change.score);
    else next.set(place, Math.min(change.score, next.get(place) ?? change.score));
  }
  return next;
}

describe('large payloads of a unit', () => {
  const input = jsonOf(LARGE_PAYLOAD_BYTES + 1);

  it('go beside it, and their references into the record', () => {
    const task = aTask({ state: 'completed' });
    const result = jsonOf(20_000, 'r');
    const spec = aSpec({ id: task.id, inputDigest: digestOf(input) });
    const unit = unitOf(null, { ...task, spec, input, result }, POLICY);
    expect(unit).toMatchObject({ input: refTo(input), result: refTo(result), large: { input, result } });
    expect(unit).not.toHaveProperty('adopt');
  });

  it('stay in the record up to the threshold', () => {
    const unit = unitOf(null, { ...aTask(), input: jsonOf(LARGE_PAYLOAD_BYTES) }, POLICY);
    expect(unit.input).toHaveLength(LARGE_PAYLOAD_BYTES);
    expect(unit).not.toHaveProperty('large');
  });

  it('are counted in bytes, not in characters', () => {
    const text = jsonOf(LARGE_PAYLOAD_BYTES / 2 + 10, 'é');
    expect(unitOf(null, { ...aTask(), input: text }, POLICY).large).toEqual({ input: text });
  });
});
