/** The machine stops between any two steps, bytes are missing or wrong, the disk is full: what was answered is there. */
import { appendFile, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Store } from '../../../src/store/store.ts';
import { anId, aUnit } from '../../support/builders.ts';
import { aFolder, copyOf, MortalDisk, openJournal } from './support.ts';

let ops = 0;

/** Creates a task, and answers its id once the store has answered. */
async function submit(store: Store, input = '{"a":1}'): Promise<string> {
  const id = anId(0);
  ops += 1;
  const { units } = await store.commit(0, { op: `op${ops}`, units: [aUnit({ id, input })] });
  expect(units).toEqual([{ ok: true, already: false }]);
  return id;
}

async function idsIn(store: Store): Promise<Set<string>> {
  const ids: string[] = [];
  for (let cursor: string | null = null; ; ) {
    const { next, blocks } = await store.scanBlocks(0, cursor);
    for (const block of blocks) ids.push(...(await store.readBlock(0, block)).map(({ id }) => id));
    if (next === null) return new Set(ids);
    cursor = next;
  }
}

async function expectThere(folder: string, ids: string[]): Promise<Awaited<ReturnType<typeof openJournal>>> {
  const again = await openJournal(folder);
  expect(again.problems).toEqual([]);
  const found = await idsIn(again.store);
  expect(ids.filter((id) => !found.has(id))).toEqual([]);
  return again;
}

async function lastLog(folder: string): Promise<string> {
  const logs = (await readdir(folder)).filter((name) => name.startsWith('log-'));
  return join(folder, logs.sort((a, b) => Number(a.slice(4)) - Number(b.slice(4))).at(-1)!);
}

/** Runs a life that ends at each of its steps, and gives what is left of it to `check`. */
async function stopEverywhere(
  sync: 'everysec' | 'always',
  check: (stopped: { answered: string[]; folder: string; disk: MortalDisk }) => Promise<void>,
): Promise<void> {
  const whole = new MortalDisk();
  expect(await live(whole, await aFolder(), sync)).toHaveLength(40);
  // Forty writes, and two compactions at least, each of eight steps or more.
  expect(whole.steps).toBeGreaterThan(60);
  const stopAt = async (step: number) => {
    const folder = await aFolder();
    const disk = new MortalDisk();
    disk.left = step;
    const answered = await live(disk, folder, sync);
    // Whatever it was still at, ends now.
    disk.left = -1;
    await moment();
    await check({ answered, folder, disk });
  };
  const steps = Array.from({ length: whole.steps - 1 }, (_, n) => n + 1);
  while (steps.length > 0) await Promise.all(steps.splice(0, 16).map(stopAt));
}

/** And once more after going on from there. */
async function expectToGoOn(folder: string, answered: string[]): Promise<boolean> {
  const again = await expectThere(await copyOf(folder), answered);
  const more = await submit(again.store);
  await again.store.close();
  await expectThere(again.folder, [...answered, more]);
  return again.news.some(({ type }) => type === 'cut');
}

it('finds everything that was answered, wherever the process stops, also in a compaction', async () => {
  let torn = 0;
  await stopEverywhere('everysec', async ({ folder, answered }) => {
    if (await expectToGoOn(folder, answered)) torn += 1;
  });
  expect(torn).toBeGreaterThan(10);
}, 60_000);

it('finds it with JOURNAL_FSYNC=always also where the power goes, and takes along what was not synced', async () => {
  await stopEverywhere('always', async ({ folder, answered, disk }) => {
    await disk.loseUnsynced(folder);
    await expectToGoOn(folder, answered);
  });
}, 60_000);

it('loses with the power only the end, never something in the middle', async () => {
  await stopEverywhere('everysec', async ({ folder, answered, disk }) => {
    await disk.loseUnsynced(folder, await lastLog(folder).catch(() => ''));
    const { store, problems } = await openJournal(await copyOf(folder));
    expect(problems).toEqual([]);
    const found = await idsIn(store);
    const kept = answered.filter((id) => found.has(id)).length;
    expect(answered.slice(0, kept).every((id) => found.has(id))).toBe(true);
  });
}, 60_000);

