import type { ScheduleEntry, ScheduleWrite } from '../store.ts';
import type { RisingClock } from './rising-clock.ts';

/** The schedules of one shard. */
export class Schedules {
  readonly #clock: RisingClock;
  readonly #entries = new Map<string, ScheduleEntry & { dueAt: number | null }>();

  constructor(clock: RisingClock) {
    this.#clock = clock;
  }

  /** A repeated write finds its own text one version on, or nothing left to remove. */
  write({ key, expect, text, dueAt }: ScheduleWrite): boolean {
    const standing = this.#entries.get(key);
    const version = standing?.version ?? 0;
    if (text === null && !standing) return true;
    if (text !== null && version === expect + 1 && standing?.text === text) return true;
    if (version !== expect) return false;
    if (text === null) this.#entries.delete(key);
    else this.#entries.set(key, { key, version: expect + 1, text, dueAt });
    return true;
  }

  get(key: string): ScheduleEntry | null {
    const entry = this.#entries.get(key);
    return entry ? entryOf(entry) : null;
  }

  all(): ScheduleEntry[] {
    return [...this.#entries.values()].map(entryOf);
  }

  keys(): string[] {
    return [...this.#entries.keys()];
  }

  /** All that stands under the key. */
  stored(key: string): { version: number; text: string; dueAt: number | null } | null {
    const { version, text, dueAt } = this.#entries.get(key) ?? {};
    return version === undefined ? null : { version, text: text!, dueAt: dueAt! };
  }

  /** As it was read back from a journal. */
  put(key: string, entry: { version: number; text: string; dueAt: number | null } | null): void {
    if (entry === null) this.#entries.delete(key);
    else this.#entries.set(key, { key, ...entry });
  }

  /** Those due by now, the longest due first. */
  due(limit: number): ScheduleEntry[] {
    const now = this.#clock.now();
    const due = [...this.#entries.values()].filter(({ dueAt }) => dueAt !== null && dueAt <= now);
    due.sort((a, b) => a.dueAt! - b.dueAt! || (a.key < b.key ? -1 : 1));
    return due.slice(0, limit).map(entryOf);
  }
}

function entryOf({ key, version, text }: ScheduleEntry): ScheduleEntry {
  return { key, version, text };
}
