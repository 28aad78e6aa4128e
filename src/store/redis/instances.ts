import type { InstanceRecord, RegisteredInstance } from '../store.ts';

/** An entry is `incarnation startedAt text`; the facts stand beside it, because they alone change. */
export function instanceOf(entry: string, facts: string | null): InstanceRecord {
  const first = entry.indexOf(' ');
  const second = entry.indexOf(' ', first + 1);
  return {
    ...JSON.parse(entry.slice(second + 1)),
    incarnation: entry.slice(0, first),
    startedAt: Number(entry.slice(first + 1, second)),
    facts: facts === null ? {} : JSON.parse(facts),
  };
}

export function registeredInstance(entry: string, facts: string | null, seenAt: string | null): RegisteredInstance {
  return { ...instanceOf(entry, facts), seenAt: Number(seenAt ?? 0) };
}

/** Three flat lists of pairs: entries, facts and times, each by id. */
export function registeredInstances(entries: string[], facts: string[], seen: string[]): RegisteredInstance[] {
  const factsOf = pairs(facts);
  const seenOf = pairs(seen);
  return [...pairs(entries)]
    .flatMap(([id, entry]) => readable(id, entry, factsOf.get(id) ?? null, seenOf.get(id) ?? null))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** None for an entry that no code of ours wrote: it must not hide the others, by which workers find their distributor. */
function readable(id: string, entry: string, facts: string | null, seenAt: string | null): RegisteredInstance[] {
  try {
    const instance = registeredInstance(entry, facts, seenAt);
    return instance.id === id && Number.isFinite(instance.startedAt) ? [instance] : [];
  } catch {
    return [];
  }
}

/** `[a, 1, b, 2]` as a map. */
export function pairs(flat: readonly string[]): Map<string, string> {
  const map = new Map<string, string>();
  for (let at = 0; at < flat.length; at += 2) map.set(flat[at]!, flat[at + 1]!);
  return map;
}
