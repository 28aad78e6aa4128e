import { AgentSystemError } from '../errors.ts';
import { type RestoreOptions, type RestoreReport, restoreSnapshot } from './restore.ts';
import { Spill } from './spill.ts';
import { type TakeOptions, takeSnapshot } from './take.ts';

export type SnapshotServiceOptions = Omit<TakeOptions, 'signal'> & Pick<RestoreOptions, 'policy'>;

/** The door to snapshots. One at a time in a process: each reads or writes everything there is. */
export class SnapshotService {
  readonly #options: SnapshotServiceOptions;
  #underWay: 'taken' | 'restored' | null = null;

  constructor(options: SnapshotServiceOptions) {
    this.#options = options;
  }

  /**
   * The lines of a snapshot; it begins with the first that is asked for.
   *
   * @throws SNAPSHOT_UNDER_WAY, and see `takeSnapshot`
   */
  async *take(signal?: AbortSignal): AsyncGenerator<string> {
    this.#begin('taken');
    try {
      yield* takeSnapshot({ ...this.#options, ...(signal && { signal }) });
    } finally {
      this.#underWay = null;
    }
  }

  /**
   * @param source is read to its end before anything is decided
   * @throws SNAPSHOT_UNDER_WAY, and see `restoreSnapshot`
   */
  async restore(source: AsyncIterable<Uint8Array>, { force }: { force: boolean }): Promise<RestoreReport> {
    this.#begin('restored');
    try {
      return await this.#restore(source, force);
    } finally {
      this.#underWay = null;
    }
  }

  async #restore(source: AsyncIterable<Uint8Array>, force: boolean): Promise<RestoreReport> {
    const spill = await Spill.open();
    try {
      for await (const bytes of source) await spill.write(bytes);
      return await restoreSnapshot({ ...this.#options, force, open: () => spill.read() });
    } finally {
      await spill.close();
    }
  }

  #begin(what: 'taken' | 'restored'): void {
    if (this.#underWay !== null) {
      throw new AgentSystemError('SNAPSHOT_UNDER_WAY', `a snapshot is being ${this.#underWay} here already`);
    }
    this.#underWay = what;
  }
}
