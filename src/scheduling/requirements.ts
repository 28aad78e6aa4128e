/**
 * What a task requires of the worker that runs it: one certain worker (a pin), labels, resources. Pure: which worker
 * meets it, and how often its resources still fit.
 *
 * A requirement travels as a canonical text, so that equal requirements are equal texts and stand in one lane. The text
 * is JSON with sorted keys in which everything that a lane's name would escape is escaped already, so it stands in the
 * name as it is and no store ever has to look into it.
 */
export interface Requirements {
  /** Id of the only worker that may run the task; also while that worker is gone. */
  worker?: string;
  /** The worker has every one of these, with exactly this value. */
  labels?: Record<string, string>;
  /** Taken from the worker's resources for as long as it holds the attempt. */
  resources?: Record<string, number>;
}

/** What a worker offers. */
export interface Offer {
  worker?: string;
  labels?: Readonly<Record<string, string>>;
  /** All it has, in use or not. */
  resources?: Readonly<Record<string, number>>;
}

export type Amounts = Readonly<Record<string, number>>;

/** Canonical: undefined when nothing is required, so that `require: {}` is no requirement at all. */
export function requirementsText({ worker, labels, resources }: Requirements): string | undefined {
  const parts: string[] = [];
  if (labels && Object.keys(labels).length > 0) parts.push(`"labels":${sorted(labels)}`);
  if (resources && Object.keys(resources).length > 0) parts.push(`"resources":${sorted(resources)}`);
  if (worker !== undefined) parts.push(`"worker":${text(worker)}`);
  return parts.length === 0 ? undefined : `{${parts.join(',')}}`;
}

/** Null for a text that `requirementsText` did not write. */
export function parseRequirements(canonical: string): Requirements | null {
  try {
    const found = JSON.parse(canonical) as Requirements | null;
    return isRequirements(found) && requirementsText(found) === canonical ? found : null;
  } catch {
    return null;
  }
}

function isRequirements(found: Requirements | null): found is Requirements {
  if (typeof found !== 'object' || found === null) return false;
  const { worker = '', labels = {}, resources = {} } = found;
  const words = [worker, ...Object.values(labels)];
  return words.every((word) => typeof word === 'string') && Object.values(resources).every(Number.isFinite);
}

/** Whether this worker is able to run such a task at all, however much of it is in use. */
export function meets(offer: Offer, { worker, labels = {}, resources = {} }: Requirements): boolean {
  if (worker !== undefined && worker !== offer.worker) return false;
  for (const [name, value] of Object.entries(labels)) if (own(offer.labels, name) !== value) return false;
  return timesThatFit(resources, offer.resources) > 0;
}

/** How many more times `needs` fit into what of `capacity` is not used; Infinity when nothing is needed. */
export function timesThatFit(needs: Amounts | undefined, capacity: Amounts = {}, used: Amounts = {}): number {
  let times = Number.POSITIVE_INFINITY;
  for (const [name, need] of Object.entries(needs ?? {})) {
    if (!(need > 0)) continue;
    const free = (own(capacity, name) ?? 0) - (own(used, name) ?? 0);
    // Tenths do not add up exactly: three times 0.1 must fit into 0.3.
    times = Math.min(times, Math.max(0, Math.floor(free / need + 1e-9)));
  }
  return times;
}

/** Adds `needs` to `used` (or takes them away, with `times` −1). What is left of a name that nobody uses is dropped. */
export function addAmounts(used: Record<string, number>, needs: Amounts | undefined, times = 1): void {
  for (const [name, need] of Object.entries(needs ?? {})) {
    const sum = (own(used, name) ?? 0) + times * need;
    if (sum > 1e-9) used[name] = sum;
    else delete used[name];
  }
}

function sorted(fields: Record<string, string | number>): string {
  const entries = Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([name, value]) => `${text(name)}:${typeof value === 'string' ? text(value) : value}`).join(',')}}`;
}

/** Printable ASCII without `|`, `%` and `!`, which is all that a lane's name leaves as it is. */
function text(value: string): string {
  return JSON.stringify(value).replace(/[^ -~]|[|%!]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/** Labels and resources are named by people: `constructor` must not be found in an empty record. */
function own<T>(record: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return record && Object.hasOwn(record, name) ? record[name] : undefined;
}
