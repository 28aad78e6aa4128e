/** Stores with a journal in folders of their own, disks that fail, and all that must be the same after reading back. */
import { cp, mkdtemp, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { type Disk, type DiskFile, realDisk } from '../../../src/store/memory/journal/disk.ts';
import type { JournalNews, JournalSettings } from '../../../src/store/memory/journal/journal.ts';
import { createMemoryStore } from '../../../src/store/memory/memory-store.ts';
import type { IndexName, Store } from '../../../src/store/store.ts';
import { type VirtualRuntime, virtualRuntime } from '../../contract/virtual-runtime.ts';

const folders: string[] = [];
const stores: Store[] = [];

afterEach(async () => {
  await Promise.all(stores.splice(0).map((store) => store.close().catch(() => undefined)));
  await Promise.all(
    folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 })),
  );
});

export async function aFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'agent-system-journal-'));
  folders.push(folder);
  return folder;
}

/** What a machine that stopped now would find. */
export async function copyOf(folder: string): Promise<string> {
  const copy = await aFolder();
  await cp(folder, copy, { recursive: true });
  // The process that held it is gone.
  await rm(join(copy, 'lock'), { force: true });
  return copy;
}

export interface OpenedJournal {
  folder: string;
  store: Store;
  runtime: VirtualRuntime;
  news: JournalNews[];
  problems: string[];
}

export async function openJournal(
  folder: string,
  {
    shards = 1,
    runtime = virtualRuntime(),
    ...settings
  }: Partial<JournalSettings> & { shards?: number; runtime?: VirtualRuntime } = {},
): Promise<OpenedJournal> {
  const news: JournalNews[] = [];
  const journal = { sync: 'everysec' as const, ...settings, folder, onNews: (one: JournalNews) => void news.push(one) };
  const store = createMemoryStore({ runtime, shards, journal });
  stores.push(store);
  const { problems } = await store.check();
  return { folder, store, runtime, news, problems };
}

const INDEXES: IndexName[] = ['due', 'deadline', 'expiry', 'held:w1@1-a', 'held:w2@2-b', 'cap:a|echo', 'cap:a|other'];

/** Everything durable, as the port shows it. Reservations must have been given back before. */
export async function durableOf(store: Store, shards: number): Promise<Record<string, unknown>> {
  const whole: Record<string, unknown> = { identity: await store.identity(), catalog: await store.catalog() };
  for (let shard = 0; shard < shards; shard++) whole[`shard ${shard}`] = await durableOfShard(store, shard);
  return { ...whole, ledger: await store.ledger() };
}

async function durableOfShard(store: Store, shard: number) {
  const { blocks } = await store.scanBlocks(shard, null);
  const records = (await Promise.all(blocks.map((block) => store.readBlock(shard, block)))).flat();
  const ids = records.map(({ id }) => id);
  const { tasks } = await store.read(shard, ids, { input: true, result: true });
  const indexes: Record<string, unknown> = {};
  for (const index of INDEXES) indexes[index] = (await store.range(shard, index, 1e15, 1_000)).entries;
  const { queues } = await store.queues(shard, 1_000);
  const lanes: Record<string, unknown> = {};
  for (const { lane, length, paused } of queues) {
    const places = await Promise.all(ids.map((id) => store.place(shard, { lane, id, others: [] })));
    lanes[lane] = { length, paused, ranks: ids.map((id, at) => [id, places[at]?.rank ?? null]) };
  }
  const { limits, version } = await store.caps(shard, 100);
  return {
    tasks,
    indexes,
    lanes,
    limits,
    version,
    paused: await store.paused(shard),
    cursor: await store.reportCursor(shard),
    schedules: await store.schedules(shard),
    unique: (await store.scanUnique(shard, null)).keys.map(({ key, id, digest }) => ({ key, id, digest })),
  };
}

/** A disk of which every step may be the last. */
export class MortalDisk implements Disk {
  /** Steps that are still done; the one after them is done by half, and none after that. */
  left = Number.POSITIVE_INFINITY;
  steps = 0;
  /** Every write and sync fails with this code, writes after the first half of their bytes. */
  fault: 'ENOSPC' | 'EIO' | null = null;
  /** Bytes of each file that are on the medium. */
  readonly #synced = new Map<string, number>();
  /** Only syncs fail. */
  syncFault = false;

  #step(): void {
    this.steps += 1;
    this.left -= 1;
    if (this.left < 0) throw new Error('the machine stopped');
  }

  async makeFolder(path: string) {
    await realDisk.makeFolder(path);
  }

  names(folder: string) {
    return realDisk.names(folder);
  }

  async open(path: string, how: 'new' | 'existing'): Promise<DiskFile> {
    if (how === 'new') this.#step();
    const file = await realDisk.open(path, how);
    return {
      ...file,
      write: async (bytes, at) => {
        const failing = this.fault !== null || (this.left >= 0 && this.left < 1);
        if (failing) await file.write(bytes.subarray(0, Math.floor(bytes.length / 2)), at);
        this.#step();
        if (this.fault !== null) throw Object.assign(new Error(`${this.fault}: no space left`), { code: this.fault });
        await file.write(bytes, at);
      },
      sync: async () => {
        this.#step();
        if (this.syncFault) throw Object.assign(new Error('EIO: sync failed'), { code: 'EIO' });
        const size = await file.size();
        await file.sync();
        this.#synced.set(path, size);
      },
      truncate: async (length) => {
        this.#step();
        await file.truncate(length);
      },
    };
  }

  async rename(from: string, to: string) {
    this.#step();
    await realDisk.rename(from, to);
    this.#synced.set(to, this.#synced.get(from) ?? 0);
  }

  /**
   * What a power cut leaves, at worst: nothing that was not synced. The system may have written one file before another,
   * whatever came first: `but` is kept whole.
   */
  async loseUnsynced(folder: string, but = ''): Promise<void> {
    for (const name of await realDisk.names(folder)) {
      if (/^(log|image)-/.test(name) && join(folder, name) !== but)
        await truncate(join(folder, name), this.#synced.get(join(folder, name)) ?? 0).catch(unlessGone);
    }
  }

  async remove(path: string) {
    this.#step();
    await realDisk.remove(path);
  }

  async syncFolder(path: string) {
    this.#step();
    await realDisk.syncFolder(path);
  }
}

/** What the process had asked for when it was stopped may still be done: a file that it removed has nothing to lose. */
function unlessGone(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
