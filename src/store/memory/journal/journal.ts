/*
 * Writes down every change of an embedded store, so that it can be read back after the process was killed.
 *
 * Changes are told while they are made, in memory and in order; one write at a time takes all that was told until then,
 * and `written` resolves when that write is done. An answer of the store waits for it, so whatever anybody was told
 * outlives the process; how much of it outlives the machine is the sync policy: `always` syncs each write before it
 * counts as done, `everysec` at most a second later, `no` leaves it to the machine. `synced` waits for the medium
 * whatever the policy is.
 *
 * When a write fails (a full disk), nothing is lost or reordered: the store refuses changes from then on, what was told
 * before stays here, and the file is cut back to its last whole frame and written on as soon as that works. After a sync
 * has failed nobody knows what the medium holds, and asking again may answer yes without it: so only a new image and a
 * new log of all there is make it good.
 */
import { StoreUnavailableError } from '../../../errors.ts';
import type { Runtime } from '../../../runtime/runtime.ts';
import { type Change, FrameText, readFrame, type ShardLog } from './changes.ts';
import { type Disk, type DiskFile, realDisk } from './disk.ts';
import { type FoundTail, type Generations, generationsOf, pathOf, readBack } from './files.ts';
import { type FolderLock, lockFolder } from './folder-lock.ts';
import { encodeFrame, encodeHeader, HEADER_BYTES } from './frames.ts';
import type { Slice } from './image.ts';
import { writeImage } from './write-image.ts';

export type SyncPolicy = 'always' | 'everysec' | 'no';

export interface JournalSettings {
  folder: string;
  sync: SyncPolicy;
  onNews?: ((news: JournalNews) => void) | undefined;
  /** Default: the real one. */
  disk?: Disk | undefined;
  /** Bytes of logs that are always allowed. Default: 8 MiB. */
  compactBeyond?: number | undefined;
}

/** What people should hear of. */
export type JournalNews =
  | { type: 'read'; bytes: number; frames: number; tookMs: number }
  /** The end of the last file was not whole, and is gone. */
  | { type: 'cut'; path: string; bytes: number }
  | { type: 'failed'; message: string }
  | { type: 'mended' }
  | { type: 'compacted'; fromBytes: number; toBytes: number; tookMs: number }
  | { type: 'compaction.failed'; message: string };

export interface JournalOptions extends JournalSettings {
  runtime: Runtime;
  /** Store time, which stands in every frame. */
  now: () => number;
  /** All that is durable. */
  image: () => Iterable<Slice>;
}

const SYNC_EVERY_MS = 1_000;
const RETRY_MS = 500;
const COMPACT_AGAIN_MS = 10_000;
const COMPACT_BEYOND = 8 * 1024 * 1024;

/** Everyone who waits for one write. */
class Group {
  resolve: () => void = () => undefined;
  reject: (error: Error) => void = () => undefined;
  readonly done = new Promise<void>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });

  constructor() {
    // Nobody may be waiting; whoever is gets it all the same.
    this.done.catch(() => undefined);
  }
}

