import type { CapsChange, CapsReply, CapsView, CapUse } from '../store.ts';
import { pairs } from './instances.ts';
import type { Reply } from './records.ts';

/** For `set-caps.lua`. */
export function capsArgs(change: CapsChange): string[] {
  const args = [change.do, fenceOf(change)];
  for (const [name, limit] of Object.entries(change.limits)) args.push(name, limit === null ? '' : String(limit));
  return args;
}

function fenceOf(change: CapsChange): string {
  if (change.do === 'introduce') return '';
  return change.do === 'replace' ? change.epoch : String(change.version);
}

export function capsReply({ limits }: CapsChange, used: readonly number[]): CapsReply {
  return { ok: true, used: Object.fromEntries(Object.keys(limits).map((name, at) => [name, used[at]!])) };
}

/** Of `caps.lua`. */
export function capsView([standing, caps, version]: Reply[]): CapsView {
  const limits = Object.fromEntries([...pairs(standing as string[])].map(([name, limit]) => [name, Number(limit)]));
  const used: CapUse[] = [];
  const flat = caps as (string | number)[];
  for (let at = 0; at < flat.length; at += 5) {
    const [cap, tasks, limit, waiting, wanted] = flat.slice(at, at + 5);
    const bound = limit === '' ? null : Number(limit);
    const lanes = { waitingLanes: Number(waiting), wantedBy: Number(wanted) };
    used.push({ cap: String(cap), used: Number(tasks), limit: bound, ...lanes });
  }
  return { limits, used, version: Number(version) };
}
