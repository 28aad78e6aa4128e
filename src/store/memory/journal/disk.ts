/** The few things a journal does with files, as a port: tests let a disk be full, fail, or stop between any two steps. */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises';

export interface DiskFile {
  /** Writes all of it at this place. */
  write(bytes: Uint8Array, at: number): Promise<void>;
  read(at: number, length: number): Promise<Buffer>;
  size(): Promise<number>;
  /** On the medium, not only in the memory of the machine. */
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

export interface Disk {
  makeFolder(path: string): Promise<void>;
  names(folder: string): Promise<string[]>;
  /** `new`: what stands there is emptied. */
  open(path: string, how: 'new' | 'existing'): Promise<DiskFile>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Makes names that were added or changed last. */
  syncFolder(path: string): Promise<void>;
}

const OWNER_ONLY_FILE = 0o600;
const OWNER_ONLY_FOLDER = 0o700;

export const realDisk: Disk = {
  makeFolder: async (path) => void (await mkdir(path, { recursive: true, mode: OWNER_ONLY_FOLDER })),
  names: (folder) => readdir(folder),
  open: async (path, how) => {
    const flags = how === 'new' ? constants.O_CREAT | constants.O_TRUNC | constants.O_RDWR : constants.O_RDWR;
    return fileOver(await open(path, flags, OWNER_ONLY_FILE));
  },
  rename,
  remove: (path) => rm(path, { force: true }),
  syncFolder: async (path) => {
    const folder = await open(path, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  },
};

function fileOver(handle: FileHandle): DiskFile {
  return {
    write: async (bytes, at) => {
      for (let done = 0; done < bytes.length; ) {
        done += (await handle.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
      }
    },
    read: async (at, length) => {
      const buffer = Buffer.allocUnsafe(length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await handle.read(buffer, done, length - done, at + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return buffer.subarray(0, done);
    },
    size: async () => (await handle.stat()).size,
    sync: () => handle.datasync(),
    truncate: (length) => handle.truncate(length),
    close: () => handle.close(),
  };
}
