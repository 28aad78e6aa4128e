/**
 * The report as one page that needs nothing else: no network, no server, no font. File names and headings come from
 * strangers, so everything goes through `html`, and a content policy names our one script by its digest: even a
 * script that slipped through would not run.
 */
import { createHash } from 'node:crypto';
import { WORDS_PER_MINUTE } from './analyse-text.ts';
import { crashSection } from './crash-section.ts';
import { duplicatesSection } from './duplicates-section.ts';
import { type Html, html, raw } from './html.ts';
import { count, duration, number, pathOf } from './page-parts.ts';
import { PAGE_SCRIPT } from './page-script.ts';
import { PAGE_STYLE } from './page-style.ts';
import type { Report, ReportFile } from './report.ts';
import { stripChart } from './strip-chart.ts';
import type { TextKind } from './text-kind.ts';

const BARS_MAX = 30;
const SKIPPED_SHOWN = 20;
const OUTLINE_MAX = 12;

/** The whole page as text. */
export function renderReport(report: Report): string {
  const title = `${count(report.totals.files, 'file')} in ${folderName(report.folder)}`;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="${contentPolicy()}">
<title>${title}</title>
<style>${raw(PAGE_STYLE)}</style>
</head>
<body>
<a class="skip" href="#table">To the table</a>
<header><h1>${title}</h1><p class="lead">${leadOf(report)}</p></header>
<main>
${cards(report)}
${report.cut === null ? null : html`<section class="cut"><h2>Not everything was read</h2>The walk ${report.cut}.</section>`}
${crashSection(report)}
${timeline(report)}
${report.files.length === 0 ? emptySection() : html`<div class="two">${wordBars(report)}<div class="stack">${terms(report)}${workerBars(report)}${longest(report)}</div></div>`}
${duplicatesSection(report)}
${table(report)}
${leftOut(report)}
</main>
${footer()}
<script>${raw(PAGE_SCRIPT)}</script>
</body>
</html>
`.text;
}

function contentPolicy(): string {
  const digest = createHash('sha256').update(PAGE_SCRIPT).digest('base64');
  return `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${digest}'; base-uri 'none'; form-action 'none'`;
}

function folderName(folder: string): string {
  return folder.split(/[\\/]/).filter(Boolean).at(-1) ?? folder;
}

function leadOf(report: Report): Html {
  const at = `${report.startedAt.slice(0, 10)} ${report.startedAt.slice(11, 19)} UTC`;
  const by = report.workers.length === 0 ? '' : ` by ${count(report.workers.length, 'worker')}`;
  return html`Read${by} in ${duration(report.elapsedMs)} on <time datetime="${report.startedAt}">${at}</time>, one task per file, one to compare their paragraphs and one to join it all.`;
}

function cards(report: Report): Html {
  const { totals } = report;
  const ease = totals.medianReadability;
  return html`<dl class="cards">
${card('Files', number(totals.files), bytes(totals.bytes))}
${card('Words', number(totals.words), `${number(totals.lines)} lines`)}
${card('Sentences', number(totals.sentences), 'prose and comments')}
${card('Reading time', readingTime(totals.words / WORDS_PER_MINUTE), `${WORDS_PER_MINUTE} words a minute`)}
${card('Reading ease', ease === null ? '–' : ease.toFixed(0), 'Flesch, median file')}
${card('Headings', number(totals.headings), count(totals.links, 'link'))}
${repeats(report)}
${card('Left out', number(totals.skipped), totals.skipped === 0 ? 'nothing' : 'reasons below')}
</dl>`;
}

function repeats({ duplicates }: Report): Html | null {
  if (duplicates === null) return null;
  const note =
    duplicates.paragraphs === 0
      ? 'no paragraph stands in two files'
      : `paragraphs, in ${count(duplicates.files, 'file')}`;
  return card('Repeats', number(duplicates.paragraphs), note);
}

function card(name: string, value: string, note: string): Html {
  return html`<div><dt>${name}</dt><dd>${value}<small>${note}</small></dd></div>`;
}

function emptySection(): Html {
  return html`<section><h2>No text files</h2><p class="note">The folder holds no file that could be read as text.</p></section>`;
}

function timeline(report: Report): Html | null {
  const chart = stripChart(report);
  if (chart === null) return null;
  return html`<section><h2>Who ran what, when</h2><p class="note">Each mark is a task, each row a slot in use; the widest marks took longest.</p>${legend(report)}${chart}</section>`;
}