function moment(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

/** As many tasks as the disk allows, with several compactions; answers those that were answered. */
async function live(disk: MortalDisk, folder: string, sync: 'everysec' | 'always'): Promise<string[]> {
  const answered: string[] = [];
  const { store, problems } = await openJournal(folder, { disk, sync, compactBeyond: 300 });
  if (problems.length > 0) return answered;
  try {
    for (let n = 0; n < 40; n++) {
      answered.push(await submit(store));
      // A compaction goes on beside the commits, in the disk's own time.
      if (n % 8 === 7) await moment();
    }
  } catch {
    // The machine has stopped.
  }
  return answered;
}

it('cuts off a tail wherever it was torn, and says how much', async () => {
  const folder = await aFolder();
  const { store } = await openJournal(folder);
  const ids = [await submit(store), await submit(store)];
  const path = await lastLog(folder);
  const before = (await stat(path)).size;
  await submit(store);
  const after = (await stat(path)).size;
  await store.close();
  const tearAt = async (size: number) => {
    const torn = await copyOf(folder);
    await truncate(await lastLog(torn), size);
    const { news, store: again } = await expectThere(torn, ids);
    expect((await idsIn(again)).size).toBe(2);
    expect(news).toContainEqual({ type: 'cut', path: await lastLog(torn), bytes: size - before });
    await again.close();
  };
  const sizes = Array.from({ length: after - before - 1 }, (_, n) => before + 1 + n);
  while (sizes.length > 0) await Promise.all(sizes.splice(0, 32).map(tearAt));
});

it('cuts off zeroes that a file system left at the end', async () => {
  const folder = await aFolder();
  const { store } = await openJournal(folder);
  const ids = [await submit(store)];
  await store.close();
  await appendFile(await lastLog(folder), Buffer.alloc(4_096));
  const { news } = await expectThere(folder, ids);
  expect(news).toMatchObject([{ type: 'cut', bytes: 4_096 }, { type: 'read' }]);
});

it('refuses a journal with a wrong byte in the middle, with its place, and changes nothing', async () => {
  const folder = await aFolder();
  const { store } = await openJournal(folder);
  await submit(store);
  const path = await lastLog(folder);
  const from = (await stat(path)).size;
  await submit(store);
  const to = (await stat(path)).size;
  await submit(store);
  await store.close();
  for (let at = from; at < to; at += 7) {
    const copy = await copyOf(folder);
    const bytes = await readFile(await lastLog(copy));
    bytes[at]! ^= 0x20;
    await writeFile(await lastLog(copy), bytes);
    const { problems, store: refused } = await openJournal(copy);
    expect(problems).toEqual([expect.stringContaining(`log-1 is damaged at byte ${from}, and what was written later`)]);
    await expect(refused.identity()).rejects.toThrow('not been read back');
    expect(await readFile(await lastLog(copy))).toEqual(bytes);
  }
});

it('refuses a newer format, a foreign file and a missing one', async () => {
  const folder = await aFolder();
  const { store } = await openJournal(folder, { compactBeyond: 100 });
  for (let n = 0; n < 20; n++) await submit(store);
  await store.close();
  const bytes = await readFile(await lastLog(folder));
  const change = async (what: (copy: Buffer) => Buffer) => {
    const copy = await copyOf(folder);
    await writeFile(await lastLog(copy), what(Buffer.from(bytes)));
    return (await openJournal(copy)).problems[0];
  };
  const newer = (copy: Buffer) => {
    copy.writeUInt16LE(2, 8);
    return copy;
  };
  expect(await change(newer)).toContain('has format 2, this version reads up to 1');
  expect(await change(() => Buffer.from('something else entirely'))).toContain('is not a journal of this program');
});

it('takes no changes while the disk is full, and goes on in order when there is room again', async () => {
  const folder = await aFolder();
  const disk = new MortalDisk();
  const { store, runtime, news } = await openJournal(folder, { disk });
  const ids = [await submit(store)];
  disk.fault = 'ENOSPC';
  const stuck = aUnit({ id: anId(0) });
  await expect(store.commit(0, { op: 'stuck', units: [stuck] })).rejects.toThrow('cannot be written (ENOSPC');
  await expect(submit(store)).rejects.toThrow('no changes are taken until it can');
  expect(store.connected).toBe(false);
  expect((await store.check()).problems[0]).toContain('no changes are taken');
  expect((await store.read(0, ids)).tasks[0]).not.toBeNull();
  await runtime.advance(2_000);
  disk.fault = null;
  await runtime.advance(1_000);
  await expect.poll(() => store.connected).toBe(true);
  expect(news.map(({ type }) => type)).toEqual(['failed', 'mended']);
  expect((await store.commit(0, { op: 'stuck', units: [stuck] })).units).toEqual([{ ok: true, already: true }]);
  ids.push(stuck.id, await submit(store));
  await store.close();
  await expectThere(folder, ids);
});

it('writes everything anew after a sync has failed, because nobody knows what the disk has', async () => {
  const folder = await aFolder();
  const disk = new MortalDisk();
  const { store, runtime } = await openJournal(folder, { disk, sync: 'always' });
  const ids = [await submit(store)];
  disk.syncFault = true;
  await expect(submit(store)).rejects.toThrow('cannot be synced');
  disk.syncFault = false;
  await runtime.advance(1_000);
  await expect.poll(() => store.connected).toBe(true);
  ids.push(await submit(store));
  expect(await readdir(folder)).toContain('image-2');
  await expectThere(await copyOf(folder), ids);
});

it('is at most three times what lives in it after a compaction', async () => {
  const folder = await aFolder();
  const { store, news } = await openJournal(folder, { compactBeyond: 64 * 1024 });
  const ids: string[] = [];
  for (let n = 0; n < 200; n++) ids.push(await submit(store, JSON.stringify('x'.repeat(500))));
  // Nine in ten are removed again.
  for (const id of ids.slice(20)) {
    const units = [aUnit({ id, expect: 1, remove: true })];
    await store.commit(0, { op: `remove ${id}`, units });
  }
  for (let n = 0; n < 300; n++) {
    await store.commit(0, {
      op: `again ${n}`,
      units: [aUnit({ id: ids[n % 20]!, expect: 1 + Math.floor(n / 20), trail: 'y'.repeat(500) })],
    });
  }
  await expect.poll(() => news.filter(({ type }) => type === 'compacted').length).toBeGreaterThan(0);
  await store.close();
  const { store: again, news: later } = await openJournal(folder, { compactBeyond: 1 });
  while (!later.some(({ type }) => type === 'compacted')) await submit(again, JSON.stringify('x'.repeat(500)));
  await again.close();
  const { store: last } = await openJournal(folder);
  const sizes = await last.blockSizes(0, await last.blocks(0, null, 100));
  await last.close();
  const files = (await readdir(folder)).filter((name) => /^(log|image)-/.test(name));
  const bytes = (await Promise.all(files.map((name) => stat(join(folder, name))))).reduce(
    (sum, { size }) => sum + size,
    0,
  );
  expect(bytes).toBeLessThanOrEqual(3 * sizes.reduce((sum, size) => sum + size, 0));
});

it('waits for the disk where a commit asks for it, whatever the policy is', async () => {
  const disk = new MortalDisk();
  const { store } = await openJournal(await aFolder(), { disk, sync: 'no' });
  await submit(store);
  const before = disk.steps;
  const reply = await store.commit(0, { op: 'sure', units: [aUnit({ id: anId(0) })], durability: 'local' });
  expect(reply.durability).toBe('local');
  // A write and a sync, where the other commit took a write alone.
  expect(disk.steps).toBe(before + 2);
  expect(await store.whyNotDurable(0, 'replicated')).toMatchObject({ lasting: true });
});

it('lets one process at a time into a folder, and takes over from one that is gone', async () => {
  const folder = await aFolder();
  const { store } = await openJournal(folder);
  const { problems } = await openJournal(folder);
  expect(problems).toEqual([expect.stringContaining('is in use by this process itself')]);
  await store.close();
  const gone = { pid: 2 ** 22 - 1, host: (await import('node:os')).hostname(), started: '1' };
  await writeFile(join(folder, 'lock'), JSON.stringify(gone));
  expect((await openJournal(folder)).problems).toEqual([]);
});
