import type { MovedTask } from './crash.ts';
import { type Html, html } from './html.ts';
import { count, duration, number, pathOf } from './page-parts.ts';
import type { Report } from './report.ts';

const MOVED_SHOWN = 12;

/** What became of the tasks of the worker that was killed. */
export function crashSection({ crash }: Report): Html | null {
  if (crash === null) return null;
  const { worker, pid, done, total, instanceTtlMs, moved, completed, acceptedOnce, pauseMs } = crash;
  const how =
    pid === null ? 'was stopped dead, without a word to the others' : `(process ${pid}) was ended with SIGKILL`;
  const last = moved.at(-1);
  const fate =
    last === undefined
      ? html`What it held, it had just finished.`
      : html`It held <b>${count(moved.length, 'task')}</b>; after ${duration(instanceTtlMs)} of silence it counted as lost, and ${moved.length === 1 ? 'this finished elsewhere' : 'they finished elsewhere, the last one'} <b>${duration(last.ms)}</b> after its death.`;
  return html`<section class="killed"><h2>${worker} was killed in the middle</h2>
<p class="note">After ${number(done)} of ${count(total, 'file')} ${worker} ${how}. ${fate} Of ${count(completed, 'completed task')}, <b>${number(acceptedOnce)}</b> have exactly one accepted result.</p>
${movedList(moved)}<p class="note">To be caught holding something, each task waited ${number(pauseMs)} ms beside its real work.</p></section>`;
}

function movedList(moved: readonly MovedTask[]): Html | null {
  if (moved.length === 0) return null;
  const item = ({ file, worker, ms, assignments }: MovedTask) =>
    html`<li>${pathOf(file)}<span>${worker} finished it ${duration(ms)} later; it was given out ${count(assignments, 'time')}</span></li>`;
  const [first, later] = [moved.slice(0, MOVED_SHOWN), moved.slice(MOVED_SHOWN)];
  const rest =
    later.length === 0
      ? null
      : html`<details><summary>${number(later.length)} more</summary><ul class="out">${later.map(item)}</ul></details>`;
  return html`<ul class="out">${first.map(item)}</ul>${rest}`;
}