const KINDS: readonly TextKind[] = ['markdown', 'text', 'code', 'data'];

function legend(report: Report): Html {
  const used = kindsOf(report);
  return html`<ul class="legend">${used.map((kind) => html`<li class="k-${kind}"><i></i>${kind}</li>`)}</ul>`;
}

function kindsOf(report: Report): TextKind[] {
  const used = new Set(report.files.map((file) => file.kind));
  return KINDS.filter((kind) => used.has(kind));
}

function wordBars(report: Report): Html {
  const shown = report.files.slice(0, BARS_MAX);
  const most = Math.max(1, shown[0]?.words ?? 1);
  const rest = report.files.length - shown.length;
  const note = rest > 0 ? `The ${BARS_MAX} longest of ${number(report.files.length)} files.` : 'All files.';
  const bar = (file: ReportFile, i: number) =>
    html`<li class="k-${file.kind}"><a class="name" href="#f${i}" title="${file.path}">${pathOf(file.path, 'tail')}</a>${barOf(file.words, most)}</li>`;
  return html`<section><h2>Words per file</h2><p class="note">${note}</p><ol class="bars">${shown.map(bar)}</ol></section>`;
}

function workerBars(report: Report): Html | null {
  if (report.workers.length === 0) return null;
  const most = Math.max(1, ...report.workers.map((worker) => worker.tasks));
  const bars = report.workers.map(
    (worker) =>
      html`<li class="k-worker"><span class="name" title="${worker.id}">${worker.id} <span class="dim">× ${worker.slots}${worker.killed ? ', killed' : ''}</span></span>${barOf(worker.tasks, most)}</li>`,
  );
  return html`<section><h2>Tasks per worker</h2><p class="note">× is the number of slots.</p><ol class="bars">${bars}</ol></section>`;
}

function barOf(value: number, most: number): Html {
  const bar = value === 0 ? null : html`<i style="--w:${(value / most).toFixed(4)}"></i>`;
  return html`<span class="bar">${bar}${number(value)}</span>`;
}

function terms(report: Report): Html | null {
  if (report.terms.length === 0) return null;
  const [best, last] = [report.terms[0]!.score, report.terms.at(-1)!.score];
  const weight = (score: number) => (best === last ? 0.5 : (score - last) / (best - last)).toFixed(3);
  const chips = report.terms.map(
    (term) =>
      html`<li style="--w:${weight(term.score)}" title="${`${number(term.count)} times in ${count(term.files, 'file')}`}">${term.term}<small>${number(term.count)}</small></li>`,
  );
  return html`<section><h2>What it is about</h2><p class="note">Key terms of the whole folder, with how often they stand in it.</p><ul class="terms">${chips}</ul></section>`;
}

function longest({ longestSentence }: Report): Html | null {
  if (longestSentence === null) return null;
  const { path, words, text } = longestSentence;
  return html`<section><h2>The longest sentence</h2><p class="note">${count(words, 'word')}, in ${pathOf(path)}</p><blockquote>${text}</blockquote></section>`;
}

const COLUMNS: readonly (readonly [name: string, type: 'text' | 'number'])[] = [
  ['File', 'text'],
  ['Kind', 'text'],
  ['Words', 'number'],
  ['Sentences', 'number'],
  ['Ease', 'number'],
  ['Headings', 'number'],
  ['Links', 'number'],
  ['Key terms', 'text'],
  ['Worker', 'text'],
  ['ms', 'number'],
];

function table(report: Report): Html | null {
  if (report.files.length === 0) return null;
  const heads = COLUMNS.map(
    ([name, type]) =>
      html`<th scope="col" data-type="${type}"${type === 'number' && name !== 'Ease' ? raw(' class="n"') : null}${name === 'Words' ? raw(' aria-sort="descending"') : null}><button type="button">${name}</button></th>`,
  );
  return html`<section id="table"><h2>All files</h2><p class="note">A header sorts by its column, a second time the other way round. Ease is Flesch’s reading ease: the higher, the easier.</p>
<div id="tools" hidden><label class="hush" for="filter">Filter by a word</label><input id="filter" type="search" placeholder="Filter: name, term, worker …" autocomplete="off" spellcheck="false"><label class="hush" for="kind">Kind</label><select id="kind"><option value="">every kind</option>${kindsOf(report).map((kind) => html`<option>${kind}</option>`)}</select><span id="shown" role="status"></span></div>
<div class="scroll" role="region" aria-label="All files" tabindex="0"><table id="files"><thead><tr>${heads}</tr></thead><tbody>
${report.files.map(row)}</tbody></table><p id="none" class="note" hidden>No file matches the filter.</p></div><p id="live" class="hush" aria-live="polite"></p></section>`;
}

