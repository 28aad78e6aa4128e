import { digestOf } from '../message/seal.ts';
import { encodeSpec, encodeTrail } from '../task/codec.ts';
import { isLarge, isRef, type PayloadPart, refText } from '../task/payload.ts';
import { attemptOf, type TaskRecord } from '../task/task.ts';
import { type IndexPolicy, indexesOf } from './indexes.ts';
import { holderOf, type IndexChange, type KeptResult, type Unit } from './store.ts';

/**
 * The unit that takes the stored record from `before` (null = it does not exist) to `after`, with exactly the index
 * changes that lie between the two. `after` may be several transitions away: the version still grows by one.
 */
export function unitOf(before: TaskRecord | null, after: TaskRecord, policy: IndexPolicy): Unit {
  const unit: Unit = {
    id: after.id,
    expect: before?.version ?? 0,
    state: after.state,
    trail: encodeTrail(after),
    indexes: indexChanges(before, after, policy),
  };
  if (!before) {
    unit.spec = encodeSpec(after);
    setPayload(unit, 'input', after.input ?? 'null', after.spec.inputDigest);
  }
  if (after.result !== undefined) {
    setPayload(unit, 'result', after.result);
    if (before && isRef(after.result)) unit.adopt = keptBy(before);
  } else if (before?.state === 'completed') unit.result = null;
  return unit;
}

/** @param digest of the text, where it is known */
function setPayload(unit: Unit, part: PayloadPart, text: string, digest?: string): void {
  if (isRef(text) || !isLarge(text)) {
    unit[part] = text;
    return;
  }
  unit[part] = refText({ bytes: Buffer.byteLength(text), digest: digest ?? digestOf(text) });
  unit.large = { ...unit.large, [part]: text };
}

function keptBy(task: TaskRecord): KeptResult {
  const { id, worker, incarnation } = attemptOf(task);
  return { holder: holderOf(worker, incarnation), attemptId: id };
}

/** Asks for the index entries of an unchanged record to be put back where they are missing. */
export function repairOf(task: TaskRecord, policy: IndexPolicy): Unit {
  return { id: task.id, expect: task.version, state: task.state, repair: true, indexes: indexesOf(task, policy) };
}

/** Puts the same specification under a newer seal; the record is unchanged in everything else. */
export function resealOf(task: TaskRecord, reseal: string): Unit {
  return { id: task.id, expect: task.version, state: task.state, repair: true, reseal, indexes: [] };
}

/** Takes the record out of the store, with all its index entries (its block's `expiry` is the pruner's own). */
export function removalOf(task: TaskRecord, policy: IndexPolicy): Unit {
  const indexes = indexesOf(task, policy)
    .filter((entry) => entry.do !== 'min')
    .map(removed);
  return { id: task.id, expect: task.version, state: task.state, remove: true, indexes };
}

function indexChanges(before: TaskRecord | null, after: TaskRecord, policy: IndexPolicy): IndexChange[] {
  const now = indexesOf(after, policy);
  if (!before) return now;
  const then = indexesOf(before, policy);
  const kept = new Set(now.map(placeOf));
  const scores = new Map(then.map((entry) => [placeOf(entry), entry.score]));
  const gone = then.filter((entry) => entry.do !== 'min' && !kept.has(placeOf(entry))).map(removed);
  return [...gone, ...now.filter((entry) => scores.get(placeOf(entry)) !== entry.score)];
}

function removed(entry: IndexChange): IndexChange {
  return { ...entry, do: 'remove' } as IndexChange;
}

/** Which entry it is, whatever its score. */
function placeOf(entry: IndexChange): string {
  return 'lane' in entry ? `lane ${entry.lane}` : `${entry.index} ${entry.member}`;
}
