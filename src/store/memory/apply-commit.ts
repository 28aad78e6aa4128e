import { AgentSystemError } from '../../errors.ts';
import { capsOfLane } from '../../scheduling/caps.ts';
import { isRef } from '../../task/payload.ts';
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
  versionAfter,
} from '../store.ts';
import type { Change } from './journal/changes.ts';
import { overwrite, type StoredRecord } from './records.ts';
import type { Reserved } from './reservations.ts';
import type { Shard } from './shard.ts';
import { leaveCapsUnlessActive } from './take.ts';

const WRITTEN: UnitOutcome = Object.freeze({ ok: true, already: false });
const ALREADY: UnitOutcome = Object.freeze({ ok: true, already: true });
const CONFLICT: UnitOutcome = Object.freeze({ ok: false, reason: 'conflict' });
const MISSING: UnitOutcome = Object.freeze({ ok: false, reason: 'missing' });
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
  if (commit.cursor) moveCursor(shard, cursorAfter(commit.cursor, units));
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

function moveCursor(shard: Shard, cursor: string): void {
  if (cursor !== shard.reportCursor) shard.log?.add(['cursor', cursor]);
  shard.reportCursor = cursor;
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
    const outcomes = units.map((unit) => {
      const outcome = this.#outcome(unit);
      this.#shard.log?.pause();
      return outcome;
    });
    if (this.#events.length > 0) this.#shard.streams.append('events', { e: this.#events.join(';') });
    if (this.#shard.caps.releaseFreed() || this.#woke) this.#shard.wake({ q: '1' });
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
    return record?.version === versionAfter(unit) && record.op === this.#op;
  }

  #refusal({ token, unique, id, adopt, result }: Unit): UnitOutcome | null {
    if (adopt && (isRef(result ?? '') || !this.#shard.keptResults.has(adopt))) return MISSING;
    if (token !== undefined && !this.#shard.reservations.holds(token, id)) return NOT_RESERVED;
    const holder = unique && this.#shard.uniqueKeys.holder(unique.key, this.#now);
    return holder ? { ok: false, reason: 'exists', ...holder } : null;
  }

  #win(unit: Unit, record: StoredRecord | undefined): UnitOutcome {
    const { records, reservations, uniqueKeys, keptResults } = this.#shard;
    if (unit.adopt) keptResults.delete(unit.adopt);
    if (unit.remove) records.delete(unit.id);
    else if (record) overwrite(record, unit, this.#op);
    else records.create(unit, this.#op);
    this.#shard.log?.add(writing(unit, this.#op, record !== undefined));
    if (!unit.remove) this.#events.push(`${unit.id} ${versionAfter(unit)} ${unit.state}`);
    // What was rejected instead of assigned leaves the caps that its taking has put it in.
    if (unit.token !== undefined) this.#leaveReservation(reservations.end(unit.id)!);
    const { unique } = unit;
    if (unique) {
      uniqueKeys.add(unique.key, { id: unit.id, digest: unique.digest }, unique.ttlMs, this.#now);
      this.#shard.log?.add(['unique', unique.key, unit.id, unique.digest, this.#now + unique.ttlMs]);
    }
    for (const change of unit.indexes) this.#change(unit.id, change);
    return WRITTEN;
  }

  /** To a journal it stood in its lane until now, and in no cap. */
  #leaveReservation(task: Reserved): void {
    const { lanes, indexes, log } = this.#shard;
    leaveCapsUnlessActive(this.#shard, task);
    if (!log) return;
    log.add(['lane', task.lane, task.id, lanes.tasks(task.lane)?.score(task.id) ?? null]);
    for (const cap of capsOfLane(task.lane)) {
      log.add(['index', `cap:${cap}`, task.id, indexes.get(`cap:${cap}`)?.score(task.id) ?? null]);
    }
  }

  #change(id: string, change: IndexChange): boolean {
    const changed = this.#changeEntry(id, change);
    // Also where nothing changed: what is only reserved stands elsewhere here than in the journal.
    this.#shard.log?.add(this.#standing(id, change));
    return changed;
  }

  #standing(id: string, change: IndexChange): Change {
    const { lanes, indexes } = this.#shard;
    if ('lane' in change) return ['lane', change.lane, id, lanes.tasks(change.lane)?.score(id) ?? null];
    const { index, member } = change;
    return ['index', index, member, indexes.get(index)?.score(member) ?? null];
  }

  #changeEntry(id: string, change: IndexChange): boolean {
    if (!('lane' in change)) {
      if (change.do === 'remove') this.#shard.caps.noteRemoval(change.index);
      return this.#shard.indexes.apply(change);
    }
    if (change.do === 'remove') return this.#shard.lanes.remove(change.lane, id);
    this.#woke = true;
    return this.#shard.lanes.add(change.lane, id, change.score);
  }

  /** Without a record only entries that speak of it can be wrong, so nothing is put back. */
  #repair(unit: Unit, record: StoredRecord | undefined): UnitOutcome {
    if ((record?.version ?? 0) !== unit.expect || (record && record.state !== unit.state)) return CONFLICT;
    if (record && unit.reseal) {
      record.spec = unit.reseal;
      this.#shard.log?.add(['reseal', unit.id, unit.reseal]);
    }
    let repaired = 0;
    for (const change of unit.indexes) {
      if (change.do !== 'remove' && (!record || this.#stands(unit.id, change))) continue;
      if (change.do === 'remove' && this.#countsAsReserved(unit.id, change)) continue;
      if (change.do === 'add' && 'lane' in change) this.#shard.caps.lookAgainFor(change.lane);
      if (this.#change(unit.id, change)) repaired += 1;
    }
    return { ok: true, already: false, repaired };
  }

  /** What was taken and is not assigned yet stands in its caps by right. */
  #countsAsReserved(id: string, change: IndexChange): boolean {
    return 'index' in change && change.index.startsWith('cap:') && this.#shard.reservations.has(id);
  }

  /** A reserved task stands in its lane for this purpose: it comes back or is assigned. All others look for themselves. */
  #stands(id: string, change: IndexChange): boolean {
    if (!('lane' in change)) return false;
    return !this.#shard.lanes.has(change.lane, id) && this.#shard.reservations.has(id);
  }
}

function writing(unit: Unit, op: string, exists: boolean): Change {
  const { id, state, remove, spec, input, trail, result } = unit;
  if (remove) return ['remove', id];
  return [exists ? 'write' : 'record', id, versionAfter(unit), state, op, { spec, input, trail, result }];
}

function tooLarge(commit: Commit): AgentSystemError {
  return new AgentSystemError(
    'COMMIT_TOO_LARGE',
    `commit ${commit.op} has ${commit.units.length} units, at most ${UNITS_MAX} are written at once: split it`,
  );
}