function row(file: ReportFile, i: number): Html {
  const keys = file.keyTerms.map(({ term }) => term).join(', ');
  return html`<tr id="f${i}" data-kind="${file.kind}"><td class="path" data-v="${file.path}">${pathOf(file.path)}${outline(file)}</td><td class="kind k-${file.kind}" data-v="${file.kind}"><i class="dot"></i>${file.kind}</td>${figure(file.words)}${figure(file.sentences)}${ease(file)}${figure(file.headingCount)}${figure(file.linkCount)}<td class="key" data-v="${keys}">${keys}</td><td data-v="${file.worker ?? ''}">${file.worker ?? '–'}</td>${figure(file.ms)}</tr>
`;
}

function figure(value: number | null): Html {
  return html`<td class="n" data-v="${value}">${value === null ? '–' : number(value)}</td>`;
}

function ease(file: ReportFile): Html {
  const { readability, readabilityWord } = file;
  if (readability === null) return html`<td class="ease" data-v=""><b>–</b></td>`;
  const tone = readability >= 60 ? 'good' : readability >= 30 ? 'fair' : 'hard';
  return html`<td class="ease" data-v="${readability}"><b>${readability.toFixed(0)}</b> <span class="${tone}">${readabilityWord}</span></td>`;
}

/** Headings and links, folded away. A link is shown as text: where a stranger's file points is not ours to offer. */
function outline({ headings, headingCount, links, linkCount }: ReportFile): Html | null {
  if (headings.length + links.length === 0) return null;
  const parts = [headingCount > 0 ? count(headingCount, 'heading') : '', linkCount > 0 ? count(linkCount, 'link') : ''];
  const items = [...headings.map(({ text }) => text).slice(0, OUTLINE_MAX), ...links.slice(0, OUTLINE_MAX)];
  return html`<details><summary>${parts.filter(Boolean).join(', ')}</summary><ul>${items.map((item) => html`<li>${item}</li>`)}</ul></details>`;
}

function leftOut(report: Report): Html | null {
  const { skipped, skippedMore } = report;
  if (skipped.length === 0) return null;
  const item = ({ path, why }: Report['skipped'][number]) => html`<li>${pathOf(path)}<span>${why}</span></li>`;
  const [first, later] = [skipped.slice(0, SKIPPED_SHOWN), skipped.slice(SKIPPED_SHOWN)];
  const more = skippedMore > 0 ? html`<p class="note">And ${number(skippedMore)} more that are not listed.</p>` : null;
  return html`<section><h2>Left out</h2><p class="note">What was not read, and why.</p><ul class="out">${first.map(item)}</ul>${
    later.length === 0
      ? null
      : html`<details><summary>${number(later.length)} more</summary><ul class="out">${later.map(item)}</ul></details>`
  }${more}</section>`;
}

function footer(): Html {
  return html`<footer>
<p>Reading ease is Flesch’s formula, 206.835 − 1.015 × words per sentence − 84.6 × syllables per word (1948), made for English; in source files it is that of the comments. 60 to 70 is plain, below 30 very hard.</p>
<p>Two paragraphs count as the same when at least half of their runs of three words are (Broder’s resemblance, 1997): in one of ordinary length about one word in ten may differ.</p>
<p>Key terms are those with the highest TF-IDF: frequent in this file, rare in the others. A word of code is a part of a name: <code>leaseTtlMs</code> has three.</p>
</footer>`;
}

function bytes(value: number): string {
  if (value < 1024) return count(value, 'byte');
  const [size, unit] = value < 1024 * 1024 ? [value / 1024, 'KiB'] : [value / 1024 / 1024, 'MiB'];
  return `${size.toFixed(1)} ${unit}`;
}

function readingTime(minutes: number): string {
  if (minutes > 0 && minutes < 1) return '< 1 min';
  return minutes < 60 ? `${Math.ceil(minutes)} min` : `${(minutes / 60).toFixed(1)} h`;
}