export class Journal {
  readonly #options: JournalOptions;
  readonly #disk: Disk;
  readonly #text = new FrameText();
  /** Frames that were told and belong to the next write. */
  #frames: Buffer[] = [];
  /** The group of the next write. */
  #next: Group | null = null;
  /** The group that is being written. */
  #current: Group | null = null;
  #running: Promise<void> | null = null;
  #lock: FolderLock | null = null;
  #file: DiskFile | null = null;
  #generation = 0;
  /** Whole frames of the file end here. */
  #size = 0;
  #olderBytes = 0;
  #imageBytes = 0;
  /** Writes done, and how many of them are known to be on the medium. */
  #writes = 0;
  #syncedWrites = 0;
  #syncing: Promise<void> | null = null;
  #stopSyncTimer: (() => void) | null = null;
  #stopRetryTimer: (() => void) | null = null;
  #failure: StoreUnavailableError | null = null;
  /** A sync has failed: a new image is wanted before anything counts as stored. */
  #distrusted = false;
  #compacting: Promise<void> | null = null;
  #compactNotBefore = 0;
  #closed = false;

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#disk = options.disk ?? realDisk;
  }

  get syncPolicy(): SyncPolicy {
    return this.#options.sync;
  }

  get folder(): string {
    return this.#options.folder;
  }

  /** Why nothing can be written now; null = it can. */
  get failure(): StoreUnavailableError | null {
    return this.#failure;
  }

  get bytes(): number {
    return this.#imageBytes + this.#olderBytes + this.#size;
  }

  /**
   * Takes the folder for this process, reads back what stands in it, and opens it for writing.
   * @param apply each change; it may throw to refuse
   * @returns the time of the last frame, 0 for an empty journal
   */
  async open(apply: (shard: number, change: Change) => void): Promise<number> {
    const { folder, runtime } = this.#options;
    const startedAt = runtime.now();
    await this.#disk.makeFolder(folder);
    this.#lock = await lockFolder(folder, runtime);
    try {
      return await this.#readBack(startedAt, apply);
    } catch (error) {
      await this.#lock.release();
      throw error;
    }
  }

  async #readBack(startedAt: number, apply: (shard: number, change: Change) => void): Promise<number> {
    const { folder, runtime, onNews } = this.#options;
    const generations = generationsOf(folder, await this.#disk.names(folder));
    let last = 0;
    const read = await readBack(this.#disk, folder, generations, (text) => {
      last = Math.max(last, readFrame(text, apply));
    });
    this.#imageBytes = read.imageBytes;
    this.#olderBytes = read.olderBytes;
    for (const tail of read.tails) await this.#cut(tail);
    await this.#continue(generations, read.lastBytes);
    for (const { path, cutBytes: bytes } of read.tails) onNews?.({ type: 'cut', path, bytes });
    for (const name of generations.stale) await this.#disk.remove(`${folder}/${name}`);
    if (this.bytes > HEADER_BYTES) {
      onNews?.({ type: 'read', bytes: this.bytes, frames: read.frames, tookMs: runtime.now() - startedAt });
    }
    return last;
  }

  async #cut({ path, goodBytes }: FoundTail): Promise<void> {
    const file = await this.#disk.open(path, 'existing');
    try {
      await file.truncate(goodBytes);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** Opens the last log behind its last whole frame; a journal without one begins. */
  async #continue({ logs }: Generations, goodBytes: number): Promise<void> {
    const { folder } = this.#options;
    this.#generation = logs.at(-1) ?? 1;
    // One that was cut off while it was created holds nothing.
    if (goodBytes < HEADER_BYTES) return this.#begin(this.#generation);
    this.#file = await this.#disk.open(pathOf(folder, 'log', this.#generation), 'existing');
    this.#size = goodBytes;
  }

  async #begin(generation: number): Promise<void> {
    const { folder } = this.#options;
    const path = pathOf(folder, 'log', generation);
    const file = await this.#disk.open(path, 'new');
    try {
      await file.write(encodeHeader('log', generation), 0);
      await file.sync();
      await this.#disk.syncFolder(folder);
    } catch (error) {
      await file.close().catch(() => undefined);
      await this.#disk.remove(path).catch(() => undefined);
      throw error;
    }
    this.#file = file;
    this.#generation = generation;
    this.#size = HEADER_BYTES;
  }

  // Telling

  logOf(shard: number): ShardLog {
    return {
      add: (change) => {
        this.#text.add(shard, change);
        this.#next ??= this.#startGroup();
      },
      pause: () => {
        if (this.#text.isLong) this.#seal();
      },
    };
  }

  /** Once this turn's changes are told: what follows in the same turn goes along. */
  #startGroup(): Group {
    if (!this.#running) queueMicrotask(() => this.#run());
    return new Group();
  }

  #seal(): void {
    if (this.#text.isEmpty) return;
    this.#frames.push(encodeFrame(this.#text.take(this.#options.now())));
  }

  // Waiting

  /** @throws StoreUnavailableError while nothing can be written: a change made now would be known here alone */
  refuseIfFailing(): void {
    if (this.#failure) throw this.#failure;
  }

  get isSettled(): boolean {
    return this.#next === null && this.#current === null && this.#failure === null;
  }

  /** Resolves when everything that was told until now is written. */
  async written(): Promise<void> {
    if (this.#failure) throw this.#failure;
    await (this.#next ?? this.#current)?.done;
  }

  /** Resolves when everything that was told until now is on the medium. */
  async synced(): Promise<void> {
    await this.written();
    const wanted = this.#writes;
    while (this.#syncedWrites < wanted) {
      if (this.#failure) throw this.#failure;
      await this.#sync();
    }
  }

  /** One at a time; whoever comes while one is under way may need the next. */
  #sync(): Promise<void> {
    this.#syncing ??= this.#syncNow().finally(() => {
      this.#syncing = null;
    });
    return this.#syncing;
  }

  async #syncNow(): Promise<void> {
    const upTo = this.#writes;
    try {
      await this.#file!.sync();
      this.#syncedWrites = Math.max(this.#syncedWrites, upTo);
    } catch (error) {
      this.#distrusted = true;
      throw this.#fail(error, 'synced');
    }
  }

  // Writing

  #run(): void {
    if (this.#running || this.#failure || this.#next === null) return;
    this.#running = this.#writeAll().finally(() => {
      this.#running = null;
      // Told after the last look.
      if (this.#next) this.#run();
    });
  }

  async #writeAll(): Promise<void> {
    while (this.#next !== null && this.#failure === null) {
      this.#seal();
      const group = this.#next;
      const frames = this.#frames;
      this.#next = null;
      this.#current = group;
      try {
        await this.#write(frames);
        this.#frames = this.#frames.slice(frames.length);
        if (this.#options.sync === 'always') await this.#sync();
        group.resolve();
      } catch (error) {
        group.reject(error instanceof StoreUnavailableError ? error : this.#fail(error, 'written'));
      }
      this.#current = null;
      this.#syncSoon();
      await this.#compactIfLarge();
    }
  }

  /** The frames stay in `#frames` until they are written: new ones come behind them. */
  async #write(frames: readonly Buffer[]): Promise<void> {
    const bytes = frames.length === 1 ? frames[0]! : Buffer.concat(frames);
    await this.#file!.write(bytes, this.#size);
    this.#size += bytes.length;
    this.#writes += 1;
  }

  #syncSoon(): void {
    if (this.#options.sync !== 'everysec' || this.#stopSyncTimer || this.#syncedWrites >= this.#writes) return;
    this.#stopSyncTimer = this.#options.runtime.after(SYNC_EVERY_MS, () => {
      this.#stopSyncTimer = null;
      if (this.#failure || this.#closed) return;
      void this.#sync()
        .catch(() => undefined)
        .then(() => this.#syncSoon());
    });
  }

  // Failing

  #fail(error: unknown, what: string): StoreUnavailableError {
    const why = error instanceof Error ? error.message : String(error);
    const message = `the journal in ${this.folder} cannot be ${what} (${why}): no changes are taken until it can`;
    const failure = new StoreUnavailableError(message, error);
    if (this.#failure === null) this.#options.onNews?.({ type: 'failed', message });
    this.#failure = failure;
    // What waits for the next write is told now and repeats; what it changed stays here.
    this.#next?.reject(failure);
    this.#next = null;
    this.#stopRetryTimer ??= this.#options.runtime.after(RETRY_MS, () => {
      this.#stopRetryTimer = null;
      if (!this.#closed) void this.#mend();
    });
    return failure;
  }

  async #mend(): Promise<void> {
    await this.#running;
    try {
      if (this.#distrusted) await this.#renew();
      else await this.#writeRest();
    } catch (error) {
      this.#fail(error, 'written');
      return;
    }
    this.#failure = null;
    this.#options.onNews?.({ type: 'mended' });
    this.#syncSoon();
    this.#run();
  }

  async #writeRest(): Promise<void> {
    await this.#file!.truncate(this.#size);
    this.#seal();
    const frames = this.#frames;
    const group = this.#next;
    this.#next = null;
    if (frames.length > 0) await this.#write(frames);
    this.#frames = this.#frames.slice(frames.length);
    if (this.#options.sync === 'always') await this.#syncNow();
    group?.resolve();
  }

  /** Everything anew: the image has what the old files were to have. */
  async #renew(): Promise<void> {
    await this.#compacting;
    await this.#rotate({ trusted: false });
    await this.#writeRest();
    await this.#writeImage();
    await this.#file!.sync();
    this.#syncedWrites = this.#writes;
    this.#distrusted = false;
  }

  // Compaction

  /** Between two writes. The image is then written beside them. */
  async #compactIfLarge(): Promise<void> {
    const { runtime, compactBeyond = COMPACT_BEYOND } = this.#options;
    const logBytes = this.#olderBytes + this.#size;
    const isSmall = logBytes <= Math.max(compactBeyond, this.#imageBytes);
    if (isSmall || this.#compacting || this.#failure || runtime.now() < this.#compactNotBefore) return;
    try {
      await this.#rotate({ trusted: true });
      this.#compacting = this.#writeImage()
        .catch((error: unknown) => this.#compactionFailed(error))
        .finally(() => {
          this.#compacting = null;
        });
    } catch (error) {
      if (this.#failure === null) this.#compactionFailed(error);
    }
  }

  #compactionFailed(error: unknown): void {
    const { runtime, onNews } = this.#options;
    this.#compactNotBefore = runtime.now() + COMPACT_AGAIN_MS;
    onNews?.({ type: 'compaction.failed', message: error instanceof Error ? error.message : String(error) });
  }

  /** The next log. The one before must be on the medium first: a tail that is lost would be a hole. */
  async #rotate({ trusted }: { trusted: boolean }): Promise<void> {
    const [old, size] = [this.#file!, this.#size];
    if (trusted) await this.#sync();
    await this.#begin(this.#generation + 1);
    this.#olderBytes += size;
    // Its successor stands; what is wrong with this one cannot matter any more.
    await this.#syncing?.catch(() => undefined);
    await old.close().catch(() => undefined);
  }

  async #writeImage(): Promise<void> {
    const { folder, runtime, image, now, onNews } = this.#options;
    const startedAt = runtime.now();
    const [fromBytes, olderBytes, generation] = [this.bytes, this.#olderBytes, this.#generation];
    const isOver = () => this.#closed;
    const bytes = await writeImage({ disk: this.#disk, folder, generation, slices: image(), now, isOver });
    if (bytes === null) return;
    this.#imageBytes = bytes;
    this.#olderBytes -= olderBytes;
    await this.#removeOlder();
    onNews?.({ type: 'compacted', fromBytes, toBytes: this.bytes, tookMs: runtime.now() - startedAt });
  }

  /** What cannot be removed now is removed when the journal is opened next. */
  async #removeOlder(): Promise<void> {
    const { folder } = this.#options;
    const { stale } = generationsOf(folder, await this.#disk.names(folder));
    for (const name of stale) await this.#disk.remove(`${folder}/${name}`);
  }

  // Ending

  /** Writes and syncs what is left. */
  async close(): Promise<void> {
    if (this.#closed) return;
    for (this.#run(); this.#running; this.#run()) await this.#running;
    this.#closed = true;
    this.#stopSyncTimer?.();
    this.#stopRetryTimer?.();
    await this.#compacting;
    const file = this.#file;
    this.#file = null;
    if (!file) return;
    if (this.#failure === null) await file.sync().catch(() => undefined);
    await file.close();
    await this.#lock?.release();
  }
}
