import { AgentSystemError } from '../../errors.ts';
import {
  type Commit,
  type CommitReply,
  type CursorMove,
  type IndexChange,
  type Post,
  type Release,
  UNITS_MAX,
  type Unit,
  type UnitOutcome,
} from '../store.ts';
import { overwrite, type StoredRecord } from './records.ts';
import type { Shard } from './shard.ts';

const WRITTEN: UnitOutcome = Object.freeze({ ok: true, already: false });
const ALREADY: UnitOutcome = Object.freeze({ ok: true, already: true });
const CONFLICT: UnitOutcome = Object.freeze({ ok: false, reason: 'conflict' });
const NOT_RESERVED: UnitOutcome = Object.freeze({ ok: false, reason: 'reservation' });

/**
 * Writes a commit. The record alone decides whether a unit wins; everything else in the commit follows from which units
 * won. A fenced commit changes nothing at all: its sender believed to be the owner, or to know the cursor, and was wrong.
 */
export function applyCommit(shard: Shard, commit: Commit): CommitReply {
  if (commit.units.length > UNITS_MAX) throw tooLarge(commit);
  const now = shard.clock.now();
  const fenced = whyFenced(shard, commit);
  if (fenced) return reply(shard, commit, { now, fenced, units: [], posted: [] });
  const units = new UnitWriter(shard, commit.op, now).write(commit.units);
  if (commit.cursor) shard.reportCursor = cursorAfter(commit.cursor, units);
  const posted = (commit.post ?? []).map((post) => deliver(shard, post, commit.units, units));
  for (const release of commit.release ?? []) releaseWon(shard, release, units);
  for (const entry of commit.quarantine ?? []) shard.quarantine.add(entry);
  return reply(shard, commit, { now, units, posted });
}

function whyFenced(shard: Shard, { epoch, cursor }: Commit): 'epoch' | 'cursor' | null {
  if (epoch !== undefined && !shard.ownership.isEpoch(epoch)) return 'epoch';
  return cursor && cursor.from !== shard.reportCursor ? 'cursor' : null;
}

function reply(shard: Shard, { cursor }: Commit, answer: CommitReply): CommitReply {
  if (cursor) answer.cursor = shard.reportCursor;
  return answer;
}

/** Behind the last entry all of whose effects are in the store; a lost unit is decided again from its report. */
function cursorAfter({ from, entries }: CursorMove, units: readonly UnitOutcome[]): string {
  let cursor = from;
  for (const entry of entries) {
    if (entry.units.some((at) => !units[at]?.ok)) break;
    cursor = entry.id;
  }
  return cursor;
}

function deliver(shard: Shard, post: Post, units: readonly Unit[], outcomes: readonly UnitOutcome[]): string | null {
  const won = post.units.filter((at) => outcomes[at]?.ok).map((at) => units[at]!.id);
  if (won.length === 0 && post.units.length > 0) return null;
  return shard.streams.append(`mail:${post.holder}`, { e: post.envelope, w: won.join(' ') });
}

function releaseWon(shard: Shard, { holder, attempts }: Release, outcomes: readonly UnitOutcome[]): void {
  for (const { held, unit } of attempts) {
    if (unit === undefined || outcomes[unit]?.ok) shard.workers.release(holder, held);
  }
}

/** Writes the units of one commit, and afterwards says once what they did. */
class UnitWriter {
  readonly #shard: Shard;
  readonly #op: string;
  readonly #now: number;
  readonly #events: string[] = [];
  #woke = false;

  constructor(shard: Shard, op: string, now: number) {
    this.#shard = shard;
    this.#op = op;
    this.#now = now;
  }

  write(units: readonly Unit[]): UnitOutcome[] {
    const outcomes = units.map((unit) => this.#outcome(unit));
    if (this.#events.length > 0) this.#shard.streams.append('events', { e: this.#events.join(';') });
    if (this.#woke) this.#shard.wake({ q: '1' });
    return outcomes;
  }

  #outcome(unit: Unit): UnitOutcome {
    const record = this.#shard.records.get(unit.id);
    if (unit.repair) return this.#repair(unit, record);
    if (unit.remove && !record) return ALREADY;
    if ((record?.version ?? 0) !== unit.expect) return this.#isApplied(unit, record) ? ALREADY : CONFLICT;
    return this.#refusal(unit) ?? this.#win(unit, record);
  }

  #isApplied(unit: Unit, record: StoredRecord | undefined): boolean {
    return record?.version === unit.expect + 1 && record.op === this.#op;
  }

  #refusal({ token, unique, id }: Unit): UnitOutcome | null {
    if (token !== undefined && !this.#shard.reservations.holds(token, id)) return NOT_RESERVED;
    const holder = unique && this.#shard.uniqueKeys.holder(unique.key, this.#now);
    return holder ? { ok: false, reason: 'exists', ...holder } : null;
  }

  #win(unit: Unit, record: StoredRecord | undefined): UnitOutcome {
    const { records, reservations, uniqueKeys } = this.#shard;
    if (unit.remove) records.delete(unit.id);
    else if (record) overwrite(record, unit, this.#op);
    else records.create(unit, this.#op);
    if (!unit.remove) this.#events.push(`${unit.id} ${unit.expect + 1} ${unit.state}`);
    if (unit.token !== undefined) reservations.end(unit.id);
    const { unique } = unit;
    if (unique) uniqueKeys.add(unique.key, { id: unit.id, digest: unique.digest }, unique.ttlMs, this.#now);
    for (const change of unit.indexes) this.#change(unit.id, change);
    return WRITTEN;
  }

  #change(id: string, change: IndexChange): boolean {
    if (!('lane' in change)) return this.#shard.indexes.apply(change);
    if (change.do === 'remove') return this.#shard.lanes.remove(change.lane, id);
    this.#woke = true;
    return this.#shard.lanes.add(change.lane, id, change.score);
  }

  /** Without a record only entries that speak of it can be wrong, so nothing is put back. */
  #repair(unit: Unit, record: StoredRecord | undefined): UnitOutcome {
    if ((record?.version ?? 0) !== unit.expect || (record && record.state !== unit.state)) return CONFLICT;
    let repaired = 0;
    for (const change of unit.indexes) {
      if (change.do !== 'remove' && (!record || this.#stands(unit.id, change))) continue;
      if (this.#change(unit.id, change)) repaired += 1;
    }
    return { ok: true, already: false, repaired };
  }

  /** A reserved task stands in its lane for this purpose: it comes back or is assigned. All others look for themselves. */
  #stands(id: string, change: IndexChange): boolean {
    if (!('lane' in change)) return false;
    return !this.#shard.lanes.has(change.lane, id) && this.#shard.reservations.has(id);
  }
}

function tooLarge(commit: Commit): AgentSystemError {
  return new AgentSystemError(
    'COMMIT_TOO_LARGE',
    `commit ${commit.op} has ${commit.units.length} units, at most ${UNITS_MAX} are written at once: split it`,
  );
}
