import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Entry, SortedSet } from '../../src/store/memory/sorted-set.ts';

type Step = { do: 'set' | 'delete' | 'shift'; member: string; score: number };

const member = fc.integer({ min: 0, max: 1_500 }).map((n) => `m${n}`);
const score = fc.integer({ min: -20, max: 20 });
const step: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom<Step['do']>('set', 'set', 'set', 'delete', 'shift'),
  member,
  score,
});

describe('SortedSet', () => {
  it('stays in the order of score and name, whatever is added, moved and removed', () => {
    fc.assert(
      fc.property(fc.array(step, { size: 'max', maxLength: 3_000 }), score, member, (steps, from, name) => {
        const set = new SortedSet();
        const model = new Map<string, number>();
        for (const one of steps) expect(apply(set, one)).toEqual(applyNaively(model, one));
        const sorted = inOrder(model);
        const place = { member: name, score: from };
        expect(set.size).toBe(model.size);
        expect(set.first()).toEqual(sorted[0]);
        expect(set.ascending(null, 5_000)).toEqual(sorted);
        expect(set.descending(null, 5_000)).toEqual([...sorted].reverse());
        expect(set.ascending(place, 700)).toEqual(sorted.filter((entry) => compare(entry, place) > 0).slice(0, 700));
        const before = sorted.filter((entry) => compare(entry, place) < 0).reverse();
        expect(set.descending(place, 700)).toEqual(before.slice(0, 700));
        expect(set.upTo(from, 700)).toEqual(sorted.filter((entry) => entry.score <= from).slice(0, 700));
      }),
      { numRuns: 30 },
    );
  });

  it('keeps order over many chunks', () => {
    const set = new SortedSet();
    const count = 20_000;
    for (let n = 0; n < count; n++) set.set(`m${n}`, (n * 7_919) % count);
    const scores = Array.from({ length: count }, () => set.shift()!.score);
    expect(scores).toEqual(Array.from({ length: count }, (_, n) => n));
    expect(set.shift()).toBeUndefined();
    expect(set.first()).toBeUndefined();
  });
});

function apply(set: SortedSet, { do: verb, member, score }: Step): unknown {
  if (verb === 'set') return set.set(member, score);
  return verb === 'delete' ? set.delete(member) : set.shift();
}

function applyNaively(model: Map<string, number>, { do: verb, member, score }: Step): unknown {
  if (verb === 'delete') return model.delete(member);
  if (verb === 'set') {
    const changed = model.get(member) !== score;
    model.set(member, score);
    return changed;
  }
  const first = inOrder(model)[0];
  if (first) model.delete(first.member);
  return first;
}

function inOrder(model: Map<string, number>): Entry[] {
  return [...model].map(([member, score]) => ({ member, score })).sort(compare);
}

function compare(a: Entry, b: Entry): number {
  return a.score - b.score || (a.member < b.member ? -1 : a.member > b.member ? 1 : 0);
}
