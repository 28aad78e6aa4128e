import { type Html, html } from './html.ts';
import type { Report, TimelineEntry, WorkerSummary } from './report.ts';
import type { TextKind } from './text-kind.ts';

/** Lanes are drawn 1,000 units wide and stretched to the page. */
const WIDTH = 1000;
const ROW = 14;
const GAP = 3;
const ROWS_MAX = 64;

/** Who ran what, when: a lane per worker, a row per attempt at the same time, a mark per attempt. */
export function stripChart(report: Report): Html | null {
  if (report.timeline.length === 0) return null;
  const start = Math.min(...bounds(report.timeline, 'startedAt'));
  const end = Math.max(...bounds(report.timeline, 'endedAt'));
  const scale = WIDTH / Math.max(1, end - start);
  const crash = report.crash;
  const kinds = new Map(report.files.map((file) => [file.path, file.kind]));
  const lanes = workersOf(report).map((worker) => {
    const entries = report.timeline.filter((entry) => entry.worker === worker.id);
    return lane(worker, entries, { start, scale, kinds, crash, elapsedMs: Math.max(1, end - start) });
  });
  return html`<div class="strip">${lanes}<div class="axis" aria-hidden="true"><span></span><div>${ticks(end - start)}</div></div></div>`;
}

/** One value per entry, gathered without spreading thousands of arguments into a call. */
function bounds(timeline: readonly TimelineEntry[], field: 'startedAt' | 'endedAt'): number[] {
  const sorted = timeline.map((entry) => entry[field]).sort((a, b) => a - b);
  return [sorted[0]!, sorted.at(-1)!];
}

/** The workers that were named, and any other the timeline knows. */
function workersOf(report: Report): WorkerSummary[] {
  const named = new Set(report.workers.map((worker) => worker.id));
  const others = new Set(report.timeline.map((entry) => entry.worker).filter((id) => !named.has(id)));
  return [...report.workers, ...[...others].map((id) => ({ id, slots: 1, tasks: 0, busyMs: 0 }))];
}

interface Scale {
  readonly start: number;
  readonly scale: number;
  readonly elapsedMs: number;
  readonly kinds: ReadonlyMap<string, TextKind>;
  readonly crash: Report['crash'];
}

function lane(worker: WorkerSummary, entries: readonly TimelineEntry[], scale: Scale): Html {
  const rows = packRows(entries, worker.slots);
  const height = rows.count * (ROW + GAP) - GAP;
  const busy = Math.min(100, Math.round((100 * worker.busyMs) / (Math.max(1, worker.slots) * scale.elapsedMs)));
  const facts = `${worker.slots} ${worker.slots === 1 ? 'slot' : 'slots'} · ${count(worker.tasks, 'task')} · ${busy} % busy${worker.killed ? ' · killed' : ''}`;
  return html`<div class="lane"><div class="who"><b>${worker.id}</b><span>${facts}</span></div>
<svg role="img" aria-label="${`${worker.id}: ${facts}`}" viewBox="0 0 ${WIDTH} ${height}" height="${height}" preserveAspectRatio="none">${rowLines(rows.count)}${entries.map((entry, i) => mark(entry, rows.rowOf[i]!, scale))}${death(worker, height, scale)}</svg></div>
`;
}

/** From where on a killed worker did nothing any more. */
function death(worker: WorkerSummary, height: number, { start, scale, crash }: Scale): Html | null {
  if (crash === null || worker.id !== crash.worker) return null;
  const x = round(Math.min(WIDTH - 3, Math.max(0, (crash.at - start) * scale)));
  return html`<rect class="death" x="${x}" y="0" width="3" height="${height}"><title>killed here</title></rect>`;
}

function rowLines(rows: number): Html[] {
  return Array.from(
    { length: rows },
    (_, row) => html`<rect class="row" x="0" y="${row * (ROW + GAP)}" width="${WIDTH}" height="${ROW}"/>`,
  );
}

function mark(entry: TimelineEntry, row: number, { start, scale, kinds }: Scale): Html {
  const x = (entry.startedAt - start) * scale;
  const width = Math.max(1.5, (entry.endedAt - entry.startedAt) * scale - 0.8);
  const ms = entry.endedAt - entry.startedAt;
  return html`<rect class="k-${kinds.get(entry.file) ?? 'none'}" x="${round(Math.min(x, WIDTH - width))}" y="${row * (ROW + GAP)}" width="${round(width)}" height="${ROW}"><title>${entry.file}, ${ms} ms</title></rect>`;
}

/**
 * Puts each attempt into the first row that is free at its start, in order of start. A worker shows at least its
 * slots, so an idle one is seen to be idle.
 */
export function packRows(entries: readonly TimelineEntry[], slots: number): { count: number; rowOf: number[] } {
  const freeAt: number[] = [];
  const rowOf = entries.map((entry) => {
    const free = freeAt.findIndex((at) => at <= entry.startedAt);
    const row = free >= 0 ? free : Math.min(freeAt.length, ROWS_MAX - 1);
    freeAt[row] = entry.endedAt;
    return row;
  });
  return { count: Math.min(ROWS_MAX, Math.max(1, slots, freeAt.length)), rowOf };
}

const TICKS = 5;

function ticks(elapsedMs: number): Html[] {
  const unit = elapsedMs >= 2_000 ? { ms: 1_000, name: 's', digits: 1 } : { ms: 1, name: 'ms', digits: 0 };
  return Array.from({ length: TICKS }, (_, i) => {
    const at = (elapsedMs * i) / (TICKS - 1) / unit.ms;
    return html`<span>${at.toFixed(unit.digits)} ${unit.name}</span>`;
  });
}

function count(number: number, noun: string): string {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
