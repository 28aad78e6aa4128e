import type { Commit, CommitReply, UnitOutcome } from '../store.ts';
import { type Reply, timeOf } from './records.ts';

/** Reads the answer of `commit.lua`: a letter for each unit, or none at all when every unit was written. */
export function commitReply(commit: Commit, reply: Reply[]): CommitReply {
  const [seconds, micros, fenced, cursor, letters, extras, posted] = reply;
  const answer: CommitReply = { now: timeOf([seconds!, micros!]), units: [], posted: [] };
  if (commit.cursor) answer.cursor = cursor as string;
  if (fenced) return { ...answer, fenced: fenced as 'epoch' | 'cursor' };
  const details = detailsOf(extras as Reply[]);
  answer.units = commit.units.map((_, at) => outcomeOf((letters as string)[at] ?? 'w', details.get(at)));
  answer.posted = posted as (string | null)[];
  return answer;
}

function detailsOf(extras: readonly Reply[]): Map<number, Reply> {
  const details = new Map<number, Reply>();
  for (let at = 0; at < extras.length; at += 2) details.set(Number(extras[at]), extras[at + 1]!);
  return details;
}

function outcomeOf(letter: string, detail: Reply | undefined): UnitOutcome {
  switch (letter) {
    case 'w':
      return { ok: true, already: false };
    case 'a':
      return { ok: true, already: true };
    case 'p':
      return { ok: true, already: false, repaired: Number(detail) };
    case 'r':
      return { ok: false, reason: 'reservation' };
    case 'm':
      return { ok: false, reason: 'missing' };
    case 'e':
      return { ok: false, reason: 'exists', ...holderOf(String(detail)) };
    default:
      return { ok: false, reason: 'conflict' };
  }
}

function holderOf(text: string): { id: string; digest: string } {
  const gap = text.indexOf(' ');
  return { id: text.slice(0, gap), digest: text.slice(gap + 1) };
}
