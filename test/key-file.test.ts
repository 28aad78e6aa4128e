import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { KeySettings } from '../src/config/message-keys.ts';
import { KEY_FILE_BYTES_MAX, KEY_FILE_LOOK_MS, openKeyRing, watchKeyFile } from '../src/key-file.ts';
import type { KeySet } from '../src/message/rotating-key-ring.ts';
import type { Observation } from '../src/runtime/observer.ts';
import { systemRuntime } from '../src/runtime/system-runtime.ts';
import { createVirtualRuntime } from '../src/runtime/virtual-runtime.ts';

const roots = (...kids: string[]) => kids.map((kid) => ({ kid, secret: Buffer.alloc(32, kid.at(-1)!) }));
const listOf = (...kids: string[]) =>
  roots(...kids)
    .map(({ kid, secret }) => `${kid}:${secret.toString('base64url')}`)
    .join('\n');

function keysOf(file: string | null, ...kids: string[]): KeySettings {
  return { worker: null, generations: roots(...kids), file, signsAfterMs: 30_000 };
}

describe('the watch over a file of keys', () => {
  let stop: AbortController;
  beforeEach(() => {
    stop = new AbortController();
  });
  afterEach(() => stop.abort());

  function watched() {
    const runtime = createVirtualRuntime(1);
    const keys = keysOf('/keys', 'k1');
    const ring = openKeyRing({ ...keys, file: null }, runtime);
    const seen: Observation[] = [];
    const taken: KeySet[] = [];
    const file = { text: listOf('k1') as string | null, reads: 0 };
    const read = async () => {
      file.reads += 1;
      if (file.text === null) throw Object.assign(new Error('gone'), { code: 'ENOENT' });
      return file.text;
    };
    const observe = (observation: Observation) => void seen.push(observation);
    const onKeys = (set: KeySet) => void taken.push(set);
    void watchKeyFile({ keys, ring, runtime, signal: stop.signal, observe, onKeys, read });
    const look = () => runtime.advance(KEY_FILE_LOOK_MS);
    return { runtime, ring, seen, taken, file, look };
  }

  it('takes over what changed, and tells of it', async () => {
    const { runtime, ring, seen, taken, file, look } = watched();
    await look();
    expect(seen).toEqual([]);
    file.text = listOf('k2', 'k1');
    await look();
    expect(ring.verifies).toEqual(['k2', 'k1']);
    expect(seen).toEqual([{ type: 'keys.changed', file: '/keys', signs: 'k1', verifies: ['k2', 'k1'] }]);
    expect(taken.at(-1)?.generations).toEqual(roots('k2', 'k1'));
    await runtime.advance(30_000);
    expect(ring.signs).toBe('k2');
    file.text = `${listOf('k2')}\nk1:revoked`;
    await look();
    expect(ring.verifies).toEqual(['k2']);
  });

  it('keeps the keys while the file is broken or gone, says so once, and goes on when it is mended', async () => {
    const { ring, seen, file, look } = watched();
    await look();
    file.text = 'half of a';
    for (let n = 0; n < 5; n++) await look();
    expect(seen).toEqual([expect.objectContaining({ type: 'keys.refused', file: '/keys' })]);
    expect(seen[0]).toMatchObject({
      problems: expect.arrayContaining([expect.stringMatching(/^The file entry 1 is not/)]),
    });
    file.text = null;
    for (let n = 0; n < 5; n++) await look();
    expect(seen).toHaveLength(2);
    expect(seen[1]).toMatchObject({ problems: ['/keys cannot be read (ENOENT)'] });
    expect(ring.verifies).toEqual(['k1']);
    file.text = listOf('k2', 'k1');
    await look();
    expect(ring.verifies).toEqual(['k2', 'k1']);
    expect(seen[2]).toMatchObject({ type: 'keys.changed' });
  });

  it('ends with its signal', async () => {
    const { file, look, runtime } = watched();
    await look();
    stop.abort();
    await look();
    const { reads } = file;
    await look();
    expect(file.reads).toBe(reads);
    expect(runtime.pending).toBe(0);
  });
});

describe('a real file', () => {
  let dir: string;
  let path: string;
  let stop: AbortController;
  beforeEach(() => {
    stop = new AbortController();
    dir = mkdtempSync(join(tmpdir(), 'keys-'));
    path = join(dir, 'keys.txt');
    writeFileSync(path, listOf('k2', 'k1'));
  });
  afterEach(() => {
    stop.abort();
    rmSync(dir, { recursive: true });
  });

  it('that changed a moment ago holds a key that others may not have yet', () => {
    expect(openKeyRing(keysOf(path, 'k2', 'k1'), systemRuntime).signs).toBe('k1');
    utimesSync(path, new Date(0), new Date(0));
    expect(openKeyRing(keysOf(path, 'k2', 'k1'), systemRuntime).signs).toBe('k2');
    expect(openKeyRing(keysOf(null, 'k2', 'k1'), systemRuntime).signs).toBe('k2');
  });

  it('is read up to a bound', async () => {
    writeFileSync(path, `${listOf('k2')}\n#${'x'.repeat(KEY_FILE_BYTES_MAX)}`);
    const keys = keysOf(path, 'k1');
    const ring = openKeyRing(keys, systemRuntime);
    const told = new Promise<Observation>((observe) => {
      void watchKeyFile({ keys, ring, runtime: systemRuntime, signal: stop.signal, observe });
    });
    expect(await told).toMatchObject({ type: 'keys.refused', problems: [expect.stringContaining('more than 65536')] });
    expect(ring.verifies).toEqual(['k1']);
  });
});
