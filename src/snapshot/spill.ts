import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentSystemError } from '../errors.ts';

const BUFFER_BYTES = 1024 * 1024;

/**
 * Bytes that are written once and then read, too many for memory. The file has lost its name before the first byte is
 * written: nobody else can open it, and it is gone with this process, however that ends.
 */
export class Spill {
  readonly #file: FileHandle;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #length = 0;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** In the folder for temporary files. */
  static async open(): Promise<Spill> {
    return guarded(async () => {
      const dir = await mkdtemp(join(tmpdir(), 'agent-system-snapshot-'));
      try {
        return new Spill(await open(join(dir, 'lines'), 'wx+', 0o600));
      } finally {
        await rm(dir, { recursive: true, force: true });
      }
    });
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    if (this.#pendingBytes >= BUFFER_BYTES) await this.#flush();
  }

  /** Everything that was written. */
  async *read(): AsyncGenerator<Uint8Array> {
    await this.#flush();
    for (let at = 0; at < this.#length; ) {
      const { bytesRead, buffer } = await this.#file.read(Buffer.alloc(BUFFER_BYTES), 0, BUFFER_BYTES, at);
      if (bytesRead === 0) throw new Error(`a temporary file of ${this.#length} bytes ended after ${at}`);
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    await guarded(() => this.#writeAll(bytes));
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let from = 0; from < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, from, bytes.length - from, this.#length);
      from += bytesWritten;
      this.#length += bytesWritten;
    }
  }
}

async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? String(cause);
    const message = `a temporary file cannot be written in ${tmpdir()} (${code}): set TMPDIR to a folder with room`;
    throw new AgentSystemError('NO_ROOM', message, { cause });
  }
}
