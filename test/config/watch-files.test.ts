import { mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FILES_LOOK_MS, watchFiles } from '../../src/config/watch-files.ts';
import type { Runtime } from '../../src/runtime/runtime.ts';

let dir: string;
let stop: AbortController;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'watch-'));
  stop = new AbortController();
});

afterEach(() => {
  stop.abort();
  rmSync(dir, { recursive: true });
});

/** Real files, looked at when the test says so. */
function watching(names: string[], refuse: (texts: string[]) => string[] = () => []) {
  const told: unknown[] = [];
  let next: (() => void) | null = null;
  const rested: (() => void)[] = [];
  const runtime = {
    after: (ms: number, fn: () => void) => {
      expect(ms).toBe(FILES_LOOK_MS);
      next = fn;
      for (const resolve of rested.splice(0)) resolve();
      return () => undefined;
    },
  } as unknown as Runtime;
  const resting = () => new Promise<void>((resolve) => rested.push(resolve));
  const first = resting();
  const paths = names.map((name) => join(dir, name));
  const onTexts = (texts: string[]) => {
    told.push(texts);
    return refuse(texts);
  };
  const onRefused = (problems: readonly string[]) => void told.push({ problems });
  const onChanged = () => void told.push('changed');
  const over = watchFiles({ paths, bytesMax: 100, runtime, signal: stop.signal, onTexts, onRefused, onChanged });
  return {
    told,
    over,
    first,
    look: async () => {
      told.length = 0;
      const rest = resting();
      next?.();
      await rest;
      return [...told];
    },
  };
}

const write = (name: string, text: string) => writeFileSync(join(dir, name), text);

describe('files that may change', () => {
  it('are taken over when they do, together, and told of once', async () => {
    write('a', '1');
    write('b', '2');
    const { told, first, look } = watching(['a', 'b']);
    await first;
    expect(told).toEqual([['1', '2']]);
    expect(await look()).toEqual([]);
    write('b', '3');
    expect(await look()).toEqual([['1', '3'], 'changed']);
    expect(await look()).toEqual([]);
  });

  it('are noticed when a link is turned to others of the same length and time', async () => {
    write('old', 'aaa');
    write('new', 'bbb');
    symlinkSync('old', join(dir, 'now'));
    const { first, look } = watching(['now']);
    await first;
    unlinkSync(join(dir, 'now'));
    symlinkSync('new', join(dir, 'now'));
    expect(await look()).toEqual([['bbb'], 'changed']);
  });

  it('that are gone, too large or wrong change nothing, and that is said once', async () => {
    write('a', 'good');
    const { first, look } = watching(['a'], ([text]) => (text === 'bad' ? ['it is bad'] : []));
    await first;
    unlinkSync(join(dir, 'a'));
    expect(await look()).toEqual([{ problems: [`${join(dir, 'a')} cannot be read (ENOENT)`] }]);
    expect(await look()).toEqual([]);
    write('a', 'x'.repeat(101));
    expect(await look()).toEqual([{ problems: [`${join(dir, 'a')} has more than 100 bytes`] }]);
    write('a', 'bad');
    expect(await look()).toEqual([['bad'], { problems: ['it is bad'] }]);
    expect(await look()).toEqual([]);
    write('a', 'good');
    expect(await look()).toEqual([['good'], 'changed']);
  });

  it('are no longer looked at once that is over', async () => {
    write('a', '1');
    const { over, first } = watching(['a']);
    await first;
    stop.abort();
    await over;
  });
});
