import { describe, expect, it } from 'vitest';
import { amount, list, pairs, parseBoolean, parseBytes, parseDuration, word } from '../../src/config/parse.ts';

describe('parseDuration', () => {
  it.each([
    ['250ms', 250],
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['7d', 604_800_000],
    ['1.5s', 1_500],
    ['0s', 0],
  ])('reads %s as %i ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['', '30', 's', '-1s', '1 h', '5M', '1w', '1e3s', '1h30m', '30sec', '٣s'])('refuses "%s"', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
});

describe('parseBytes', () => {
  it.each([
    ['4096', 4_096],
    ['0', 0],
    ['1MiB', 1_048_576],
    ['1mib', 1_048_576],
    ['64 KiB', 65_536],
    ['500kB', 500_000],
    ['1.5GiB', 1_610_612_736],
    ['10b', 10],
  ])('reads %s as %i', (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes);
  });

  it.each(['', 'MiB', '-1', '1M', '1TiB', '1 0', '0x10'])('refuses "%s"', (text) => {
    expect(parseBytes(text)).toBeUndefined();
  });
});

describe('parseBoolean', () => {
  it.each([
    ['true', true],
    ['YES', true],
    ['1', true],
    ['on', true],
    ['False', false],
    ['0', false],
    ['no', false],
    ['off', false],
    ['maybe', undefined],
    ['2', undefined],
  ])('reads %s as %s', (text, value) => {
    expect(parseBoolean(text)).toBe(value);
  });
});

describe('list', () => {
  it.each([
    ['a', ['a']],
    ['a, b ,c', ['a', 'b', 'c']],
    ['a,b,', ['a', 'b']],
    ['a,,b', undefined],
    ['a,b,c,d', undefined],
  ])('reads "%s"', (text, value) => {
    expect(list(3).read(text)).toEqual(value);
  });
});

describe('pairs', () => {
  it.each([
    ['gpu=1,vramGiB=24.5', { gpu: 1, vramGiB: 24.5 }],
    ['gpu = 1', { gpu: 1 }],
    ['gpu', undefined],
    ['gpu=', undefined],
    ['gpu=many', undefined],
    ['gpu=-1', undefined],
    ['gpu=1,gpu=2', undefined],
    ['=1', undefined],
  ])('reads "%s" as numbers', (text, value) => {
    expect(pairs(amount).read(text)).toEqual(value);
  });

  it('keeps an equals sign in a text value, and refuses a name that would touch prototypes', () => {
    expect(pairs(word).read('q=a=b')).toEqual({ q: 'a=b' });
    expect(pairs(word).read('__proto__=x')).toBeUndefined();
  });

  it('is bounded', () => {
    const many = (count: number) => Array.from({ length: count }, (_, at) => `n${at}=1`).join(',');
    expect(Object.keys(pairs(amount).read(many(64))!)).toHaveLength(64);
    expect(pairs(amount).read(many(65))).toBeUndefined();
  });
});
