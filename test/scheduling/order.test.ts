import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Ageing, comparePlaces, parsePriority, parsePriorityText, scoreOf } from '../../src/scheduling/order.ts';

const NOW = 1_763_665_200_000;
const MINUTE = 60_000;
const goesFirst = (a: { priority: number; queuedAt: number }, b: typeof a, ageing: Ageing) =>
  scoreOf(a, ageing) < scoreOf(b, ageing);

describe('scoreOf', () => {
  it('values one level of priority as one ageing interval of waiting', () => {
    expect(scoreOf({ priority: 3, queuedAt: NOW }, MINUTE)).toBe(
      scoreOf({ priority: 4, queuedAt: NOW + MINUTE }, MINUTE),
    );
  });

  it('lets a task of level 0 overtake a fresh 9 once it has waited nine intervals, not before', () => {
    const old = { priority: 0, queuedAt: NOW };
    expect(goesFirst(old, { priority: 9, queuedAt: NOW + 9 * MINUTE - 1 }, MINUTE)).toBe(false);
    expect(goesFirst(old, { priority: 9, queuedAt: NOW + 9 * MINUTE + 1 }, MINUTE)).toBe(true);
  });

  it('serves every task behind at most those that came within nine intervals, however many 9s keep coming', () => {
    const ageing = 1_000;
    const waiting = [{ id: 'zero', score: scoreOf({ priority: 0, queuedAt: 0 }, ageing) }];
    let servedAt = -1;
    for (let now = 0; now < 20_000 && servedAt < 0; now += 10) {
      waiting.push({ id: `nine-${now}`, score: scoreOf({ priority: 9, queuedAt: now }, ageing) });
      waiting.sort(comparePlaces);
      if (waiting.shift()?.id === 'zero') servedAt = now;
    }
    expect(servedAt).toBe(9 * ageing + 10);
  });

  it('never lets a lower priority pass while ageing is off, however long it waits', () => {
    const century = 100 * 365 * 86_400_000;
    expect(goesFirst({ priority: 8, queuedAt: NOW }, { priority: 9, queuedAt: NOW + century }, 'off')).toBe(false);
    expect(goesFirst({ priority: 8, queuedAt: NOW }, { priority: 8, queuedAt: NOW + 1 }, 'off')).toBe(true);
  });

  it('puts priority 10 before everything, first come first served among themselves', () => {
    const priority = fc.integer({ min: 0, max: 9 });
    const time = fc.integer({ min: 0, max: 4e12 });
    const ageing = fc.oneof(fc.constant<Ageing>('off'), fc.integer({ min: 0, max: 1e10 }));
    fc.assert(
      fc.property(priority, time, time, time, ageing, (low, a, b, c, rate) => {
        const urgent = { priority: 10, queuedAt: a };
        expect(goesFirst(urgent, { priority: low, queuedAt: b }, rate)).toBe(true);
        expect(goesFirst(urgent, { priority: 10, queuedAt: c }, rate)).toBe(a < c);
      }),
    );
  });

  it('is always an exact integer, which Redis can keep as a double', () => {
    const ageing = fc.oneof(fc.constant<Ageing>('off'), fc.double({ min: 0, max: 1e12, noNaN: true }));
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 10 }),
        fc.double({ min: 0, max: 4e12, noNaN: true }),
        ageing,
        (p, at, rate) => {
          expect(Number.isSafeInteger(scoreOf({ priority: p, queuedAt: at }, rate))).toBe(true);
        },
      ),
    );
  });

  it.each([
    [11, NOW, MINUTE],
    [-1, NOW, MINUTE],
    [1.5, NOW, MINUTE],
    [5, Number.NaN, MINUTE],
    [5, NOW, 1e13],
    [5, NOW, -1],
  ])('fails at once for priority %s, queuedAt %s, ageing %s', (priority, queuedAt, ageing) => {
    expect(() => scoreOf({ priority, queuedAt }, ageing)).toThrow('No place in the queue');
  });
});

describe('comparePlaces', () => {
  it('orders by score, then by id', () => {
    const sorted = [
      { id: 'b', score: 1 },
      { id: 'c', score: 0 },
      { id: 'a', score: 1 },
    ].sort(comparePlaces);
    expect(sorted.map((place) => place.id)).toEqual(['c', 'a', 'b']);
  });
});

describe('parsePriority', () => {
  it.each([
    [0, 0],
    [10, 10],
    ['low', 2],
    ['normal', 5],
    ['high', 8],
    ['urgent', 10],
  ])('reads %j as %s', (value, priority) => {
    expect(parsePriority(value)).toEqual({ ok: true, priority });
  });

  it.each([
    [11, '11'],
    [-1, '-1'],
    [5.5, '5.5'],
    ['High', '"High"'],
    ['7', '"7"'],
    ['toString', '"toString"'],
    [null, 'null'],
    [undefined, 'not given'],
    [[5], 'a list'],
    [{}, 'an object'],
    [Number.NaN, 'NaN'],
  ])('refuses %j, saying what was found and wanted', (value, found) => {
    expect(parsePriority(value)).toEqual({
      ok: false,
      message: `priority is ${found}, wanted a whole number from 0 to 10 or one of low, normal, high, urgent`,
    });
  });

  it('reads digits only from a command line', () => {
    expect(parsePriorityText('7')).toEqual({ ok: true, priority: 7 });
    expect(parsePriorityText('urgent')).toEqual({ ok: true, priority: 10 });
    expect(parsePriorityText('11').ok).toBe(false);
    expect(parsePriorityText('').ok).toBe(false);
  });
});
