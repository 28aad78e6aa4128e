/** How the sections of the page write paths and figures. */
import { type Html, html } from './html.ts';

/** The folder dimmed, the name not; `tail` puts the name first, for where the end is cut off. */
export function pathOf(path: string, order: 'path' | 'tail' = 'path'): Html {
  const cut = path.replace(/\/$/, '').lastIndexOf('/') + 1;
  const [folder, name] = [path.slice(0, cut), path.slice(cut)];
  if (folder === '') return html`<bdi>${name}</bdi>`;
  if (order === 'tail') return html`<bdi>${name}</bdi> <span class="dim">${folder.slice(0, -1)}</span>`;
  const folders = folder.split('/').slice(0, -1);
  return html`<bdi><span class="dim">${folders.map((part) => html`${part}/<wbr>`)}</span>${name}</bdi>`;
}

export function number(value: number): string {
  return value.toLocaleString('en');
}

export function count(value: number, noun: string): string {
  return `${number(value)} ${noun}${value === 1 ? '' : 's'}`;
}

export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  return ms < 60_000
    ? `${(ms / 1_000).toFixed(1)} s`
    : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1_000)} s`;
}
